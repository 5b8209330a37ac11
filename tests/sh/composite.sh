#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One USB device with three interfaces, each a simulated device of its own; the first
# answers requests to the device, too. What is checked is in tests/py/composite_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

NAME=left
export MYDEV_NODE=/dev/mydev0
export GADGET_UDC=$GADGET_ROOT/$NAME/UDC
export GADGET_RUN

give_up() {
	echo "# composite: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

hcd_load 1 super=1 || give_up "dummy_hcd"
insmod "$MYDEV_KO" || give_up "insmod $MYDEV_KO"
gadget_create $NAME ffs || give_up "the gadget"
for part in right other; do
	gadget_add $NAME $part || give_up "$part"
done
sim_start $NAME --endpoints both --count 0 --size 1000 --whole || give_up "the simulated device"
for part in right other; do
	sim_start $part --endpoints both --count 0 --size 1000 || give_up "$part"
done
gadget_plug $NAME || give_up "plugging in"
UDC=$(<"$GADGET_UDC")
export UDC
for node in 0 1 2; do
	await_node /dev/mydev$node 30 || give_up "there is no /dev/mydev$node"
done

"$SRC/tests/py/composite_test.py"
status=$?

gadget_destroy_all || { echo "# composite: the gadget is not destroyed" && status=1; }
rmmod mydev || status=1
hcd_unload || status=1
exit "$status"
