#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Alternate settings of a device that nobody here wrote, on all kernels: the data
# interface of the stock CDC Ethernet function has no endpoints in setting 0, and
# bulk endpoints in setting 1. What is checked is in tests/py/ethernet_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/foreign.sh"

foreign_plug /dev/mydev0 1209:0001:01 ecm
# Its own traffic would be what the readers get.
ipv6=/proc/sys/net/ipv6/conf/usb0/disable_ipv6
[ ! -e $ipv6 ] || echo 1 >$ipv6 || give_up "usb0"
ip link set usb0 up || give_up "usb0"
foreign_run
