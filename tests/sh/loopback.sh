#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The stock Loopback function at full speed: several programs write, several
# read, and each reader gets what all have written, each message in one piece.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

# Emulation with sanitizers takes its time.
MESSAGES=2000
[ "$LANE" != uml ] || MESSAGES=300

set_up() {
	hcd_load 1 super=1
	insmod "$MYDEV_KO"
	gadget_create loop loopback bulk_buflen=16384 qlen=32
	gadget_plug loop
	await_node $NODE 30
	echo 0 >/sys/class/mydev/mydev0/block_timeout_ms
}

# many WRITERS READERS SIZE
many() {
	local i pids=() pid bad=0
	for ((i = 0; i < $2; i++)); do
		"$CHECK" --by-writer --packets $(($1 * MESSAGES)) $NODE >"$T/reader$i" 2>&1 &
		pids+=($!)
	done
	await 30 are_reading "$2"
	for ((i = 0; i < $1; i++)); do
		"$CHECK" --send $MESSAGES:"$3" --terminate --writer $((i + 1)) $NODE >"$T/writer$i" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || bad=1
	done
	cat "$T"/reader* "$T"/writer*
	rm -f "$T"/reader* "$T"/writer*
	return $bad
}

# The function forgets what it had when it is reset.
after_reset() {
	"$SRC/userspace/mydevctl" reset
	many 2 2 24-3000
}

take_down() {
	gadget_destroy_all
	rmmod mydev
	hcd_unload
}

ktap_begin
ktap_case "a Loopback gadget" set_up
ktap_case "one writes, one reads: small messages" many 1 1 24-900
ktap_case "four write, three read: messages of all sizes" many 4 3 24-20000
ktap_case "three write, two read: messages longer than what is sent at once" many 3 2 30000-70000
ktap_case "after a reset" after_reset
ktap_case "all can be taken down" take_down
ktap_end
