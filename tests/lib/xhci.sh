# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The serial line of the device behind the emulated xHCI (tests/vm/guest.py): its other
# end is a port of the same guest. To be sourced.

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
