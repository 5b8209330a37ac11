#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples of the library do what they say, with a simulated device: every
# byte that it sent is in what they leave.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

EXAMPLES=$SRC/userspace/examples
PACKETS=150

plug_one() {
	gadget_create one ffs
	sim_start one --endpoints both --echo --size 65-5000 --count 0 --zlp-terminate
	gadget_plug one
	await_node $NODE 30
}

# Unplugged already, unless the case before has failed.
replug() {
	gadget_unplug one
	await_gone $NODE
	gadget_plug one
	await_node $NODE 30
}

# send_all: once the example asks, the device sends its packets; then the plug is
# pulled. $first is the counter of the first one.
send_all() {
	await 30 are_reading "$1"
	first=$(sim_stat one next)
	sim_ctl one count $PACKETS
	await 30 is_quiet
	gadget_unplug one
}

# all_there FILE: all that was sent, in order.
all_there() {
	"$CHECK" --first "$first" --json - <"$1" >"$T/check"
	json check "d['packets'] == $PACKETS"
}

# records FILE: of packet mode, in any order; their bytes go to FILE.bytes.
records() {
	python3 - "$1" <<'END'
import struct, sys
from pathlib import Path

data, packets, at = Path(sys.argv[1]).read_bytes(), {}, 0
while at < len(data):
    size, head, kind, length, _, sequence, time, status, _ = struct.unpack_from("=IHHIIQQiI", data, at)
    assert kind in (0, 2), f"a record of type {kind} at {at}"
    if kind == 0:
        assert sequence not in packets, f"packet {sequence} is there twice"
        assert status == 0 and time > 0
        packets[sequence] = data[at + head:at + head + length]
    at += size
assert at == len(data), "the last record is not whole"
numbers = sorted(packets)
assert numbers == list(range(numbers[0], numbers[-1] + 1)), "numbers are missing"
Path(sys.argv[1] + ".bytes").write_bytes(b"".join(packets[n] for n in numbers))
END
}

callbacks() {
	start example "$EXAMPLES/callbacks" $NODE
	send_all 1
	ended 0 "$pid"
	empty example.err
	all_there "$T/example.out"
}

ring() {
	start example "$EXAMPLES/ring"
	send_all 1
	ended 0 "$pid"
	empty example.err
	all_there "$T/example.out"
}

record() {
	start example "$EXAMPLES/record" "$T/file" $NODE
	send_all 1
	ended 0 "$pid"
	empty example.err
	records "$T/file"
	all_there "$T/file.bytes"
}

record_until_interrupted() {
	start example "$EXAMPLES/record" "$T/file"
	await 30 are_reading 1
	kill -INT "$pid"
	ended 0 "$pid"
	run 2 "$EXAMPLES/record"
	has err usage
}

uring() {
	start example "$EXAMPLES/uring" $NODE
	send_all 1
	ended 0 "$pid"
	empty example.err
	records "$T/example.out"
	all_there "$T/example.out.bytes"
}

transact() {
	run 0 "$EXAMPLES/transact" "what is your name?" $NODE
	empty err
	[ "$(<"$T/out")" = "what is your name?" ]
	run 0 "$EXAMPLES/transact" "and again"
	[ "$(<"$T/out")" = "and again" ]
	run 2 "$EXAMPLES/transact"
}

no_device() {
	local example
	for example in callbacks ring uring; do
		run 1 "$EXAMPLES/$example" 9
		empty out
		has err "^$example: no such device"
		has_lines err 1
	done
	echo old >"$T/file"
	run 1 "$EXAMPLES/record" "$T/file" 9
	has err '^record: no such device'
	has_lines err 1
	[ "$(<"$T/file")" = old ]
	run 1 "$EXAMPLES/transact" "hello" 9
	has err '^transact: no such device'
	run 2 "$EXAMPLES/record"
	has err '^usage: record FILE \[DEVICE\]$'
}

ktap_begin
hcd_load 1 super=1 && insmod "$MYDEV_KO"
ktap_case "a simulated device is plugged in" plug_one
ktap_case "transact: a request and its answer" transact
ktap_case "record: ends when it is interrupted" record_until_interrupted
ktap_case "callbacks: all bytes in order" callbacks
ktap_case "it is plugged in again" replug
ktap_case "ring: all bytes in order" ring
ktap_case "it is plugged in again" replug
ktap_case "record: all records, and all bytes in them" record
ktap_case "it is plugged in again" replug
ktap_case "uring: all records, and all bytes in them" uring
ktap_case "without the device they say so" no_device
gadget_destroy_all
rmmod mydev
hcd_unload
rm -rf "$T"
ktap_end
