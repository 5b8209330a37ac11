#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What mydevctl promises to those who share a device: packets, gaps, policies,
# the ring and who holds it up, rates.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

# send N [SIZE]: so many packets, and wait until the driver has them.
send() {
	[ $# -lt 2 ] || sim_ctl one size "$2" >/dev/null
	sim_ctl one count "$1" >/dev/null
	await 30 is_quiet
}

# What a case asked the device to be is undone: the next one finds it as new.
replug() {
	gadget_unplug one
	await_gone $NODE
	gadget_plug one
	await_node $NODE 30
}

plug_one() {
	gadget_create one ffs
	sim_start one --size 1000 --count 0 --zlp-every 10
	gadget_plug one
	await_node $NODE 30
}

usage_errors() {
	local words
	while IFS='|' read -r words text; do
		# shellcheck disable=SC2086 # words
		run 2 "$CTL" $words
		has err "$text"
	done <<'TABLE'
cat --packets -n 10|with --packets use --count
cat --count 10|--count needs --packets
cat --payload|--payload needs --packets
cat --clock realtime|--clock needs --packets
cat --packets --clock sundial|monotonic, boottime and realtime: sundial
cat --policy hope|lossless, drop-oldest and drop-newest: hope
cat --depth 4294967296|whole number up to 4294967295
cat --latency 1ms|whole number up to 4294967295
cat --watermark 4G|whole number up to 4294967295
cat --packets --count x|not a number of packets
cat --from newest|not \"oldest\", a sequence number, or a time such as -2s: newest
cat --from -2|not \"oldest\".*: -2$
cat --from -s|not \"oldest\".*: -s$
cat --from 2s|not \"oldest\".*: 2s$
config --transfers -1|not a whole number
config --log-entries 4K|not a whole number
config --pool 3X|not a number of bytes.*64K
config --block-timeout-ms 1s|not a whole number
config 0 1|one device only: 1
clients 0 1|one device only: 1
recovery --clear-halt=maybe|not one of halt, error and never: maybe
recovery --tries -1|not a whole number up to 4294967295
recovery --delay-ms 1s|not a whole number up to 60000
recovery --max-delay-ms 60001|not a whole number up to 60000
recovery 0 1|one device only: 1
restart 0 1|one device only: 1
stats --watch=0|not a time in seconds
TABLE
	run 0 "$CTL" cat --help
	has out '--packets' '--count=N' '--payload' '--policy=POLICY' '--clock=CLOCK' \
		'--watermark=BYTES' '--latency=US' '--depth=N' '--from=WHERE'
	run 0 "$CTL" config --help
	has out '--transfers=N' '--transfer-size=BYTES' '--pool=BYTES' '--log-entries=N' '--block-timeout-ms=MS'
	run 0 "$CTL" recovery --help
	has out '--clear-halt=WHEN' '--tries=N' '--delay-ms=MS' '--max-delay-ms=MS'
	run 0 "$CTL" stats --help
	has out '--watch\[=SECONDS\]'
}

# ---------------------------------------------------------------------- config

config_shows() {
	run 0 "$CTL" config --json
	json out "all(d[k] == int(text('$SYS/' + k)) for k in 'transfers transfer_size pool_bytes block_timeout_ms'.split())" \
		"d['name'] == 'mydev0'" "d['min_transfer_size'] == $(sys mydev0 ep_in_max_packet)" \
		"d['min_pool_bytes'] == (d['transfers'] + 2) * d['transfer_size']" \
		"all(d['min_' + k] <= d[k] <= d['max_' + k] for k in 'transfers transfer_size pool_bytes log_entries'.split())"
	cp "$T/out" "$T/config.json"
	run 0 "$CTL" config 0
	json config.json "as_text(d) == fields('$T/out')"
	is_idle
}

config_changes() {
	run 0 "$CTL" config --transfers 4 --transfer-size 5000 --pool 100K --block-timeout-ms 750 --json
	json out "(d['transfers'], d['transfer_size'], d['pool_bytes'], d['block_timeout_ms']) == (4, 4096, 25 * 4096, 750)" \
		"all(d[k] == int(text('$SYS/' + k)) for k in 'transfers transfer_size pool_bytes block_timeout_ms'.split())"
	run 0 "$CTL" config --transfers 2
	has out '^transfers +2$' '^transfer_size +4096$' '^pool_bytes +102400$' '^block_timeout_ms +750$'
	run 0 "$CTL" config --log-entries 1000
	has out '^transfers +2$' '^log_entries +1024$'
	run 0 "$CTL" config --transfers 3
	has out '^transfers +3$' '^log_entries +1024$'
	run 0 "$CTL" config --transfers 2 --log-entries 0
	has out '^log_entries +2048$'
	# 40 packets go round a ring of 2, in parts of 4096 bytes.
	start cat "$CTL" cat -n 200000
	await 30 is_running
	send 20 10000
	ended 0 "$pid"
	verified "$T/cat.out"
	replug
}

config_limits() {
	local words text
	run 0 "$CTL" config --transfers 32 --transfer-size 32K --pool 4M --json
	cp "$T/out" "$T/config.json"
	while IFS='|' read -r words text; do
		# shellcheck disable=SC2086 # words
		run 1 "$CTL" config $words
		empty out
		has err "$text"
	done <<'TABLE'
--transfers 0|transfers can be 1 to [0-9]+, not 0$
--transfers 1000|transfers can be 1 to [0-9]+, not 1000$
--transfers 4294967297|transfers can be 1 to [0-9]+, not 4294967297$
--transfer-size 1|transfer_size can be 1024 to [0-9]+, not 1$
--transfer-size 5G|transfer_size can be 1024 to [0-9]+, not 5368709120$
--pool 1K|pool_bytes can be 1114112 to [0-9]+, not 1024$
--pool 100G|pool_bytes can be 1114112 to [0-9]+, not 107374182400$
--transfers 64 --transfer-size 128K|pool_bytes can be 8650752 to [0-9]+, not [0-9]+$
--log-entries 511|log_entries can be 512 to [0-9]+, not 511$
--log-entries 4294967808|log_entries can be 512 to [0-9]+, not 4294967808$
--block-timeout-ms 4294967296|block_timeout_ms can be 0 to 4294967295, not 4294967296$
TABLE
	run 0 "$CTL" config --json
	cmp "$T/config.json" "$T/out"
	replug
}

config_roles() {
	chmod 666 "$NODE"
	run 0 as nobody nogroup "$CTL" config --transfers 8
	has out '^transfers +8$'
	run 4 as nobody nogroup "$CTL" config --block-timeout-ms 1
	has err 'only root can change block_timeout_ms'
	chmod 644 "$NODE"
	run 0 as nobody nogroup "$CTL" config
	run 4 as nobody nogroup "$CTL" config --transfers 4
	has err 'permission denied' 'mode 0644'
	chmod 600 "$NODE"
	replug
}

config_busy() {
	start cat "$CTL" cat
	await 30 is_running
	run 1 "$CTL" config --transfers 4
	empty out
	has err 'cannot change while somebody asks for data' '^ID +PID +ROLE' "^[0-9]+ +$pid +reading .* mydevctl$"
	has_lines err 4
	chmod 666 "$NODE"
	run 1 as nobody nogroup "$CTL" config --transfers 4
	has err 'cannot change while' 'Only root can see'
	chmod 600 "$NODE"
	# What is for everybody at any time
	run 0 "$CTL" config --block-timeout-ms 700
	has out '^block_timeout_ms +700$'
	kill -INT "$pid"
	ended 0 "$pid"
	run 0 "$CTL" config --transfers 4
	has out '^transfers +4$'
	replug
}

# -------------------------------------------------------------------- recovery

recovery_changes() {
	run 0 "$CTL" recovery --json
	json out "d == dict(name='mydev0', clear_halt='halt', tries=8, delay_ms=10, max_delay_ms=640)"
	cp "$T/out" "$T/recovery.json"
	run 0 "$CTL" recovery 0
	json recovery.json "as_text(d) == fields('$T/out')"
	run 0 "$CTL" recovery --clear-halt=error --tries 2 --delay-ms 5 --max-delay-ms 50 --json
	json out "d == dict(name='mydev0', clear_halt='error', tries=2, delay_ms=5, max_delay_ms=50)" \
		"all(text('$SYS/recovery/' + k) == str(d[k]) for k in d if k != 'name')"
	run 0 "$CTL" recovery --clear-halt never
	has out '^clear_halt +never$' '^tries +2$'
	run 1 "$CTL" recovery --delay-ms 51
	empty out
	has err 'delay_ms can be 1 to max_delay_ms, and that up to 60000; not 51 and 50$'
	has_lines err 1
	run 1 "$CTL" recovery --max-delay-ms 0
	chmod 644 "$NODE"
	run 0 as nobody nogroup "$CTL" recovery
	run 4 as nobody nogroup "$CTL" recovery --tries 1
	run 4 as nobody nogroup "$CTL" restart
	has err 'permission denied' 'mode 0644'
	chmod 600 "$NODE"
	run 0 "$CTL" restart
	empty out
	empty err
	is_idle
	replug
}

is_in_state() { [ "$(sys mydev0 state)" = "$1" ]; }

# Who has it open reads on.
restart_goes_on() {
	local reader
	run 0 "$CTL" recovery --tries 1 --delay-ms 1
	exec {reader}<"$NODE"
	sim_ctl one stall-always on >/dev/null
	run 1 head -c 1 <&"$reader"
	is_in_state failed
	run 1 head -c 1 <&"$reader"
	sim_ctl one stall-always off >/dev/null
	run 0 "$CTL" restart
	await 30 is_in_state running
	send 5 1000
	head -c 5000 <&"$reader" >"$T/restart.out"
	[ "$(stat -c %s "$T/restart.out")" = 5000 ]
	exec {reader}<&-
	replug
}

# --------------------------------------------------------------------- clients

has_read() {
	"$CTL" clients --json >"$T/out"
	json out "[c['read_packets'] for c in d if c['role'] == 'reading'] == [$1]" >/dev/null
}

clients_table() {
	local reader
	run 0 "$CTL" clients --json
	json out 'd == []'
	start first "$CTL" cat --packets --policy drop-newest
	reader=$pid
	await 30 is_running
	# One who never asks for data: what arrives stays in its queue.
	exec 6<"$NODE"
	send 3 1000
	await 30 has_read 3
	run 0 "$CTL" clients --json mydev0
	json out 'len(d) == 2' "len({c['id'] for c in d} - {0}) == 2" \
		"[(c['pid'], c['role'], c['mode'], c['policy'], c['lag_packets'], c['lag_bytes'], c['read_packets'], c['read_bytes'], c['lost_packets'], c['lost_bytes'], c['command']) for c in d if c['role'] == 'reading'] == [($reader, 'reading', 'packet', 'drop-newest', 0, 0, 3, 3000, 0, 0, 'mydevctl')]" \
		"[(c['role'], c['mode'], c['policy'], c['lag_packets'], c['lag_bytes'], c['read_packets']) for c in d if c['role'] == 'idle'] == [('idle', 'stream', 'lossless', 3, 3000, 0)]"
	run 0 "$CTL" clients
	has_lines out 3
	has out '^ID +PID +ROLE +MODE +POLICY +LAG-PACKETS +LAG-BYTES .* COMMAND$' \
		"^[0-9]+ +$reader +reading +packet +drop-newest +0 +0 .* mydevctl$" ' idle +stream +lossless +3 +3000 '
	is_running
}

clients_refused() {
	run 4 as nobody nogroup "$CTL" clients
	empty out
	has err 'clients cannot be read: Permission denied' 'Only root' 'as root'
	# In a mount namespace of its own, without debugfs.
	run 1 unshare -m sh -c "umount /sys/kernel/debug && exec $CTL clients"
	has err 'not mounted' 'mount -t debugfs'
	run 3 "$CTL" clients /dev/null
	has err 'not a mydev device' 'mydevctl list'
	run 3 "$CTL" clients 7
	has err '7: no such device'
}

# --------------------------------------------------------------------- packets

# 30 packets, and one of no bytes after each tenth: 33 transfers.
packets_json() {
	local sequence
	sequence=$(sys mydev0 stats/packets)
	start cat "$CTL" cat --packets --payload --json --count 33
	await 30 is_running
	send 30 100-5000
	ended 0 "$pid"
	json cat.out 'len(d) == 33' 'all(p["type"] == "packet" and p["status"] == 0 and p["flags"] == [] for p in d)' \
		"[p['sequence'] for p in d] == list(range($sequence, $sequence + 33))" \
		'all(len(p["payload"]) == 2 * p["length"] for p in d)' \
		'sum(not p["length"] for p in d) == 3' \
		'all(a["timestamp_ns"] <= b["timestamp_ns"] for a, b in zip(d, d[1:]))' \
		'time.monotonic_ns() - 60e9 < d[0]["timestamp_ns"] <= time.monotonic_ns()' \
		"Path('$T/file').write_bytes(bytes.fromhex(''.join(p['payload'] for p in d))) > 0"
	verified "$T/file"
	json cat.err 'd["end"] == "packets"' 'd["packets"] == 33' 'd["gaps"] == 0' 'd["events"] == 0' \
		"d['bytes'] == $(size_of "$T/file")" 'd["status"] == 0'
}

packets_text() {
	start cat "$CTL" cat -p --count 12
	await 30 is_running
	send 11 24
	ended 0 "$pid"
	has_lines cat.out 12
	empty cat.err
	has cat.out '^packet [0-9]+  time [0-9]+\.[0-9]{9}  length 24  status 0  flags -  data [0-9a-f]{32}\.\.\.$' \
		'^packet [0-9]+  time [0-9.]+  length 0  status 0  flags -  data -$'
	start cat "$CTL" cat -p --count 1 --payload
	await 30 is_running
	send 1
	ended 0 "$pid"
	has cat.out ' data [0-9a-f]{48}$'
	# Text can go to a terminal.
	sim_ctl one count 1
	script -qec "$CTL cat -p --count 1" /dev/null >"$T/out"
	has out '^packet [0-9]+ '
}

packets_clock() {
	local clock now
	for clock in realtime boottime; do
		start cat "$CTL" cat -p --count 1 --json --clock $clock
		await 30 is_running
		send 1
		ended 0 "$pid"
		now="time.clock_gettime_ns(time.CLOCK_${clock^^})"
		json cat.out "$now - 60e9 < d['timestamp_ns'] <= $now"
	done
}

# Somebody reads, so the driver keeps what comes; others come when it has been read.
packets_from() {
	local sequence reader
	sequence=$(sys mydev0 stats/packets)
	start first "$CTL" cat --packets
	reader=$pid
	await 30 is_running
	send 8 1000
	run 0 "$CTL" cat --packets --json --from oldest --count 8
	json out "[p['sequence'] for p in d] == list(range($sequence, $sequence + 8))"
	json err "d['from'] == $sequence" "d['end'] == 'packets'" "d['gaps'] == d['lost_packets'] == 0"
	run 0 "$CTL" cat --packets --from $((sequence + 3)) --count 1
	has out "^packet $((sequence + 3)) "
	empty err
	run 0 "$CTL" cat -n 3000 --from $((sequence + 5))
	verified "$T/out"
	# Longer ago than this device is there; and too short ago for what has come.
	run 0 "$CTL" cat --packets --json --from -1000000s --count 1
	json err "d['from'] == $sequence"
	sleep 0.1
	run 0 "$CTL" cat --json --from=-0.001s --seconds 0.1
	json err "d['from'] > $sequence + 7" "d['bytes'] == 0"
	# What is not there any more, or yet.
	run 0 "$CTL" cat --packets --from 0 --count 1
	has out "^packet $sequence "
	has err "packet 0 is not there; this begins with packet $sequence$"
	start cat "$CTL" cat --packets --from 18446744073709551615 --count 1
	await 30 grew "$T/cat.err"
	# Ten in all, so that what comes next is not one that has no bytes.
	send 2
	ended 0 "$pid"
	has cat.err "packet 18446744073709551615 is not there; this begins with packet "
	kill -INT "$reader"
	ended 0 "$reader"
}

# A message longer than a transfer, and one longer than the tool's own buffer.
packets_long() {
	run 0 "$CTL" config --transfer-size 4K
	start cat "$CTL" cat -p --count 3 --json
	await 30 is_running
	send 1 10000
	ended 0 "$pid"
	json cat.out '[(p["length"], p["flags"]) for p in d] == [(4096, ["continues"]), (4096, ["continues"]), (1808, [])]'
	run 0 "$CTL" config --transfers 2 --transfer-size 256K --pool 2M
	start cat "$CTL" cat -p --count 1 --payload --json
	await 30 is_running
	send 1 262144
	ended 0 "$pid"
	json cat.out 'd["length"] == 262144' 'len(d["payload"]) == 524288'
	replug
}

events_are_told() {
	start cat "$CTL" cat -p --json
	start text "$CTL" cat -p
	await 30 are_reading 2
	sim_ctl one stall
	await 30 grew "$T/cat.out"
	await 30 grew "$T/text.out"
	send 1 100
	await 30 grep -q packet "$T/cat.out"
	json cat.out 'd[0]["type"] == "event"' 'd[0]["event"] == "stall"' 'd[0]["status"] == -32' \
		'd[0]["sequence"] == d[1]["sequence"]' 'd[0]["timestamp_ns"] > 0' 'd[1]["type"] == "packet"'
	has text.out '^event [0-9]+  time [0-9.]+  stall  status EPIPE$'
	kill -INT "${started[@]}"
	ended 0 "${started[0]}"
	ended 0 "${started[1]}"
	json cat.err 'd["events"] == 1' 'd["packets"] == 1'
}

# ------------------------------------------------------------ losing, or waiting

# What was received and what was lost make up all that was sent.
gaps_are_told() {
	local policy before
	mkfifo "$T/fifo"
	for policy in drop-oldest drop-newest; do
		before=$(sys mydev0 stats/packets)
		# The reader is kept from writing, and so from reading.
		exec 5<>"$T/fifo"
		exec 6<"$T/fifo"
		start cat sh -c "exec $CTL cat -p --json --payload --policy $policy --depth 4 >$T/fifo" 5<&- 6<&-
		await 30 is_running
		send 500 100
		exec 5<&-
		cat <&6 >"$T/got" 6<&- &
		started+=($!)
		await 30 has_read_all
		kill -INT "$pid"
		ended 6 "$pid"
		wait "${started[-1]}"
		exec 6<&-
		json got "any(r['type'] == 'gap' for r in d)" \
			"sum(r['packets'] if r['type'] == 'gap' else 1 for r in d) == $(sys mydev0 stats/packets) - $before" \
			"[a['sequence'] + a.get('packets', 1) for a in d[:-1]] == [b['sequence'] for b in d[1:]]"
		json cat.err 'd["gaps"] > 0' 'd["lost_packets"] > 0' 'd["status"] == 6' \
			'd["packets"] + d["lost_packets"] == 550'
	done
}

has_read_all() {
	"$CTL" clients --json >"$T/out"
	json out 'd[0]["lag_packets"] == 0' >/dev/null
}

gaps_in_stream() {
	exec 5<>"$T/fifo"
	exec 6<"$T/fifo"
	start cat sh -c "exec $CTL cat --policy drop-newest --depth 4 >$T/fifo" 5<&- 6<&-
	await 30 is_running
	send 400 1000
	exec 5<&-
	cat <&6 >"$T/got" 6<&- &
	started+=($!)
	await 30 has_read_all
	# The gap is told when the reader comes to it.
	send 1
	await 30 grew "$T/cat.err"
	kill -INT "$pid"
	ended 6 "$pid"
	wait "${started[-1]}"
	has cat.err 'data was lost behind byte [0-9]+' '[0-9]+ packets with [0-9]+ bytes were lost in [0-9]+ places'
}

# A stream with a gap after each packet is told of once a second, and summed up.
gaps_are_many() {
	local begin=$SECONDS told
	start cat "$CTL" cat --policy drop-newest --depth 1 -o /dev/null
	await 30 is_running
	send 3000 100
	await 30 has_read_all
	kill -INT "$pid"
	ended 6 "$pid"
	told=$(grep -c 'behind byte' "$T/cat.err")
	grep -oE 'lost in [0-9]+ places' "$T/cat.err" >"$T/places"
	read -r _ _ places _ <"$T/places"
	[ "$places" -gt 20 ] || { echo "only $places gaps"; return "$KTAP_SKIP"; }
	[ "$told" -le $((SECONDS - begin + 1)) ]
	has_lines cat.err $((told + 2))
}

depth_limit() {
	local max
	run 0 "$CTL" info --json
	max=$(grep -o '"max_queue_depth": [0-9]*' "$T/out")
	max=${max##* }
	run 1 "$CTL" cat --depth $((max + 1))
	has err "--depth can be 1 to $max, not $((max + 1))"
	run 1 "$CTL" cat --depth 0
	has err "--depth can be 1 to $max, not 0"
	run 0 "$CTL" cat --depth "$max" -n 0
	is_idle
}

# 2000 bytes wait for more, 6000 do not, and with a bound a lone packet does not.
watermark() {
	start mark "$CTL" cat --watermark 5000
	await 30 is_running
	send 20 100
	run 0 "$CTL" clients --json
	json out "d[0]['lag_bytes'] == 2000" "d[0]['read_bytes'] == 0"
	send 40
	await 30 grew "$T/mark.out" 4999
	kill -INT "$pid"
	ended 0 "$pid"
	start bound "$CTL" cat --watermark 5000 --latency 20000
	await 30 is_running
	send 1
	await 30 file_has "$T/bound.out" 100
}

# ------------------------------------------------------------------------ rates

is_flowing() { [ "$(<"$SYS/stats/packets")" -gt "$flown" ]; }

watch_rates() {
	local flown
	flown=$(<"$SYS/stats/packets")
	start cat "$CTL" cat --policy drop-oldest -o /dev/null
	await 30 is_running
	sim_ctl one size 1000
	sim_ctl one rate 200
	sim_ctl one count max
	await 30 is_flowing
	start watch "$CTL" stats --watch=0.5 --json
	start text "$CTL" stats -w0.5
	await 30 grew "$T/watch.out" 1500
	await 30 grep -q running "$T/text.out"
	kill -INT "${started[@]}"
	ended 0 "${started[1]}"
	ended 0 "${started[2]}"
	empty watch.err
	empty text.err
	json watch.out 'len(d) >= 4' '0.4 < sum(s["seconds"] for s in d) / len(d) < 5' \
		'all(s["state"] == "running" and s["in_flight"] > 0 and s["errors"] == 0 for s in d)' \
		'all(abs(s["packets_per_second"] * s["seconds"] - s["packets"]) < 0.01 for s in d)' \
		'all(abs(s["bytes_per_second"] * s["seconds"] - s["bytes"]) < 10 for s in d)' \
		'40 < sum(s["packets"] for s in d) / sum(s["seconds"] for s in d) < 400' 'd[-1]["bytes"] == 1000 * (d[-1]["packets"] - d[-1]["zero_packets"])'
	has text.out '^ +PACKETS/S +MIB/S +SENT-MIB/S +STOPS +ERRORS +CLIENTS +IN-FLIGHT +FREE +STATE$' \
		'^ +[0-9.]+ +0\.[0-9]+ +0\.00 +0 +0 +[0-9]+ +[0-9]+ +[0-9]+  running$'
}

on_terminal_80() {
	script -qec "stty cols 80; $1" /dev/null | tr -d '\r' >"$T/tty"
	[ "$(wc -L <"$T/tty")" -le 80 ] || { cat "$T/tty"; return 1; }
}

# One line that is written again and again, and the signal leaves it whole.
watch_terminal() {
	local columns
	sim_ctl one count 0
	script -qec "timeout -s INT 5 $CTL stats --watch=0.2; echo status \$?" /dev/null >"$T/out"
	[ "$(grep -aco 'PACKETS/S' "$T/out")" -eq 1 ]
	[ "$(grep -ao $'\r *[0-9.]* *[0-9.]* ' "$T/out" | wc -l)" -ge 2 ]
	has out 'idle' '^status (0|124)'
	is_idle
	for columns in 80 30; do
		script -qec "stty cols $columns; timeout -s INT 3 $CTL stats --watch=0.2 || :" /dev/null >"$T/out"
		# All is written over the same line, which must not be broken.
		tr '\r' '\n' <"$T/out" | sed 's/\x1b\[K//' >"$T/tty"
		[ "$(wc -L <"$T/tty")" -gt $((columns - 15)) ]
		[ "$(wc -L <"$T/tty")" -lt $columns ] || { cat -A "$T/tty"; return 1; }
	done
	on_terminal_80 "$CTL clients"
	has tty 'COMMAND'
}

watch_unplugged() {
	start watch "$CTL" stats --watch=3600 --json
	await 30 has_clients 1
	gadget_unplug one
	ended 5 "$pid"
	json watch.out 'd["state"] == "gone"'
	has watch.err 'was unplugged'
	has_lines watch.err 1
	gadget_plug one
	await_node $NODE 30
}

all_gone() {
	gadget_destroy one
	await_gone $NODE
	rmmod mydev
	hcd_unload
}

ktap_begin
hcd_load 1 super=1 && insmod "$MYDEV_KO"
ktap_case "wrong usage has status 2 and says what is wrong" usage_errors
ktap_case "a simulated device is plugged in" plug_one
ktap_case "config shows the ring as sysfs knows it, and its limits" config_shows
ktap_case "config changes the ring, and data goes through it" config_changes
ktap_case "config names the limit of what it refuses, and changes nothing" config_limits
ktap_case "config needs permission to write, and root for block_timeout_ms" config_roles
ktap_case "config says who keeps the ring from being changed" config_busy
ktap_case "recovery shows and changes what is done after an error" recovery_changes
ktap_case "restart sets a failed stream going again for who has it open" restart_goes_on
ktap_case "clients shows who reads how, and what it lags behind" clients_table
ktap_case "clients says what to do where it cannot look" clients_refused
ktap_case "cat --packets --json has each packet, whole and in order" packets_json
ktap_case "cat --packets prints a line for each, also to a terminal" packets_text
ktap_case "cat --clock chooses the clock of the times" packets_clock
ktap_case "cat --from begins with what came before, and says where" packets_from
ktap_case "a packet longer than a transfer continues, the longest fits" packets_long
ktap_case "cat --packets tells a stall in its place" events_are_told
ktap_case "packets and gaps add up to what was sent, and status is 6" gaps_are_told
ktap_case "cat tells on stderr where its stream has a gap" gaps_in_stream
ktap_case "many gaps are a line a second, and a sum" gaps_are_many
ktap_case "cat --depth has a limit that is named" depth_limit
ktap_case "cat --watermark waits for more, --latency not for ever" watermark
ktap_case "stats --watch shows rates as lines and as JSON" watch_rates
ktap_case "stats --watch keeps to one line on a terminal" watch_terminal
ktap_case "stats --watch ends with status 5 when the device is unplugged" watch_unplugged
ktap_case "everything is let go of" all_gone
rm -rf "$T"
ktap_end
