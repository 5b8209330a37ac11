#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The whole system goes to sleep, under five clients of each device: as far as
# pm_test lets it go, which is back at once, and then really. Devices that send
# back what they are sent: in a bare guest QEMU's usb-serial behind an xHCI and
# behind an OHCI or UHCI (tests/vm/bare.py), and everywhere the kernel's Loopback gadget.
#
# From a suspend to idle nothing would wake an emulated machine: ACPI's event of the
# clock comes only out of deeper sleep. What drivers see of it is tested.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/xhci.sh"

PM=/sys/power
DELAY=/sys/module/suspend/parameters/pm_test_delay
CLASS=/sys/class/mydev
T=$(mktemp -d)

# By the first word of the name of its root hub.
declare -A NODE=() pid=() received=() sent=()
declare -A FRAMED=([xHCI]=framed [OHCI]=framed [UHCI]=framed [Dummy]="")

find_devices() {
	local dir hub
	for dir in "$CLASS"/*; do
		[ -e "$dir" ] || continue
		read -r hub <"$dir/device/../../product"
		NODE[${hub%% *}]=${dir##*/}
	done
	[ ${#NODE[@]} -eq "$1" ]
}

set_up() {
	local devices=1 dir
	if [ -n "${BARE:-}" ]; then
		modprobe xhci_pci
		modprobe ohci_pci
		modprobe uhci_hcd
		devices=3
	fi
	# dummy_hcd cannot suspend a SuperSpeed port.
	hcd_load 1 super=0
	insmod "$MYDEV_KO" ids=0403:6001,1209:0001
	gadget_create loop loopback
	gadget_plug loop
	await 20 find_devices "$devices"
	# A device that has lost its power is the same one afterwards; the default of
	# most kernels, not of all.
	for dir in "$CLASS"/*; do
		echo 1 >"$dir/device/../power/persist"
	done
	[ ! -e $DELAY ] || echo 0 >$DELAY
}

# count HUB: to $in and $out; fails where the device is gone
count() {
	{ read -r in <"$CLASS/${NODE[$1]}/stats/bytes" && read -r out <"$CLASS/${NODE[$1]}/stats/sent_bytes"; } 2>/dev/null
}

mark() {
	local hub in out
	for hub in "${!NODE[@]}"; do
		count "$hub" || continue
		received[$hub]=$in
		sent[$hub]=$out
	done
}

# All that are there, both ways, by so many bytes since the mark.
moved() {
	local hub in out
	for hub in "${!NODE[@]}"; do
		count "$hub" || continue
		[ "$in" -ge $((received[$hub] + $1)) ] && [ "$out" -ge $((sent[$hub] + $1)) ] || return
	done
}

can_sleep() {
	[ -e $PM/pm_test ] && grep -qw "${1%:*}" $PM/pm_test && grep -qw "${1#*:}" $PM/state
}

# sleeps "LEVEL:STATE..." HUB=EVENTS...: as often, under clients of all devices,
# which have to be told just that in the end, a regular expression
sleeps() {
	local sleep hub word
	for sleep in $1; do
		can_sleep "$sleep" || { echo "no ${sleep/:/ of suspend to } in this kernel" && exit $KTAP_SKIP; }
	done
	if [ -n "${NODE[xHCI]:-}" ]; then
		xhci_fresh_ring "$CLASS/${NODE[xHCI]}"
		await 20 find_devices ${#NODE[@]}
	fi
	for hub in "${!NODE[@]}"; do
		# shellcheck disable=SC2086 # a word or none
		"$BUILD/tests/round_trip" "/dev/${NODE[$hub]}" ${FRAMED[$hub]} >"$T/$hub" 2>&1 &
		pid[$hub]=$!
	done
	trap 'kill -9 "${pid[@]}" 2>/dev/null || :; cat "$T"/*' EXIT
	mark
	await 20 moved 20000
	for sleep in $1; do
		echo "$sleep"
		echo "${sleep%:*}" >$PM/pm_test
		echo "${sleep#*:}" >$PM/state
		mark
		await 20 moved 20000
	done
	kill "${pid[@]}" 2>/dev/null || :
	for hub in "${!NODE[@]}"; do
		wait "${pid[$hub]}"
	done
	trap - EXIT
	for word in "${@:2}"; do
		hub=${word%%=*}
		[ -n "${NODE[$hub]:-}" ] || continue
		[[ $(<"$T/$hub") =~ ${word#*=}$ ]] || { echo "$hub: $(<"$T/$hub") instead of ${word#*=}" && return 1; }
	done
}

# The emulated xHCI and UHCI forget their devices whenever they sleep, and dummy_hcd
# unplugs them: they are reset. The OHCI lets them sleep. Where programs are only frozen,
# devices know nothing of it.
in_part() {
	local sleep count=0
	for sleep; do
		[[ $sleep == freezer:* ]] || count=$((count + 1))
	done
	sleeps "$*" "xHCI= there, events:( reset){$count}" "OHCI= 0 lost, there, events:( resume){$count}" \
		"UHCI= there, events:( reset){$count}" \
		"Dummy= there, events:(( error)? reset){$count}"
}

# Nothing wakes the other guests.
really() {
	[ -n "${BARE:-}" ] || { echo "not in this guest" && exit $KTAP_SKIP; }
	sleeps none:mem "xHCI= there, events: reset" "OHCI= unplugged, events:" "UHCI= unplugged, events:" "Dummy= there, events:( error)? reset"
}

take_down() {
	gadget_destroy_all
	rmmod mydev
	hcd_unload
}

ktap_begin
ktap_case "devices that send back what they are sent" set_up
# Here, too: a case cannot set variables.
find_devices 0
ktap_case "programs, devices, platform, processors, core: streams go on with an event for each sleep" \
	in_part freezer:mem devices:mem platform:mem processors:mem core:mem freezer:freeze platform:freeze
ktap_case "really, and without power: streams go on, clients of the one that was pulled out are told" really
ktap_case "all can be taken down" take_down
ktap_end
