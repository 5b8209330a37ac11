#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sleep: the device suspends by itself while nobody streams, sends or controls,
# and wakes up when somebody does; streams go on when the system has frozen all
# programs and lets them go on.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"
. "$SRC/tests/lib/tool.sh"

USB=
PM=/sys/power

set_up() {
	# dummy_hcd cannot suspend a SuperSpeed port.
	hcd_load 1 super=0
	insmod "$MYDEV_KO"
	gadget_create one ffs
	sim_start one --endpoints both --verify-out=messages --size 1000 --count 0
	gadget_plug one
	await_node $NODE 30
	echo 0 >$SYS/block_timeout_ms
}

status_is() { [ "$(<"$USB/power/runtime_status")" = "$1" ]; }
asleep() { status_is suspended; }
awake() { status_is active; }

# stays COMMAND...: for a second
stays() {
	local i
	for ((i = 0; i < 20; i++)); do
		"$@" || { echo "no longer: $*" && return 1; }
		read -r -t 0.05 -u "$_gadget_never" || :
	done
}

can_sleep() {
	[ -e "$USB/power/runtime_status" ] || { echo "no runtime power management in this kernel" && exit $KTAP_SKIP; }
	awake || asleep || { echo "no runtime power management in this kernel" && exit $KTAP_SKIP; }
	stays awake
	echo 100 >"$USB/power/autosuspend_delay_ms"
	echo auto >"$USB/power/control"
	await 30 asleep
}

needs_sleep() {
	[ "$(<"$USB/power/control")" = auto ] || { echo "no runtime power management in this kernel" && exit $KTAP_SKIP; }
}

# An open descriptor does not keep it awake, nor do questions to the driver.
idle_descriptor() {
	local fd
	needs_sleep
	exec {fd}<>$NODE
	stays asleep
	run 0 "$CTL" info
	run 0 "$CTL" stats
	run 0 "$CTL" config
	stays asleep
	exec {fd}<&-
	stays asleep
}

reading_wakes() {
	local reader
	needs_sleep
	"$CHECK" --packets 300 $NODE &
	await 30 awake
	reader=$!
	sim_ctl one rate 100 >/dev/null
	sim_ctl one count 200 >/dev/null
	stays awake
	# Also when nothing has come for many times its delay; the last are yet to come.
	await 30 is_quiet
	stays awake
	sim_ctl one count 100 >/dev/null
	wait $reader
	await 30 asleep
}

sending_wakes() {
	local before
	needs_sleep
	before=$(sim_stat one out_packets)
	for _ in 1 2 3; do
		"$CHECK" --send 5:5000 --writer 1 --first "$((5 * (_sent++)))" $NODE
		await 30 asleep
	done
	[ "$(sim_stat one out_packets)" -eq $((before + 15)) ]
	[ "$(sim_stat one out_error)" = ok ]
}

# What waits to be sent keeps it awake, also when its program has closed.
waiting_to_send() {
	needs_sleep
	sim_ctl one refuse >/dev/null
	"$CHECK" --send 1:5000 --writer 2 $NODE &
	await 30 awake
	stays awake
	sim_ctl one accept >/dev/null
	wait $!
	await 30 asleep
}

control_wakes() {
	needs_sleep
	run 0 "$CTL" control vendor-in-interface 1 7 0 8
	has out '07 08 09 0a 0b 0c 0d 0e'
	await 30 asleep
	run 0 "$CTL" halt in
	await 30 asleep
	run 0 "$CTL" reset
	await 30 asleep
	reading_wakes
}

# Pulled out in its sleep, and put back.
unplugged_asleep() {
	local fd
	needs_sleep
	exec {fd}<>$NODE
	asleep
	gadget_unplug one
	await_gone $NODE
	run 1 "$CTL" cat </dev/null || :
	exec {fd}<&-
	gadget_plug one
	await_node $NODE 30
}

# --- the system sleeps --------------------------------------------------------

# How far it can go here: with all programs frozen. The levels after that put the
# files of a guest to sleep, which come from its host; see suspend.sh.
can_freeze() {
	[ -e $PM/pm_test ] && grep -qw freezer $PM/pm_test && grep -qw "$1" $PM/state
}

quiet() { [ "$(sim_stat one state)" = quiet ]; }

# frozen STATE: under a reader of bytes, one of records, and a writer
frozen() {
	local records reader writer i
	can_freeze "$1" || { echo "no suspend to $1 in this kernel" && exit $KTAP_SKIP; }
	echo on >"$USB/power/control"
	echo 0 >/sys/module/suspend/parameters/pm_test_delay 2>/dev/null || :
	"$CTL" cat --packets --json 0 >"$T/records" 2>"$T/records.err" &
	records=$!
	"$CHECK" --packets 2000 --first "$(sim_stat one next)" $NODE >"$T/reader" 2>&1 &
	reader=$!
	await 30 are_reading 2
	sim_ctl one rate 400 >/dev/null
	sim_ctl one count 2000 >/dev/null
	"$CHECK" --send 1000:3000 --writer $((10 + ${#1})) $NODE >"$T/writer" 2>&1 &
	writer=$!
	for i in 1 2 3; do
		echo freezer >$PM/pm_test
		echo "$1" >$PM/state
		is_running
		echo "$(<$SYS/stats/packets) packets, $(<$SYS/stats/sent_bytes) bytes sent"
	done
	echo none >$PM/pm_test
	wait $reader || { cat "$T/reader" && return 1; }
	wait $writer || { cat "$T/writer" && return 1; }
	kill -TERM $records
	wait $records || { cat "$T/records.err" && return 1; }
	# Nothing happened to the stream.
	if grep -e '"event"' -e '"gap"' "$T/records"; then
		return 1
	fi
	[ "$(sim_stat one out_error)" = ok ]
}

take_down() {
	gadget_destroy_all
	rmmod mydev
	hcd_unload
}

_sent=0
ktap_begin
ktap_case "a simulated device" set_up
USB=$(usb_path one)
ktap_case "nobody has it open: it sleeps, where that is allowed" can_sleep
ktap_case "an open descriptor does not keep it awake" idle_descriptor
ktap_case "who reads wakes it, and it stays awake" reading_wakes
ktap_case "who writes wakes it" sending_wakes
ktap_case "what waits to be sent keeps it awake" waiting_to_send
ktap_case "who controls wakes it" control_wakes
ktap_case "it can be unplugged in its sleep" unplugged_asleep
USB=$(usb_path one)
ktap_case "suspend to idle freezes all programs: streams go on" frozen freeze
ktap_case "suspend to RAM freezes all programs: streams go on" frozen mem
ktap_case "all can be taken down" take_down
ktap_end
