#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A device that nobody here wrote, behind a host controller as machines have it:
# QEMU's usb-serial, which is a copy of FTDI's chip, on its xHCI. What goes in at
# one end of its line has to come out at the other, a port of the same guest.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"
. "$SRC/tests/lib/xhci.sh"

BACK=

set_up() {
	modprobe xhci_pci
	modprobe virtio_console
	await 30 xhci_back
	insmod "$MYDEV_KO" ids=0403:6001:00
	await_node $NODE 30
}

is_what_it_is() {
	run 0 "$CTL" info --json
	json out "d['id_vendor'] == '0403'" "d['id_product'] == '6001'" "d['ep_in_max_packet'] == 64" \
		"d['ep_out_max_packet'] == 64"
}

# Vendor requests to the device, which has this one interface.
controls() {
	run 0 "$CTL" control vendor-out-device 3 0x001a 0
	run 0 "$CTL" control vendor-in-device 5 0 0 2 --json
	json out "len(d['data']) == 4"
	run 4 "$CTL" control standard-in-device 6 0x0100 0 18
	has err 'outside'
}

sends() {
	head -c 20000 /dev/urandom >"$T/sent"
	head -c 20000 <"$BACK" >"$T/received" &
	run 0 "$CTL" write "$T/sent"
	wait $!
	cmp "$T/sent" "$T/received"
}

# Each packet of 64 bytes begins with two of status.
has_all() {
	python3 -c '
import json, sys

out = bytearray()
for line in open(sys.argv[1], encoding="utf-8"):
    if not line.endswith("\n"):
        break
    data = bytes.fromhex(json.loads(line).get("payload", ""))
    for i in range(0, len(data), 64):
        out += data[i + 2:i + 64]
sys.stdout.buffer.write(out)' "$T/packets.out" >"$T/received"
	cmp -s "$T/sent" "$T/received"
}

receives() {
	head -c 20000 /dev/urandom >"$T/sent"
	start packets "$CTL" cat --packets --payload --json 0
	await 30 are_reading 1
	cat "$T/sent" >"$BACK"
	await 30 has_all || { ls -l "$T" && head -n 3 "$T/packets.out" && return 1; }
	kill -TERM "$pid"
	wait "$pid"
}

# Both ways at once, for two readers. The port can be opened once.
both_ways() {
	local line one two back
	head -c 100000 /dev/urandom >"$T/sent"
	head -c 30000 /dev/urandom >"$T/other"
	xhci_fresh_ring $SYS
	await_node $NODE 30
	start one "$CTL" cat 0
	one=$pid
	start two "$CTL" cat 0
	two=$pid
	await 30 are_reading 2
	exec {line}<>"$BACK"
	head -c 100000 <&"$line" >"$T/received" &
	back=$!
	cat "$T/other" >&"$line" &
	run 0 "$CTL" write "$T/sent"
	wait $back
	cmp "$T/sent" "$T/received"
	await 30 both_have
	kill -TERM "$one" "$two"
	wait "$one"
	wait "$two"
	cmp "$T/one.out" "$T/two.out"
}

both_have() {
	grew "$T/one.out" 30000 && file_has "$T/two.out" "$(size_of "$T/one.out")"
}

resets() {
	run 0 "$CTL" reset
	sends
}

# By the root of sysfs, as there is no hand to pull the plug.
unplugged() {
	local usb
	usb=$(readlink -f $SYS/device/..)
	start taken "$CTL" cat 0
	await 30 are_reading 1
	echo 1 >"$usb/remove"
	await_gone $NODE
	wait "$pid" && return 1
	has taken.err 'unplugged'
}

ktap_begin
ktap_case "the device is found behind the xHCI" set_up
xhci_back
ktap_case "what it says of itself" is_what_it_is
ktap_case "vendor requests to it" controls
ktap_case "what is written comes out of its line" sends
ktap_case "what goes into its line is read" receives
ktap_case "both ways at once, two readers" both_ways
ktap_case "it works after a reset" resets
ktap_case "taken away under a reader: the end is told" unplugged
ktap_case "the driver can be unloaded" rmmod mydev
modprobe -r xhci_pci
ktap_end
