#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Alternate settings of a device that nobody here wrote, on all kernels: the data
# interface of the stock CDC Ethernet function has no endpoints in setting 0, and
# bulk endpoints in setting 1. What is checked is in tests/py/ethernet_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

NAME=net
export MYDEV_NODE=/dev/mydev0
export GADGET_UDC=$GADGET_ROOT/$NAME/UDC

give_up() {
	echo "# ethernet: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

hcd_load 1 super=1 || give_up "dummy_hcd"
insmod "$MYDEV_KO" ids=1209:0001:01 || give_up "insmod $MYDEV_KO"
gadget_create $NAME ecm || give_up "the gadget"
gadget_plug $NAME || give_up "plugging in"
UDC=$(<"$GADGET_UDC")
export UDC
await_node $MYDEV_NODE 30 || give_up "there is no $MYDEV_NODE"
# Its own traffic would be what the readers get.
ipv6=/proc/sys/net/ipv6/conf/usb0/disable_ipv6
[ ! -e $ipv6 ] || echo 1 >$ipv6 || give_up "usb0"
ip link set usb0 up || give_up "usb0"

"$SRC/tests/py/ethernet_test.py"
status=$?

gadget_destroy_all || { echo "# ethernet: the gadget is not destroyed" && status=1; }
rmmod mydev || status=1
hcd_unload || status=1
exit "$status"
