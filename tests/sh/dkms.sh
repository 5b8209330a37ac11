#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The module as dkms has built and installed it (tests/vm/dkms-stage) is found
# by modprobe, by its name and by the device it is for.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"

RELEASE=$(uname -r)

as_dkms_left_it() {
	mount --bind "$BUILD/dkms/$RELEASE" "/lib/modules/$RELEASE"
	modinfo -F filename mydev
	[[ $(modinfo -F filename mydev) == /lib/modules/$RELEASE/updates/dkms/mydev.ko* ]]
}

loads_by_name() {
	modprobe mydev
	[ -d /sys/module/mydev ]
	modprobe -r mydev
	[ ! -d /sys/module/mydev ]
}

# The test id of the default table, as the kernel asks for a driver when such a
# device with a vendor-specific interface is plugged in.
loads_by_device() {
	modprobe usb:v1209p0001d0100dc00dsc00dp00icFFiscFFipFFin00
	[ -d /sys/module/mydev ]
	modprobe -r mydev
}

ktap_begin
ktap_case "dkms has put the module in updates/dkms" as_dkms_left_it
ktap_case "modprobe mydev loads it, modprobe -r removes it" loads_by_name
ktap_case "the modalias of a device with the test id loads it" loads_by_device
ktap_end
