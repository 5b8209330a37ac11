#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two interfaces of a device that nobody here wrote, with an interrupt endpoint: the
# stock CDC ACM function. What is checked is in tests/py/modem_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

NAME=modem
export MYDEV_NODE=/dev/mydev1
export GADGET_UDC=$GADGET_ROOT/$NAME/UDC

give_up() {
	echo "# modem: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

hcd_load 1 super=1 || give_up "dummy_hcd"
insmod "$MYDEV_KO" ids="\"1209:0001:00 class=02,1209:0001:01 class=0a\"" || give_up "insmod $MYDEV_KO"
gadget_create $NAME acm || give_up "the gadget"
gadget_plug $NAME || give_up "plugging in"
UDC=$(<"$GADGET_UDC")
export UDC
await_node $MYDEV_NODE 30 || give_up "there is no $MYDEV_NODE"

"$SRC/tests/py/modem_test.py"
status=$?

gadget_destroy_all || { echo "# modem: the gadget is not destroyed" && status=1; }
rmmod mydev || status=1
hcd_unload || status=1
exit "$status"
