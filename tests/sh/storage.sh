#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A disk that nobody here wrote: the kernel's mass-storage function, which halts its
# endpoints by design. What is checked is in tests/py/storage_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

NAME=disk
IMAGE=$(mktemp)
export IMAGE
export MYDEV_NODE=/dev/mydev0

give_up() {
	echo "# storage: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

head -c 1M /dev/urandom >"$IMAGE" || give_up "the image"
hcd_load 1 super=1 || give_up "dummy_hcd"
insmod "$MYDEV_KO" ids=1209:0001 || give_up "insmod $MYDEV_KO"
gadget_create $NAME mass_storage stall=1 lun.0/file="$IMAGE" || give_up "the gadget"
gadget_plug $NAME || give_up "plugging in"
await_node $MYDEV_NODE 30 || give_up "there is no $MYDEV_NODE"

"$SRC/tests/py/storage_test.py"
status=$?

gadget_destroy_all || { echo "# storage: the gadget is not destroyed" && status=1; }
rmmod mydev || status=1
hcd_unload || status=1
rm -f "$IMAGE"
exit "$status"
