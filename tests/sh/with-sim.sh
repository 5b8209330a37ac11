#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# with-sim.sh [--high-speed] PROGRAM [mydev-sim options...]: plugs in a simulated
# device, at super speed unless told otherwise, runs build/tests/PROGRAM with it (its KTAP is the output of this script), and takes
# everything down again but dummy_hcd, which the next one needs as well; then the
# driver must be unloadable. A PROGRAM with a / is relative to the top of the project.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

super=1
[ "$1" != --high-speed ] || { super=0 && shift; }
PROGRAM=$BUILD/tests/$1
[[ $1 != */* ]] || PROGRAM=$SRC/$1
shift
NAME=sim
export UDC=dummy_udc.0
export GADGET_UDC=$GADGET_ROOT/$NAME/UDC
export SIM_SOCKET=$GADGET_RUN/$NAME/socket
export MYDEV_NODE=/dev/mydev0

give_up() {
	echo "# with-sim: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

hcd_load 1 super=$super || give_up "dummy_hcd"
insmod "$MYDEV_KO" || give_up "insmod $MYDEV_KO"
gadget_create $NAME ffs || give_up "the gadget"
sim_start $NAME --size 1000 --count 0 "$@" || give_up "the simulated device"
gadget_plug $NAME $UDC || give_up "plugging in"
await_node $MYDEV_NODE 30 || give_up "there is no $MYDEV_NODE"
# A test on a slow machine may take its time; those of eviction set their own.
stall=/sys/class/mydev/mydev0/block_timeout_ms
[ ! -e $stall ] || echo 0 >$stall || give_up "writing to $stall"

# What cmocka calls a test that was skipped is "not ok".
"$PROGRAM" | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] || echo "# ${PROGRAM##*/}: exit status $status"

# Also a test of its own: whatever the program did, nothing of it is left.
gadget_destroy_all || { echo "# with-sim: the gadget is not destroyed" && status=1; }
if ! rmmod mydev; then
	echo "# with-sim: mydev cannot be unloaded, in use: $(cat /sys/module/mydev/refcnt)"
	status=1
fi
exit "$status"
