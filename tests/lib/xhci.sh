# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The device behind the emulated xHCI (tests/vm/guest.py), and its serial line, whose
# other end is a port of the same guest. To be sourced.

# Sets BACK to the device node of that port; fails as long as there is none.
xhci_back() {
	local port name
	for port in /sys/class/virtio-ports/*; do
		# The port is there before its name is.
		read -r name 2>/dev/null <"$port/name" || continue
		# shellcheck disable=SC2034 # for who sources this
		[ "$name" = back ] && BACK=/dev/${port##*/} && return
	done
	return 1
}

# xhci_fresh_ring DIRECTORY: configures the device of that node in sysfs anew, for
# whoever reads from it next. Of transfers that are taken back the newest kernels leave
# no-ops in the ring of the xHCI, which a real one passes over. QEMU's hands them on as
# transfers of no bytes, and may be out of step with the driver from then on.
xhci_fresh_ring() {
	local usb
	usb=$(readlink -f "$1/device/..")
	echo 1 >"$usb/bConfigurationValue"
}
