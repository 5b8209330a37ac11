#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What mydevctl promises to those who send to a device and control it.
#
# Besides the simulated device there are two that nobody here wrote, and that
# the kernel has: SourceSink, which refuses anything but zeros and knows two
# vendor requests; and Loopback, which answers each message with itself.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

# Of a stream that the device sent, some bytes at a time go back to it.
STREAM=2000000

# part BYTES: the next ones, in $T/part.
part() {
	local at
	at=$(<"$T/at")
	tail -c +$((at + 1)) "$T/stream" | head -c "$1" >"$T/part"
	[ "$(size_of "$T/part")" -eq "$1" ]
	echo $((at + $1)) >"$T/at"
}

# The device counts bytes when a short packet or a full request has come.
has_arrived() { [ "$(sim_stat one out_bytes)" -eq "$(<"$T/at")" ]; }

# The device has all parts, and in order.
arrived() {
	await 30 has_arrived
	[ "$(sim_stat one out_error)" = ok ]
}

transfers_are() { [ "$(sim_stat one out_transfers)" -eq "$1" ]; }

# The next case has another device.
other_device() {
	local name=$1 kind=$2
	shift 2
	gadget_destroy_all
	await_gone $NODE
	gadget_create "$name" "$kind"
	[ "$kind" != ffs ] || sim_start "$name" "$@"
	gadget_plug "$name"
	await_node $NODE 30
}

replug() {
	gadget_unplug "$1"
	await_gone $NODE
	gadget_plug "$1"
	await_node $NODE 30
}

# ----------------------------------------------------------------------- usage

usage_errors() {
	local words text
	while IFS='|' read -r words text; do
		# shellcheck disable=SC2086 # words
		run 2 "$CTL" $words
		has err "$text"
	done <<'TABLE'
write --chunk 0 0|not a number of bytes from 1 to 1G: 0
write --chunk 2G 0|not a number of bytes from 1 to 1G: 2G
write 0 file another|one device and one file only: another
transact|nothing to send
transact 0|nothing to send
transact 01 2|not data: 2 .*two hexadecimal digits
transact 01 xy|not data: xy
transact one two 01|not data: two .*two hexadecimal digits
transact 0x1|not data: 0x1 .*such as 01, 0x01 or 01fe
transact mydev0 0x|not data: 0x .*two hexadecimal digits
transact one two --file /dev/null|one device only: two
transact fe --file /dev/null|--file or the command line, not both
transact 01 --length 0|--length is a number from 1 to 65536, not 0
transact 01 --length 65537|--length is a number from 1 to 65536
transact 01 --timeout-ms 60001|not a time from 1 to 60000 milliseconds
transact 01 --raw --json|--raw and --json exclude each other
transact --file /dev/null|is empty: there is nothing to send
control|a REQUEST_TYPE, a REQUEST, a VALUE and an INDEX
control 0xc1 1 0|a REQUEST_TYPE, a REQUEST, a VALUE and an INDEX
control 0 vendor-in 1 0 0 1|not a REQUEST_TYPE: vendor-in .*vendor-in-interface or 0xc1
control 0 vendor-in-in 1 0 0 1|not a REQUEST_TYPE
control 0 0x100 1 0 0 1|not a REQUEST_TYPE
control 0xc1 256 0 0 1|REQUEST is a number from 0 to 255 or 0xff, not 256
control 0xc1 1 0x10000 0 1|VALUE is a number from 0 to 65535 or 0xffff, not 0x10000
control 0xc1 1 0 x 1|INDEX is a number from 0 to 65535
control 0xc1 1 0 0|LENGTH is missing
control 0xc1 1 0 0 65536|LENGTH is a number from 1 to 65535, not 65536
control 0xc1 1 0 0 1 2|has one LENGTH: 2
control 0xc1 1 0 0 1 --file x|--file is for data that is sent
control 0x41 1 0 0 --raw|--raw is for data that comes
control 0x41 1 0 0 1|not data: 1 .*two hexadecimal digits
control 0x41 1 0 0 01 --file x|--file or the command line, not both
lease 0 true|a command goes behind --
lease --wait=1s|not a time in milliseconds: 1s
lease --json -- true|--json is for a lease without a command
alt 0 256|N is a number from 0 to 255, not 256
alt 0 1 2|one device and one N only: 2
halt|which endpoint. in or out
halt in out|one endpoint only: out
halt 0 in 1|one device only
reset 0 1|one device only: 1
revoke|which descriptor. mydevctl clients
revoke 0|not an ID: 0
revoke 0 x|not an ID: x
revoke 0 1 2|one device and one ID only: 2
TABLE
}

no_device() {
	local words
	for words in "write" "transact 01" "control 0xc1 1 0 0 1" "lease -- true" "alt" "alt 1" \
		"halt in" "reset" "revoke 1"; do
		# shellcheck disable=SC2086 # words
		run 3 "$CTL" $words </dev/null
		empty out
		has err 'no mydev device found' 'plugged in'
	done
	run 3 "$CTL" write 7 /dev/null
	has err '7: no such device'
}

# ----------------------------------------------------------------------- write

plug_one() {
	gadget_create one ffs
	sim_start one --endpoints both --verify-out --size 1000 --count 0
	gadget_plug one
	await_node $NODE 30
	start cat "$CTL" cat -n $STREAM -o "$T/stream"
	await 30 is_running
	sim_ctl one count $((STREAM / 1000)) >/dev/null
	ended 0 "$pid"
	echo 0 >"$T/at"
}

write_file() {
	part 700001
	run 0 "$CTL" write "$T/part"
	empty out
	empty err
	arrived
	run 0 "$CTL" stats --json
	json out "d['sent_bytes'] == 700001" "d['sent_transfers'] > 0" "d['send_errors'] == 0" \
		"d['state'] == 'idle'"
	# Nothing at all is no message.
	run 0 "$CTL" write --json /dev/null
	json out "d['bytes'] == d['messages'] == d['read_bytes'] == 0" "d['end'] == 'done'"
}

# Messages have the size that was asked for, however their bytes come in.
write_input() {
	part 95001
	run 0 "$CTL" write --json --chunk 10000 <"$T/part"
	json out "d['name'] == 'mydev0'" "d['end'] == 'done'" "d['error'] is None" "d['status'] == 0" \
		"d['bytes'] == d['read_bytes'] == 95001" "d['messages'] == 10" \
		"d['failed_bytes'] == d['unsent_bytes'] == 0" "0 < d['seconds'] < 60"
	empty err
	part 4001
	{
		head -c 1000 "$T/part"
		sleep 0.2
		tail -c +1001 "$T/part"
	} | "$CTL" write --json --chunk 2K - >"$T/out"
	json out "d['bytes'] == 4001" "d['messages'] == 2"
	arrived
}

write_names() {
	local words
	ln -sf "$NODE" "$T/link"
	for words in "0 $T/part" "mydev0 $T/part" "/dev/mydev0 $T/part" "$T/link $T/part" "$T/part" \
		"0 -" "-" "$T/link" "0"; do
		part 333
		# shellcheck disable=SC2086 # words
		run 0 "$CTL" write $words <"$T/part"
		arrived
	done
	run 3 "$CTL" write nothing "$T/part"
	has err 'nothing: no such device'
	run 1 "$CTL" write "$T/nothing"
	has err "cannot read $T/nothing: No such file"
	run 1 "$CTL" write "$T"
	has err "cannot read $T: Is a directory" 'Of 0 bytes that were read .* 0 were sent'
	run 1 "$CTL" write --json "$T"
	json out "d['end'] == 'read-error'" "d['status'] == 1" "d['error'] == 'Is a directory'"
	empty err
	arrived
}

# Each message of whole packets is a transfer of the device.
write_terminated() {
	local before
	before=$(sim_stat one out_transfers)
	part 6144
	run 0 "$CTL" write --terminate --chunk 2048 "$T/part"
	await 30 transfers_are $((before + 3))
	part 3000
	run 0 "$CTL" write --terminate --chunk 1000 "$T/part"
	await 30 transfers_are $((before + 6))
	arrived
}

write_permission() {
	local words
	chmod 444 "$NODE"
	for words in "write /dev/null" "control 0x41 1 0 0" "lease" "alt 0" "halt out" "reset" "transact 01"; do
		# shellcheck disable=SC2086 # words
		run 4 as nobody nogroup "$CTL" $words
		empty out
		has err 'permission denied' 'mode 0444' 'uaccess'
	done
	run 0 as nobody nogroup "$CTL" alt
	chmod 622 "$NODE"
	part 333
	run 0 as nobody nogroup "$CTL" write "$T/part"
	arrived
	run 0 as nobody nogroup "$CTL" lease -- true
	chmod 600 "$NODE"
}

# ----------------------------------------------------------------------- lease

is_held() { [ -s "$T/holder.out" ]; }
is_free() { [ -z "$(sys mydev0 lease)" ]; }

lease_keeps_others_out() {
	local words holder
	run 0 "$CTL" info --json
	json out "d['lease_pid'] is None" "d['lease_command'] is None"
	start holder "$CTL" lease
	holder=$pid
	await 30 is_held
	has holder.out "^/dev/mydev0: process $holder holds the lease"
	run 0 "$CTL" info --json
	json out "d['lease_pid'] == $holder" "d['lease_command'] == 'mydevctl'"
	run 0 "$CTL" info
	has out "^lease_pid +$holder$" '^lease_command +mydevctl$'
	for words in "write $T/part" "control vendor-out-interface 1 0 0" "alt 0" "halt out" "reset" \
		"transact 01" "lease -- true" "lease --wait=0"; do
		# shellcheck disable=SC2086 # words
		run 1 "$CTL" $words
		empty out
		has err "/dev/mydev0: process $holder \(mydevctl\) holds the lease" 'lease --wait mydev0' \
			'revoke mydev0 ID'
	done
	run 1 "$CTL" lease --wait=200 -- true
	has err "process $holder \(mydevctl\) still holds the lease after 200 ms"
	run 1 "$CTL" write --json "$T/part"
	json out "d['end'] == 'send-error'" "d['bytes'] == 0" "d['status'] == 1"
	# Readers do not notice.
	start cat "$CTL" cat -n 5000
	await 30 is_running
	sim_ctl one count 5
	ended 0 "$pid"
	kill -INT "$holder"
	ended 0 "$holder"
	await 30 is_free
	part 333
	run 0 "$CTL" write "$T/part"
	arrived
}

lease_runs() {
	run 7 "$CTL" lease mydev0 -- sh -c 'exit 7'
	run 127 "$CTL" lease -- /no/such/command
	has err 'cannot run /no/such/command: No such file'
	run 126 "$CTL" lease -- "$T/part"
	has err 'cannot run .*: Permission denied'
	is_free
	# Through the descriptor itself, and by commands that find it on their own.
	part 333
	cat >"$T/steps" <<-END
		cat $T/part >&\$MYDEV_FD || exit 1
		$CTL info --json >$T/info || exit 2
		$CTL write $T/part.2 || exit 3
		$CTL write mydev0 $T/part.3 || exit 4
		$CTL halt out || exit 5
		$CTL lease -- $CTL halt out || exit 6
		exec env -u MYDEV_FD $CTL write $T/part.3
	END
	mv "$T/part" "$T/part.1"
	part 334
	mv "$T/part" "$T/part.2"
	part 335
	mv "$T/part" "$T/part.3"
	mv "$T/part.1" "$T/part"
	run 1 "$CTL" lease -- sh "$T/steps"
	has err 'process [0-9]+ \(.*\) holds the lease'
	json info "d['lease_pid'] > 0"
	arrived
	is_free
	run 1 env MYDEV_FD=77 "$CTL" write
	has err 'MYDEV_FD is 77: no open descriptor' 'pass_fds'
	run 1 env MYDEV_FD=0 "$CTL" halt out </dev/null
	has err 'MYDEV_FD is 0: this is not a mydev device'
	run 0 env MYDEV_FD=77 "$CTL" halt mydev0 out
}

lease_waits() {
	start holder "$CTL" lease --json
	await 30 is_held
	json holder.out "d['name'] == 'mydev0'" "d['lease_pid'] == $pid"
	start second "$CTL" lease --wait -- sh -c "exec $CTL info --json"
	start third "$CTL" lease --wait=30000 -- true
	sleep 0.3
	[ -z "$(<"$T/second.out")" ]
	kill -TERM "${started[0]}"
	ended 0 "${started[0]}"
	ended 0 "${started[1]}"
	ended 0 "${started[2]}"
	json second.out "d['lease_pid'] == ${started[1]} or d['lease_pid'] == ${started[2]}"
	await 30 is_free
}

# ---------------------------------------------------------------------- revoke

id_of() {
	"$CTL" clients --json >"$T/clients"
	python3 -c 'import json, sys; print(*[c["id"] for c in json.load(open(sys.argv[1])) if c["pid"] == int(sys.argv[2])])' \
		"$T/clients" "$1"
}

revokes() {
	local id holder
	start holder "$CTL" lease
	holder=$pid
	await 30 is_held
	id=$(id_of "$holder")
	run 0 "$CTL" clients
	has out '^ID +PID ' "^$id +$holder "
	chmod 666 "$NODE"
	run 4 as nobody nogroup "$CTL" revoke "$id"
	has err 'only root can take a descriptor away'
	chmod 600 "$NODE"
	run 1 "$CTL" revoke 0 4000000000
	has err 'no descriptor has the id 4000000000' 'mydevctl clients mydev0'
	run 0 "$CTL" revoke 0 "$id"
	empty out
	empty err
	ended 1 "$holder"
	has holder.err 'descriptor was revoked'
	await 30 is_free
	part 333
	run 0 "$CTL" write "$T/part"
	arrived
	start cat "$CTL" cat --json
	await 30 is_running
	run 0 "$CTL" revoke "$(id_of "$pid")"
	ended 1 "$pid"
	json cat.err "d['end'] == 'read-error'" "'revoked' in d['error']"
}

# ---------------------------------------------------------- no endpoint, no way

one_way() {
	other_device two ffs --endpoints in --count 0
	run 1 "$CTL" write /dev/null
	has err 'no bulk OUT endpoint' 'mydevctl alt'
	run 1 "$CTL" transact 01
	has err 'no bulk OUT endpoint'
	run 1 "$CTL" halt out
	has err 'no bulk OUT endpoint'
	run 0 "$CTL" halt in
	run 0 "$CTL" lease -- "$CTL" halt in
	other_device two ffs --endpoints out
	run 1 "$CTL" transact 01
	has err 'no bulk IN endpoint'
	run 1 "$CTL" halt in
	has err 'no bulk IN endpoint'
	printf 'ab\ncd\n' >"$T/part"
	run 0 "$CTL" lease -- "$CTL" write "$T/part"
	run 0 "$CTL" alt
	has out '^ep_in +-$' '^alternate_setting +0$'
}

# ------------------------------------------------------------------ SourceSink

plug_sourcesink() {
	other_device source sourcesink
	head -c 300000 /dev/zero >"$T/zeros"
	head -c 300000 /dev/zero | tr '\0' x >"$T/other"
	run 0 "$CTL" write --json --chunk 100000 "$T/zeros"
	json out "d['bytes'] == 300000" "d['messages'] == 3"
}

# What was sent and what was not add up, and the next write is a new one.
write_refused() {
	run 1 "$CTL" write --chunk 20000 "$T/other"
	empty out
	has err 'the device refused data: it stalled' \
		'Of [0-9]+ bytes that were read from .*other, [0-9]+ were sent, [1-9][0-9]* were lost, 0 are on their way, [0-9]+ were not tried\.$'
	run 1 "$CTL" write --json --chunk 20000 "$T/other"
	empty err
	json out "d['end'] == 'send-error'" "d['status'] == 1" "'refused' in d['error']" \
		"0 < d['bytes'] < 300000" "d['failed_bytes'] > 0" "d['unsent_bytes'] == 0" \
		"d['bytes'] + d['failed_bytes'] <= d['read_bytes']"
	# One that is taken as a whole, and refused from its second transfer on.
	head -c 100000 "$T/other" >"$T/part"
	run 1 "$CTL" write --json "$T/part"
	json out "d['read_bytes'] == 100000" "d['bytes'] > 0" "d['failed_bytes'] > 0" "d['unsent_bytes'] == 0"
	run 0 "$CTL" write --json "$T/zeros"
	json out "d['bytes'] == 300000" "d['failed_bytes'] == 0"
	run 0 "$CTL" stats --json
	json out "d['send_errors'] >= 3"
}

has_sent() { [ "$(<"$SYS/stats/sent_bytes")" -gt "$1" ]; }

write_interrupted() {
	local before signal
	for signal in INT TERM; do
		before=$(<"$SYS/stats/sent_bytes")
		start write "$CTL" write --json /dev/zero
		await 30 has_sent $((before + 1000000))
		kill -$signal "$pid"
		ended 1 "$pid"
		json write.out "d['end'] == 'signal'" "d['bytes'] > 1000000" "d['failed_bytes'] == 0" \
			"d['bytes'] + d['unsent_bytes'] <= d['read_bytes']" "d['status'] == 1"
	done
	# One that waits for its input.
	mkfifo "$T/input"
	exec 5<>"$T/input"
	start write sh -c "exec $CTL write <$T/input" 5<&-
	await 30 has_clients 1
	kill -INT "$pid"
	ended 1 "$pid"
	has write.err 'interrupted' 'Of 0 bytes'
}

# One line on a terminal, again and again.
write_progress() {
	script -qec "timeout -s INT 8 $CTL write /dev/zero" /dev/null >"$T/out" || :
	grep -aqE $'\r[0-9.]+ MiB  [0-9.]+ MiB/s' "$T/out"
	has out 'interrupted'
	script -qec "$CTL write $T/zeros" /dev/null >"$T/out"
	has out '300000 bytes, [0-9.]+ s, '
}

# unplugged_under NAME...: their processes, until they have ended; false if one of
# them was told of an error instead: the device that leaves does not answer, and
# the hub was late in telling why.
unplugged_under() {
	local name got bad=0
	gadget_unplug source
	for name; do
		got=0
		wait "${started[0]}" || got=$?
		started=("${started[@]:1}")
		[ $got -eq 5 ] && continue
		[ $got -eq 1 ] || { cat "$T/$name.err" && exit 1; }
		bad=1
	done
	return $bad
}

write_unplugged() {
	local before
	for _ in 1 2 3 4 5; do
		started=()
		before=$(<"$SYS/stats/sent_bytes")
		start write "$CTL" write /dev/zero
		start json "$CTL" write --json /dev/zero
		await 30 has_clients 2
		await 30 has_sent $((before + 1000000))
		! unplugged_under write json || break
		await_gone $NODE
		gadget_plug source
		await_node $NODE
	done
	has write.err '/dev/mydev0: unplugged$' \
		'Of [0-9]+ bytes that were read from /dev/zero, [1-9][0-9]* were sent'
	json json.out "d['end'] == 'send-error'" "d['bytes'] > 0" "d['status'] == 5" "'unplugged' in d['error']"
	gadget_plug source
	await_node $NODE 30
	start holder "$CTL" lease
	await 30 is_held
	gadget_unplug source
	ended 5 "$pid"
	has holder.err 'unplugged'
	gadget_plug source
	await_node $NODE 30
}

controls() {
	run 0 "$CTL" control vendor-out-device 0x5b 0 0 0x0102 fe ff0041
	empty out
	empty err
	run 0 "$CTL" control vendor-in-device 0x5c 0 0 7
	has out '^00000000  01 02 fe ff 00 41 .*  \|.....A.\|$' '^00000007$'
	run 0 "$CTL" control mydev0 0xc0 92 0 0 6 --json
	json out "d['data'] == '0102feff0041'" "d['bytes'] == 6" "d['request_type'] == 'c0'" \
		"(d['request'], d['value'], d['index'], d['name']) == (92, 0, 0, 'mydev0')"
	printf 'from a file' >"$T/part"
	run 0 "$CTL" control vendor-out-device 0x5b 0 0 --file "$T/part" --json
	json out "d['bytes'] == 11"
	run 0 "$CTL" control vendor-in-device 0x5c 0 0 11 --raw
	cmp "$T/part" "$T/out"
	run 0 "$CTL" control vendor-out-device 0x5b 0 0 --file - --timeout-ms 20000 <"$T/part"
	script -qec "$CTL control vendor-in-device 0x5c 0 0 11 --raw" /dev/null >"$T/out" || :
	has out 'standard output is a terminal' 'leave out --raw'
}

controls_refused() {
	local words text
	while IFS='|' read -r words text; do
		# shellcheck disable=SC2086 # words
		run 4 "$CTL" control $words
		empty out
		has err 'reach outside of the interface' "$text"
	done <<'TABLE'
standard-in-device 6 0x100 0 18|Standard requests are the kernel
standard-out-interface 11 1 0|mydevctl alt, halt and reset
vendor-in-interface 1 0 9 4|number of the interface, 0, in its low byte
class-in-endpoint 1 0 0x8f 4|address of one of its endpoints
vendor-in-other 1 0 0 4|interface, an endpoint or the device
TABLE
	run 1 "$CTL" control vendor-in-device 0x77 0 0 4
	has err 'the device refused this request: it stalled' 'manual'
	run 1 "$CTL" control vendor-out-device 0x5b 0 0 --file /no/such/file
	has err 'cannot read /no/such/file'
	run 1 "$CTL" control vendor-out-device 0x5b 0 0 --file /dev/zero
	has err '/dev/zero has more than 65535 bytes'
}

# Of SourceSink, dummy_hcd has only the first: it lacks isochronous endpoints.
one_setting() {
	run 0 "$CTL" alt --json
	json out "d['name'] == 'mydev0'" "d['alternate_setting'] == 0" "d['alternate_settings'] == 1" \
		"d['ep_in'] == '$(sys mydev0 ep_in)'" "d['ep_out'] == '$(sys mydev0 ep_out)'"
	run 0 "$CTL" alt mydev0
	has out '^alternate_setting +0$' '^alternate_settings +1$'
	run 0 "$CTL" alt 0 0
	has out '^alternate_setting +0$'
	run 1 "$CTL" alt 1
	empty out
	has err 'there is no alternate setting 1$' 'The interface has only one'
	run 0 "$CTL" write "$T/zeros"
}

# Both directions go on afterwards.
halts() {
	run 0 "$CTL" halt in
	empty out
	empty err
	run 0 "$CTL" halt 0 out
	run 0 "$CTL" write "$T/zeros"
	run 0 "$CTL" cat -n 100000
	[ "$(tr -d '\0' <"$T/out" | wc -c)" -eq 0 ]
}

# -------------------------------------------------------------------- Loopback

exchanges() {
	other_device loop loopback
	run 0 "$CTL" transact 0x01 02fe 4142
	has out '^00000000  01 02 fe 41 42 .*  \|...AB\|$' '^00000005$'
	empty err
	run 0 "$CTL" transact mydev0 --json 0102030405
	json out "d == {'name': 'mydev0', 'sent_bytes': 5, 'bytes': 5, 'truncated': False, 'data': '0102030405'}"
	head -c 3000 "$CTL" >"$T/part"
	run 0 "$CTL" transact --file "$T/part" --raw
	cmp "$T/part" "$T/out"
	run 0 "$CTL" transact 0 --file - --length 3000 --raw --timeout-ms 20000 <"$T/part"
	cmp "$T/part" "$T/out"
	run 6 "$CTL" transact --length 10 --json --file "$T/part"
	json out "d['bytes'] == 10" "d['truncated'] is True"
	has err 'the answer is longer than 10 bytes'
	head -c 70000 "$CTL" >"$T/part"
	run 1 "$CTL" transact --file "$T/part"
	has err 'more than 65536 bytes'
}

# The descriptor of the lease is a reader, and nobody reads it.
exchanges_leased() {
	cat >"$T/steps" <<-END
		for i in 1 2 3 4 5; do
			$CTL transact --json 0\$i || exit 1
		done
	END
	run 0 "$CTL" lease -- sh "$T/steps"
	[ "$(grep -c '"bytes": 1' "$T/out")" -eq 5 ]
	has out '"data": "05"'
}

no_answer() {
	other_device mute ffs --endpoints both --count 0 --size 1000
	run 1 "$CTL" transact --timeout-ms 300 01
	empty out
	has err 'no whole answer came within 300 ms' '--timeout-ms' '--length' 'mydevctl clients'
	# A line that is typed is a message.
	printf 'ab\ncd\n' | script -qec "$CTL write --json" /dev/null >"$T/script"
	grep -aoE '"messages": [0-9]+' "$T/script" | grep -qx '"messages": 2'
}

# Not with SourceSink: a reader that may lose data never stops a device that is
# faster than the only processor.
resets() {
	chmod 666 "$NODE"
	run 4 as nobody nogroup "$CTL" reset
	has err 'only root can reset a device'
	chmod 600 "$NODE"
	start cat "$CTL" cat -p --json
	await 30 is_running
	run 0 "$CTL" reset mydev0
	empty out
	empty err
	await 30 grep -q '"event":"reset"' "$T/cat.out"
	sim_ctl mute count 1 >/dev/null
	await 30 grep -q '"type":"packet"' "$T/cat.out"
	kill -INT "$pid"
	ended 0 "$pid"
	echo again >"$T/part"
	run 0 "$CTL" write "$T/part"
}

# The second setting can only be written to; its packets would count differently.
alternates() {
	if ! "$MYDEV_SIM" --help | grep -q -- --alternate; then
		echo "the simulated device has no alternate settings"
		return "$KTAP_SKIP"
	fi
	if ! gadget_has_alternates; then
		echo "FunctionFS has no alternate settings here"
		return "$KTAP_SKIP"
	fi
	other_device alt ffs --endpoints both --alternate out --count 0
	run 0 "$CTL" alt
	has out '^alternate_setting +0$' '^alternate_settings +2$' '^ep_in +8.$'
	start cat "$CTL" cat -p --json
	await 30 is_running
	run 0 "$CTL" alt 1
	has out '^alternate_setting +1$' '^alternate_settings +2$' '^ep_in +-$' '^ep_out +0.$'
	[ "$(sys mydev0 alternate_setting)" -eq 1 ]
	run 1 "$CTL" alt 7
	has err 'there is no alternate setting 7' 'The interface has 2: 0 to 1'
	run 0 "$CTL" lease -- sh -c "$CTL write $T/at && $CTL reset && $CTL alt mydev0 0 --json"
	json out "d['alternate_setting'] == 0" "d['ep_in'] is not None"
	[ "$(sys mydev0 alternate_setting)" -eq 0 ]
	sim_ctl alt count 1
	await 30 grep -q '"type":"packet"' "$T/cat.out"
	kill -INT "$pid"
	ended 0 "$pid"
	json cat.out "[r.get('event', r['type']) for r in d] == ['alternate', 'reset', 'alternate', 'packet']"
}

all_gone() {
	gadget_destroy_all
	await_gone $NODE
	rmmod mydev
	hcd_unload
}

ktap_begin
hcd_load 1 super=1 && insmod "$MYDEV_KO"
ktap_case "wrong usage has status 2 and says what is wrong" usage_errors
ktap_case "without a device each command says what to look at" no_device
ktap_case "a simulated device is plugged in" plug_one
ktap_case "write sends a file, and is quiet" write_file
ktap_case "write makes messages of one size, however the input comes" write_input
ktap_case "write tells a device from a file, and no failure of the input goes unnoticed" write_names
ktap_case "write --terminate ends messages of whole packets" write_terminated
ktap_case "sending and controlling need permission to write" write_permission
ktap_case "a lease keeps others out, who are told by whom" lease_keeps_others_out
ktap_case "lease runs a command that sends through its descriptor" lease_runs
ktap_case "lease --wait waits for the one before" lease_waits
ktap_case "revoke takes away a lease and a reader, by root" revokes
ktap_case "an interface that lacks an endpoint is told" one_way
ktap_case "SourceSink takes zeros" plug_sourcesink
ktap_case "write says how much was sent when the device refuses, and the next one goes" write_refused
ktap_case "SIGINT and SIGTERM end write with totals" write_interrupted
ktap_case "write shows progress on a terminal" write_progress
ktap_case "write and lease say that the device was unplugged" write_unplugged
ktap_case "control brings and sends what the device has" controls
ktap_case "control says why a request is not made, and that one was refused" controls_refused
ktap_case "alt shows the alternate setting, and says how many there are" one_setting
ktap_case "halt clears both endpoints, and they go on" halts
ktap_case "transact prints what Loopback answers" exchanges
ktap_case "transact works under a lease, again and again" exchanges_leased
ktap_case "transact says that no answer came; a typed line is a message" no_answer
ktap_case "reset is for root, and readers go on" resets
ktap_case "alt changes the alternate setting, under a reader" alternates
ktap_case "everything is let go of" all_gone
rm -rf "$T"
ktap_end
