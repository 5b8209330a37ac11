#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What mydevctl promises to somebody who has a device to himself, with simulated
# ones. What it promises to those who share one is in tool-share.sh.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

# A string that must not reach a terminal: clear the screen, red, and an umlaut.
EVIL=$'e\e[2Jv\e[31mil \xc3\xa4'

# ------------------------------------------------------------ without a device

no_module() {
	run 0 "$CTL" list
	has out '^NAME +VENDOR +PRODUCT'
	has_lines out 1
	empty err
	run 0 "$CTL" list --no-header
	empty out
	run 0 "$CTL" list --json
	json out 'd == []'
	run 3 "$CTL" info
	empty out
	has err 'no mydev device' 'modprobe mydev' 'ids=VVVV:PPPP'
	run 3 "$CTL" cat
	run 3 "$CTL" stats 0
	has err '0: no such device'
	run 3 "$CTL" config
	run 3 "$CTL" clients
	has err 'no mydev device'
	run 3 "$CTL" clients 0
	has err '0: no such device'
}

no_device_yet() {
	run 0 "$CTL" list --json
	json out 'd == []'
	run 3 "$CTL" cat
	has err 'no mydev device' 'plugged in' 'new_id'
	# The hint of list is for people only.
	script -qec "$CTL list 2>&1" /dev/null >"$T/err"
	has err 'NAME' 'no mydev device'
}

help_of() {
	local command
	run 0 "$CTL" --help
	has out '^Usage: mydevctl' ' list ' ' info ' ' cat ' ' stats ' ' config ' ' clients ' ' write ' \
		' transact ' ' control ' ' lease ' ' alt ' ' halt ' ' reset ' ' revoke ' '3 no such device'
	run 0 "$CTL" --version
	has out '^mydevctl [0-9]'
	run 0 "$CTL" --usage
	has out '^Usage: mydevctl'
	for command in list info cat stats config clients write transact control lease alt; do
		run 0 "$CTL" $command --help
		has out "^Usage: mydevctl $command" '--json' 'Exit status' 'unplugged'
		empty err
	done
	for command in halt reset revoke; do
		run 0 "$CTL" $command --help
		has out "^Usage: mydevctl $command" 'Exit status' 'unplugged'
		empty err
	done
	run 0 "$CTL" cat --usage
	has out "^Usage: mydevctl cat"
	run 0 "$CTL" cat --help
	has out '--bytes=N' '--seconds=S' '--output=FILE' '--force'
}

usage_errors() {
	run 2 "$CTL"
	has err 'Usage:'
	run 2 "$CTL" dog
	has err 'no command "dog"' 'list, info, cat, stats, .*, reset and revoke'
	run 2 "$CTL" info --colour
	has err 'colour' 'mydevctl info --help'
	run 2 "$CTL" list 0
	run 2 "$CTL" info 0 1
	has err 'one device only: 1'
	local bytes
	for bytes in 3X -1 '' K 17179869184G 1.5M 99999999999999999999; do
		run 2 "$CTL" cat -n "$bytes"
		has err 'not a number of bytes' '64K'
	done
	for bytes in 0 -1 x nan inf 1s; do
		run 2 "$CTL" cat --seconds "$bytes"
		has err 'not a time in seconds'
	done
	empty out
}

# ------------------------------------------------------------------ one device

plug_one() {
	gadget_create one ffs 1209 0001 "$EVIL"
	sim_start one --size 100-5000
	gadget_plug one
	await 30 node_is_there one
	[ "$(mydev_node one)" = $NODE ]
}

list_one() {
	run 0 "$CTL" list --json
	json out 'len(d) == 1' "d[0]['name'] == 'mydev0'" \
		"d[0]['path'] == '$NODE'" \
		"d[0]['id_vendor'] == '$(sys mydev0 id_vendor)' == '1209'" \
		"d[0]['id_product'] == '$(sys mydev0 id_product)' == '0001'" \
		"d[0]['interface_number'] == 0x$(sys mydev0 interface_number)" \
		"d[0]['manufacturer'] == 'mydev test'" "d[0]['product'] == 'one'" \
		"d[0]['serial'] == 'e\x1b[2Jv\x1b[31mil \xe4'" \
		"d[0]['speed'] == '$(sys mydev0 speed)'" "d[0]['ep_in'] == '$(sys mydev0 ep_in)'" \
		"d[0]['ep_out'] is None" "d[0]['state'] == '$(sys mydev0 state)' == 'idle'" \
		"d[0]['clients'] == 0" "d[0]['readable'] is True"
	run 0 "$CTL" list
	has_lines out 2
	has out '^mydev[0-9]+ +1209 +0001 +0 .* idle +0 +yes +e.* +mydev test +one$'
	empty err
}

# The columns of all lines begin where those of the header do.
table_is_safe() {
	run 0 "$CTL" list
	if grep -q $'\e' "$T/out"; then
		echo "an escape sequence of the device came through"
		return 1
	fi
	has out 'e\?\[2Jv\?\[31mil ä' # the other characters are left alone
	cp "$T/out" "$T/table"
	run 0 "$CTL" list --json
	json out "aligned('$T/table', MANUFACTURER='mydev test', PRODUCT_NAME='one', READABLE='yes')"
}

# on_terminal COLUMNS WORDS: what they print there goes to $T/tty.
on_terminal() {
	script -qec "stty cols $1; $2" /dev/null | tr -d '\r' >"$T/tty"
	grep -q . "$T/tty"
	[ "$(wc -L <"$T/tty")" -le "$1" ] || { cat "$T/tty"; return 1; }
}

# No line is broken; what is worth most is there.
list_fits() {
	on_terminal 80 "$CTL list"
	has tty '^NAME +VENDOR +PRODUCT .*SERIAL +PRODUCT-NAME$' '^mydev0 +1209 +0001 .* idle +0 .*e\?.* +one$'
	on_terminal 60 "$CTL list"
	has tty '^mydev0 +1209 +0001 .*\.\.\.'
	on_terminal 20 "$CTL list"
	on_terminal 200 "COLUMNS=80 $CTL list"
	has_lines tty 2
	[ "$(wc -L <"$T/tty")" -le 80 ]
	on_terminal 200 "$CTL list"
	has tty ' MANUFACTURER '
	# What is no terminal gets all, whatever somebody has exported.
	COLUMNS=20 run 0 "$CTL" list
	cmp "$T/out" "$T/table"
}

info_is_sysfs() {
	local usb
	usb=$(usb_path one)
	run 0 "$CTL" info --json
	json out \
		"all(d[k] == text('$SYS/' + k) for k in 'id_vendor id_product bcd_device manufacturer product serial speed ep_in'.split())" \
		"all(d[k] == int(text('$SYS/' + k)) for k in 'alternate_setting ep_in_max_packet transfers transfer_size pool_buffers block_timeout_ms'.split())" \
		"d['interface_number'] == int(text('$SYS/interface_number'), 16)" \
		"d['interface_class'] == text('$SYS/device/bInterfaceClass')" \
		"d['interface_subclass'] == text('$SYS/device/bInterfaceSubClass')" \
		"d['interface_protocol'] == text('$SYS/device/bInterfaceProtocol')" \
		"d['bus_number'] == int(text('$usb/busnum'))" \
		"d['device_number'] == int(text('$usb/devnum'))" \
		"d['id_vendor'] == text('$usb/idVendor')" "d['bcd_device'] == text('$usb/bcdDevice')" \
		"d['ep_out'] is None" "d['ep_out_max_packet'] is None" "d['abi_version'] == 1" \
		"{f.lower() for f in __import__('re').findall(r'define MYDEV_FEATURE_(\w+)', text('$SRC/uapi/linux/mydev.h'))} - set(d['features']) == {'write'}" \
		"d['lease_pid'] is None" "d['lease_command'] is None" \
		"d['max_clients'] > 1" "d['queue_depth'] is None" "d['max_queue_depth'] > 0"
	cp "$T/out" "$T/info.json"
	run 0 "$CTL" info
	empty err
	json info.json "as_text(d) == fields('$T/out')" "list(d) == list(fields('$T/out'))"
}

names() {
	local name
	ln -sf "$NODE" "$T/link"
	for name in 0 mydev0 /dev/mydev0 "$T/link"; do
		run 0 "$CTL" info --json "$name"
		json out "d['product'] == 'one'"
	done
	run 3 "$CTL" info /dev/null
	has err '/dev/null: this is not a mydev device' 'mydevctl list'
	run 3 "$CTL" info "$T/out"
	run 3 "$CTL" info 9
	has err '9: no such device' 'plugged in' 'ids=VVVV:PPPP'
}

questions_start_nothing() {
	run 0 "$CTL" list
	run 0 "$CTL" info
	run 0 "$CTL" stats --json
	json out "d['state'] == 'idle'" "d['packets'] == 0" "d['clients'] == 0" "d['in_flight'] == 0"
	[ "$(sys mydev0 state)" = idle ]
	[ "$(sim_stat one packets)" -eq 0 ]
}

# ------------------------------------------------------------------------- cat

cat_bytes() {
	run 0 "$CTL" cat -n 3M
	empty err
	[ "$(size_of "$T/out")" -eq $((3 << 20)) ]
	verified "$T/out"
	await 30 is_idle
	run 0 "$CTL" cat -n 20001 0
	[ "$(size_of "$T/out")" -eq 20001 ]
	verified "$T/out"
	run 0 "$CTL" cat -n 0
	empty out
}

cat_to_file() {
	echo old >"$T/file"
	run 3 "$CTL" cat -n 70K -o "$T/file" 9
	[ "$(cat "$T/file")" = old ]
	run 0 "$CTL" cat -n 70K -o "$T/file"
	empty out
	empty err
	[ "$(size_of "$T/file")" -eq $((70 << 10)) ]
	verified "$T/file"
	run 1 "$CTL" cat -o /dev/full
	has err 'cannot write /dev/full: No space left' 'after 0 bytes'
	run 1 "$CTL" cat -o /no/such/file
	has err 'cannot write /no/such/file: No such file'
}

cat_json() {
	run 0 "$CTL" cat -n 5000 --json
	[ "$(size_of "$T/out")" -eq 5000 ]
	has_lines err 1
	json err "d['bytes'] == 5000" "d['end'] == 'bytes'" "d['gaps'] == 0" "d['lost_bytes'] == 0" \
		"d['status'] == 0" "d['error'] is None" "0 < d['seconds'] < 60" \
		"d['name'] == 'mydev0'"
}

# Also where the device sends nothing, and where nobody takes the output.
cat_seconds() {
	local seconds
	# On a slow machine nothing may have come by then.
	for seconds in 0.5 1 2 4 8; do
		run 0 "$CTL" cat --seconds $seconds --json
		! grew "$T/out" || break
	done
	verified "$T/out"
	json err "d['end'] == 'seconds'" "$seconds <= d['seconds'] < $seconds + 10" "d['bytes'] > 0"
	trap 'sim_ctl one resume' EXIT
	sim_ctl one pause
	run 0 timeout 60 "$CTL" cat --seconds 0.3
	sim_ctl one resume
	mkfifo "$T/full"
	for seconds in 0.3 1 2 4 8; do
		exec 5<>"$T/full"
		"$CTL" cat --seconds $seconds --json >"$T/full" 2>"$T/err"
		exec 5<&-
		json err "d['bytes'] == 0" >/dev/null || break
	done
	json err "d['end'] == 'seconds'" "0 < d['bytes'] < 2**20"
}

cat_signals() {
	local signal
	for signal in INT TERM; do
		start cat "$CTL" cat
		await 30 grew "$T/cat.out"
		kill -$signal "$pid"
		ended 0 "$pid"
		has cat.err '^[0-9]+ bytes, [0-9.]+ s, [0-9.]+ MiB/s$'
		[ "$(cut -d' ' -f1 "$T/cat.err")" -eq "$(size_of "$T/cat.out")" ]
		verified "$T/cat.out"
	done
	start cat "$CTL" cat --json
	await 30 grew "$T/cat.out"
	kill -INT "$pid"
	ended 0 "$pid"
	json cat.err "d['end'] == 'signal'"
}

cat_pipes() {
	local statuses status
	"$CTL" cat 2>"$T/err" | head -c 1000 >"$T/out"
	statuses=${PIPESTATUS[*]}
	[ "$statuses" = "141 0" ] || { echo "statuses $statuses"; return 1; }
	empty err
	[ "$(size_of "$T/out")" -eq 1000 ]
	(
		trap '' PIPE
		status=0
		"$CTL" cat 2>"$T/err" || status=$?
		echo $status >"$T/status"
	) | head -c 1000 >"$T/out"
	[ "$(cat "$T/status")" -eq 1 ]
	empty err
}

cat_terminal() {
	local status=0 lines seconds
	script -qec "$CTL cat -n 10 2>&1" /dev/null >"$T/err" || status=$?
	[ $status -eq 2 ]
	has err 'is a terminal' '--force' '--packets'
	script -qec "$CTL cat -n 10 --force" /dev/null >"$T/out"
	grew "$T/out" 9
	# stderr is a terminal and the output is not: one line, again and again
	script -qec "$CTL cat --seconds 4.5 -o $T/file" /dev/null >"$T/err"
	lines=$(grep -aoE $'\r[0-9.]+ MiB  [0-9.]+ MiB/s' "$T/err" | wc -l)
	# Once in a second at most, and less often where it had to wait for a processor.
	has err '[0-9]+ bytes, [0-9]+\.[0-9] s'
	seconds=$(grep -aoE 'bytes, [0-9]+' "$T/err")
	[ "$lines" -ge 1 ]
	[ "$lines" -le "${seconds##* }" ]
	verified "$T/file"
}

# A reader gets all that the driver receives while it is there: 200 packets.
stats_count() {
	local before
	before=$(sys mydev0 stats/bytes)
	sim_ctl one count 0
	start cat "$CTL" cat
	await 30 is_running
	sim_ctl one count 200
	await 30 is_quiet
	run 0 "$CTL" stats --json
	json out "d['clients'] == 1" "d['state'] == 'running'" "d['in_flight'] > 0" \
		"all(d[k] == int(text('$SYS/stats/' + k)) for k in 'packets bytes zero_packets errors stalls ring_stops'.split())" \
		"d['free_buffers'] >= 0"
	cp "$T/out" "$T/stats.json"
	run 0 "$CTL" stats
	json stats.json "as_text(d) == fields('$T/out')"
	await 30 file_has "$T/cat.out" $(($(sys mydev0 stats/bytes) - before))
	verified "$T/cat.out"
	# An account that may only read has to be a reader for a moment.
	chmod 644 "$NODE"
	run 0 as nobody nogroup "$CTL" stats --json
	json out "d['clients'] == 1"
	chmod 600 "$NODE"
}

# ---------------------------------------------------------------- permissions

no_permission() {
	local command
	sim_ctl one count max
	chmod 600 "$NODE"
	for command in info cat stats config; do
		run 4 as nobody nogroup "$CTL" $command
		empty out
		has err 'permission denied' 'user root, group root, mode 0600' 'as root' \
			'70-mydev.rules' 'uaccess'
		# Nobody is told to join the group of root.
		if grep usermod "$T/err"; then return 1; fi
	done
	run 0 as nobody nogroup "$CTL" list --json
	json out "d[0]['readable'] is False" "d[0]['product'] == 'one'"
	run 0 as nobody nogroup "$CTL" list
	has out ' no '
	# What the udev rule does
	chgrp plugdev "$NODE"
	chmod 660 "$NODE"
	run 0 as nobody plugdev "$CTL" info --json
	json out "d['product'] == 'one'"
	run 0 as nobody plugdev "$CTL" cat -n 10K
	verified "$T/out"
	run 4 as nobody nogroup "$CTL" cat
	has err 'group plugdev, mode 0660' 'usermod -aG plugdev nobody$'
}

udev_rule() {
	local udevd=/lib/systemd/systemd-udevd pid
	[ -x $udevd ] || { echo "no udev on this machine"; return "$KTAP_SKIP"; }
	mkdir -p /run/udev/rules.d
	cp "$SRC/userspace/udev/70-mydev.rules" /run/udev/rules.d/
	chmod 600 "$NODE"
	chgrp root "$NODE"
	$udevd >"$T/udevd" 2>&1 &
	pid=$!
	# Nor does it outlive a failure, to meddle with the next cases.
	started+=("$pid")
	trap 'kill "${started[@]}" 2>/dev/null || :' EXIT
	await 60 udevadm control --timeout=10 --ping
	udevadm trigger --action=add --settle "$SYS"
	[ "$(stat -c '%G %a' "$NODE")" = "plugdev 660" ]
	udevadm info "$NODE" >"$T/out"
	kill "$pid"
	wait "$pid"
	trap - EXIT
	has out '^E: TAGS=.*:uaccess:'
	[ "$(printf "%s\n" 73-seat-late.rules "$(basename "$SRC"/userspace/udev/*.rules)" | sort | head -n 1)" = 70-mydev.rules ]
}

# ---------------------------------------------------------- unplugged, and more

# What arrived before is written, all of it, and the message says how much.
unplugged() {
	# Where the case before has failed it is unplugged yet.
	[ -n "$(<"$GADGET_ROOT/one/UDC")" ] || gadget_plug one
	await_node "$NODE"
	start cat "$CTL" cat "$@"
	await 30 grew "$T/cat.out" 100000
	gadget_unplug one
	ended 5 "$pid"
	verified "$T/cat.out"
}

unplugged_text() {
	unplugged
	has cat.err "^mydevctl: /dev/mydev[0-9]+: unplugged after $(size_of "$T/cat.out") bytes$"
	has_lines cat.err 1
	gadget_plug one
	await 30 node_is_there one
}

unplugged_json() {
	unplugged --json
	json cat.err "d['end'] == 'unplugged'" "d['status'] == 5" "d['bytes'] == $(size_of "$T/cat.out")"
	gadget_plug one
	await 30 node_is_there one
}

other_driver() {
	command -v strace >/dev/null || { echo "no strace on this machine"; return "$KTAP_SKIP"; }
	run 1 strace -qq -o /dev/null -e inject=ioctl:error=ENOTTY "$CTL" info
	has err 'older than this program' 'modinfo mydev'
}

two_devices() {
	gadget_create two ffs 1209 0001 S2
	sim_start two --endpoints out
	gadget_plug two
	await 30 node_is_there two
	run 0 "$CTL" list --json
	json out 'len(d) == 2' '{e["product"] for e in d} == {"one", "two"}' \
		'd[0]["name"] < d[1]["name"]'
	run 2 "$CTL" info
	has err 'more than one device' '^  mydev0$' '^  mydev1$'
	run 2 "$CTL" cat
	run 0 "$CTL" info --json mydev1
	json out "d['serial'] == 'S2'" "d['ep_in'] is None" "d['features'].count('read') == 0" \
		"d['ep_out'] == '$(sys mydev1 ep_out)'" "'write' in d['features']" "d['send_room'] >= d['send_size'] > 0"
	local command
	for command in cat "cat --packets" config; do
		# shellcheck disable=SC2086 # words
		run 1 "$CTL" $command mydev1
		has err 'no bulk IN endpoint'
	done
	gadget_destroy two
}

# gadget_destroy waits for nothing on the host side; the node has to go.
all_gone() {
	gadget_destroy one
	await_gone $NODE
	run 0 "$CTL" list --json
	json out 'd == []'
	rmmod mydev
	hcd_unload
}

ktap_begin
ktap_case "without the module the tool says how to load it" no_module
hcd_load 2 super=1 && insmod "$MYDEV_KO"
ktap_case "without a device it says what to look at, list only to people" no_device_yet
ktap_case "each command has --help with its options and the exit codes" help_of
ktap_case "wrong usage has status 2 and says what is wrong" usage_errors
ktap_case "a simulated device is plugged in" plug_one
ktap_case "list shows what sysfs knows" list_one
ktap_case "list is aligned and lets no escape sequence through" table_is_safe
ktap_case "list has no line that a terminal would break" list_fits
ktap_case "info shows what sysfs knows, as JSON and as text" info_is_sysfs
ktap_case "a device can be named by number, name, path and link" names
ktap_case "list, info and stats do not set a device streaming" questions_start_nothing
ktap_case "cat -n copies exactly N good bytes, and is quiet" cat_bytes
ktap_case "cat -o writes a file, and no failure goes unnoticed" cat_to_file
ktap_case "cat --json sums up on stderr" cat_json
ktap_case "cat --seconds ends in time, whatever blocks" cat_seconds
ktap_case "SIGINT and SIGTERM end cat with totals and status 0" cat_signals
ktap_case "cat ends quietly when nobody reads its output" cat_pipes
ktap_case "cat keeps binary from a terminal, and shows progress on one" cat_terminal
ktap_case "stats agrees with sysfs and does not count itself" stats_count
ktap_case "without permission: status 4, and what to do" no_permission
ktap_case "the udev rule sets group, mode and tag" udev_rule
ktap_case "cat says after how many bytes the device was unplugged" unplugged_text
ktap_case "cat --json says that the device was unplugged" unplugged_json
ktap_case "a driver that is too old is told" other_driver
ktap_case "with two devices the tool asks which one" two_devices
ktap_case "when the last device is gone the list is empty and the module unloads" all_gone
rm -rf "$T"
ktap_end
