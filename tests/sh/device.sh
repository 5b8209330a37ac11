#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# device.sh [super=0|1] [mydev-sim options...]: the simulated device against
# device_test, which talks to it through usbfs; without our driver.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

SUPER=super=1
case ${1:-} in
super=*)
	SUPER=$1
	shift
	;;
esac
NAME=sim
export SIM_SOCKET=$GADGET_RUN/$NAME/socket
# Where there is no second setting, what is about it is skipped.
OPTIONS=(--endpoints both --size 1000 --count 0)
! gadget_has_alternates || OPTIONS+=(--alternate both)

give_up() {
	echo "# device: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

# shellcheck disable=SC2317 # called by await
is_configured() {
	local path
	path=$(usb_path "$NAME") && [ -d "$path:1.0" ]
}

hcd_load 1 "$SUPER" || give_up "dummy_hcd"
gadget_create $NAME ffs || give_up "the gadget"
sim_start $NAME "${OPTIONS[@]}" "$@" || give_up "the simulated device"
gadget_plug $NAME || give_up "plugging in"
await 30 is_configured || give_up "the host does not see it"

"$BUILD/tests/device_test" | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] || sim_ctl $NAME stats
gadget_destroy_all || status=1
hcd_unload || status=1
exit "$status"
