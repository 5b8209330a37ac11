#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# with-peer.sh PROGRAM: loads vhci-hcd and the driver, and runs build/tests/PROGRAM,
# which plugs in what it needs itself (tests/sim/peer.h); its KTAP is the output of
# this script. Whatever it did, both must be unloadable afterwards.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

VHCI=/sys/devices/platform/vhci_hcd.0
export MYDEV_NODE=/dev/mydev0

give_up() {
	echo "# with-peer: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

# shellcheck disable=SC2317 # called by await
can_attach() { [ -e "$VHCI/attach" ]; }

# The kernel is told in time that a program has ended, and needs a moment.
# shellcheck disable=SC2317 # the same
can_unload() { [ "$(<"/sys/module/$1/refcnt")" = 0 ]; }

# unload MODULE COMMAND...
unload() {
	await 30 can_unload "$1" && "${@:2}" "$1" && return
	echo "# with-peer: $1 cannot be unloaded, in use: $(cat "/sys/module/$1/refcnt")"
	status=1
}

modprobe vhci-hcd || give_up "vhci-hcd"
await 30 can_attach || give_up "there is no $VHCI/attach"
insmod "$MYDEV_KO" || give_up "insmod $MYDEV_KO"

# What cmocka calls a test that was skipped is "not ok".
"$BUILD/tests/$1" | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] || echo "# $1: exit status $status"

unload mydev rmmod
unload vhci_hcd modprobe -r
exit "$status"
