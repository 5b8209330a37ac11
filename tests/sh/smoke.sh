#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The bench itself: the guest runs the kernel it should, and a gadget that the
# kernel brings along can be plugged in. When this fails, nothing else counts.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"

GADGET=/sys/kernel/config/usb_gadget/smoke

right_kernel() {
	echo "running $(uname -r), expected $KERNEL_RELEASE"
	[ "$(uname -r)" = "$KERNEL_RELEASE" ]
}

guest_files() {
	if touch "$SRC/written" 2>/dev/null; then
		rm "$SRC/written"
		echo "$SRC can be written"
		return 1
	fi
	touch /tmp/written /run/written "$OUT/written" && rm "$OUT/written"
}

load_gadget_modules() {
	modprobe dummy_hcd is_super_speed=1
	modprobe libcomposite
	mount -t configfs configfs /sys/kernel/config
	[ -e /sys/class/udc/dummy_udc.0 ]
}

make_gadget() {
	mkdir "$GADGET" && cd "$GADGET"
	echo 0x0525 >idVendor
	echo 0xa4a0 >idProduct
	mkdir configs/c.1 functions/SourceSink.0
	ln -s functions/SourceSink.0 configs/c.1/
	echo dummy_udc.0 >UDC
}

# A device appears when its hub has looked; there is no event for it here
# without udev, so look again until the time is up.
device_is_there() {
	local end=$((SECONDS + 30))
	while [ $SECONDS -lt $end ]; do
		grep -qsx a4a0 /sys/bus/usb/devices/*/idProduct && return 0
		sleep 0.1
	done
	ls /sys/bus/usb/devices
	return 1
}

enumerates() {
	device_is_there
	[ "$(cat /sys/bus/usb/devices/2-1/speed)" = 5000 ] || { cat /sys/bus/usb/devices/*/speed; return 1; }
}

unplugs() {
	echo >"$GADGET/UDC"
	local end=$((SECONDS + 30))
	while grep -qsx a4a0 /sys/bus/usb/devices/*/idProduct; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
	rm "$GADGET/configs/c.1/SourceSink.0"
	rmdir "$GADGET/configs/c.1" "$GADGET/functions/SourceSink.0" "$GADGET"
	rmmod dummy_hcd
}

ktap_begin
ktap_case "the guest runs the kernel of its lane" right_kernel
ktap_case "the project is read-only, the result directory and /tmp are not" guest_files
ktap_case "dummy_hcd and libcomposite load" load_gadget_modules
ktap_case "a SourceSink gadget is made and bound" make_gadget
ktap_case "the host side sees it at SuperSpeed" enumerates
ktap_case "it unplugs, and dummy_hcd unloads" unplugs
ktap_end
