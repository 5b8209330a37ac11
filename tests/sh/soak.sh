#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# 200 unplugs while eight programs read, poll and query (60 on the kernels beside
# 6.1: the time is that of hubs and is the same everywhere): nobody hangs, nobody
# sees anything but a stream and its end, and nothing is left over. That the
# kernel did not complain is checked by who started the guest.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"

ROUNDS=60
[ "$LANE" != 6.1 ] || ROUNDS=200
T=$(mktemp -d)

set_up() {
	hcd_load 1 super=1
	insmod "$MYDEV_KO"
	gadget_create soak ffs
	sim_start soak --size 100-9000 --rate 3000
}

churn() {
	"$BUILD/tests/churn" /dev/mydev0 "$GADGET_ROOT/soak/UDC" dummy_udc.0 $ROUNDS >"$T/churn" && return
	cat "$T/churn"
	return 1
}

nothing_in_use() {
	local refs
	refs=$(cat /sys/module/mydev/refcnt)
	echo "module references: $refs"
	[ "$refs" -eq 0 ] && rmmod mydev && [ ! -e /sys/class/mydev ]
}

take_down() {
	gadget_destroy_all
	hcd_unload
}

ktap_begin
ktap_case "a simulated device" set_up
ktap_case "$ROUNDS unplugs: eight programs see verified streams, their ends, and nothing else" churn
sed 's/^/# /' "$T/churn"
ktap_case "the module is in use by nobody, and unloads" nothing_in_use
ktap_case "all can be taken down" take_down
ktap_end
