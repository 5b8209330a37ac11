#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which interfaces the driver binds, and what it says of those that it does not.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"

CHECK=$BUILD/tests/mydev-check
SYS=/sys/class/mydev
DRIVER=/sys/bus/usb/drivers/mydev
T=$(mktemp -d)
# It is loaded many times here, and most of it is for debuggers.
KO=$T/mydev.ko
# Each takes seconds to come and to go, whatever the kernel.
DEVICES=3
[ "$LANE" != 6.12 ] || DEVICES=8

# --- helpers ----------------------------------------------------------------

load() {
	insmod "$KO" "$@"
}

# refuses TOKEN IDS ERROR: not loaded with ids=IDS, and the log names the token
refuses() {
	dmesg --clear
	if insmod "$KO" "ids=\"$2\"" 2>"$T/error"; then
		echo "insmod took ids='$2'"
		rmmod mydev
		return 1
	fi
	grep "$3" "$T/error" || { cat "$T/error" && return 1; }
	dmesg >"$T/log"
	grep -F "mydev: ids: '$1' " "$T/log" || { cat "$T/log" && return 1; }
}

unload() {
	rmmod mydev && [ ! -e /sys/module/mydev ]
}

# The endpoints of an interface appear when the drivers have had their look at it.
settled() {
	local path
	path=$(usb_path "$1") && compgen -G "$path/*:1.0/ep_*" >/dev/null
}

plugged() {
	gadget_plug "$1" && await 30 settled "$1"
}

bound_node() {
	await 30 mydev_node "$1" >/dev/null && mydev_node "$1"
}

not_bound() {
	if mydev_node "$1"; then
		return 1
	fi
}

sourcesink() { gadget_create "$1" sourcesink "${@:2}"; }

# streams NAME: a simulated device delivers verified packets
streams() {
	local node
	node=$(bound_node "$1")
	"$CHECK" --packets 20 "$node"
}

no_devices() { ! compgen -G "$SYS/*" >/dev/null; }

take_down() {
	gadget_destroy_all && await 30 no_devices && { [ ! -e /sys/module/usbtest ] || rmmod usbtest; } &&
		{ [ ! -e /sys/module/mydev ] || unload; }
}

# with_driver PARAMETER COMMAND...: loaded for this alone
with_driver() {
	trap 'take_down || exit 1' EXIT
	load ${1:+"$1"}
	"${@:2}"
}

# --- the built-in id --------------------------------------------------------

default_id() {
	gadget_create sim ffs
	sim_start sim --size 1000
	gadget_plug sim
	streams sim
	[ "$(cat $SYS/mydev0/id_vendor):$(cat $SYS/mydev0/id_product)" = 1209:0001 ]
	[ "$(basename "$(readlink -f $SYS/mydev0/device/driver)")" = mydev ]
	[ -c /dev/mydev0 ]
	# This one has an IN endpoint only.
	[ -e $SYS/mydev0/ep_in ]
	[ ! -e $SYS/mydev0/ep_out ]
}

# The same ids on an interface of class 7, with bulk endpoints.
other_class() {
	local dir=$GADGET_ROOT/printer path
	if [ "$LANE" = uml ]; then
		echo "this kernel is built without a gadget function of another class"
		return "$KTAP_SKIP"
	fi
	# Like gadget_create(), which has no such kind.
	_gadget_prepare libcomposite
	_gadget_prepare usb_f_printer
	mkdir "$dir"
	mkdir -p "$dir/$GADGET_STRINGS" "$dir/configs/c.1/$GADGET_STRINGS" "$dir/functions/printer.0"
	_gadget_identity "$dir" printer 0x1209 0x0001 printer
	ln -s "$dir/functions/printer.0" "$dir/configs/c.1/"
	plugged printer
	path=$(usb_path printer)
	cat "$path"/*:1.0/bInterfaceClass
	[ "$(cat "$path"/*:1.0/bInterfaceClass)" = 07 ]
	not_bound printer
}

# --- ids= and new_id --------------------------------------------------------

ids_bind() {
	sourcesink one 0525 a4a0
	gadget_plug one
	bound_node one
	# One that comes after, with the id before it in the list.
	sourcesink two 1234 5678
	gadget_plug two
	bound_node two
	sourcesink three 1234 5679
	plugged three
	not_bound three
}

# driven_by DRIVER NAME
driven_by() {
	local path
	path=$(usb_path "$2") && [ "$(basename "$(readlink -f "$path"/*:1.0/driver)")" = "$1" ]
}

# Some of the same kind; the first entry of the list that fits one is not for this one. A
# driver that was loaded later is asked later, and gets what is left.
ids_serial() {
	modprobe usbtest
	sourcesink one 0525 a4a0
	plugged one
	not_bound one
	await 30 driven_by usbtest one
	sourcesink two 0525 a4a0
	gadget_plug two
	bound_node two
	sourcesink twelve 0525 a4a0
	gadget_plug twelve
	bound_node twelve
	driven_by mydev twelve
}

ids_conditions() {
	sourcesink one 0525 a4a0
	plugged one
	not_bound one
	sourcesink two 1234 5678
	gadget_plug two
	bound_node two
}

# A device with two interfaces, both of them could be ours.
two_interfaces() {
	gadget_create "$1" sourcesink "$2" "$3"
	local dir=$GADGET_ROOT/$1
	mkdir "$dir/functions/Loopback.$1"
	ln -s "$dir/functions/Loopback.$1" "$dir/configs/c.1/"
}

ids_one_interface() {
	local path
	two_interfaces pair 0525 a4a0
	gadget_plug pair
	bound_node pair
	path=$(usb_path pair)
	compgen -G "$path/*:1.0/bInterfaceNumber"
	[ "$(cat $SYS/mydev*/interface_number)" = 01 ]
}

ids_all_interfaces() {
	two_interfaces pair 0525 a4a0
	gadget_plug pair
	await 30 test -e $SYS/mydev1
	[ "$(cat $SYS/mydev*/interface_number | sort | tr '\n' ' ')" = "00 01 " ]
}

ids_bad() {
	local bad
	for bad in 1209 12345:0001 1209:00011 1209:0001:100 1209-0001 "1209 :0001" "1:1 bcd=2-1" "1:1 serial=a*b"; do
		refuses "$bad" "$bad" "Invalid parameters"
	done
	refuses 1209:xyz 0525:a4a0,1209:xyz,1234:5678 "Invalid parameters"
	refuses "" 1209:0001,,1209:0002 "Invalid parameters"
}

ids_good() {
	local good
	for good in "" 1:2 ABCD:ef01:FF 0525:a4a0:0 0x1234:0x5678 " 1:2 , 3:4, " "1:2 bcd=0100-01ff class=ff/00/01 serial=A1*"; do
		load "ids=\"$good\""
		unload
	done
}

ids_too_many() {
	local i list=1234:0
	for ((i = 1; i < 32; i++)); do
		list+=,1234:$i
	done
	load "ids=$list"
	unload
	refuses 5555:6666 "$list,5555:6666" "No space left"
}

new_id() {
	sourcesink one 0525 a4a0
	plugged one
	not_bound one
	echo "0525 a4a0" >$DRIVER/new_id
	bound_node one
	# And devices that come later.
	gadget_unplug one
	await 30 no_devices
	gadget_plug one
	bound_node one
}

# --- endpoints --------------------------------------------------------------

out_only() {
	gadget_create sim ffs
	sim_start sim --endpoints out
	gadget_plug sim
	bound_node sim
	[ ! -e $SYS/mydev0/ep_in ]
	[ -e $SYS/mydev0/ep_out ]
	[ "$(cat $SYS/mydev0/state)" = idle ]
	python3 - <<-'END'
		import errno, fcntl, os, select, struct
		fd = os.open("/dev/mydev0", os.O_RDWR)
		try:
		    os.read(fd, 1)
		    raise SystemExit("read from a device without IN endpoint")
		except OSError as error:
		    assert error.errno == errno.EOPNOTSUPP, error
		info = bytearray(struct.pack("I1020x", 1024))
		fcntl.ioctl(fd, 0xBD00, info)
		features, = struct.unpack_from("Q", info, 8)
		assert not features & 1, features
		poll = select.poll()
		poll.register(fd, select.POLLIN)
		assert not [e for _, e in poll.poll(0) if e & select.POLLIN]
	END
}

interrupt_only() {
	gadget_create sim ffs
	sim_start sim --endpoints none
	gadget_plug sim
	bound_node sim
	[ "$(cat $SYS/mydev0/ep_in_max_packet)" -eq 64 ]
	[ "$(cat $SYS/mydev0/pipe)" = "$(cat $SYS/mydev0/ep_in)" ]
	[ ! -e $SYS/mydev0/ep_out ]
}

high_speed() {
	gadget_create sim ffs max_speed=high-speed
	sim_start sim --size 1000 --endpoints both
	gadget_plug sim
	streams sim
	[ "$(cat $SYS/mydev0/speed)" = high-speed ]
	[ "$(cat $SYS/mydev0/ep_in_max_packet)" -eq 512 ]
	[ $(($(cat $SYS/mydev0/transfer_size) % 512)) -eq 0 ]
	[ -e $SYS/mydev0/ep_out ]
}

full_speed() {
	gadget_create sim ffs max_speed=full-speed
	sim_start sim --size 1000
	gadget_plug sim
	streams sim
	[ "$(cat $SYS/mydev0/speed)" = full-speed ]
	[ "$(cat $SYS/mydev0/ep_in_max_packet)" -eq 64 ]
}

# --- many -------------------------------------------------------------------

many_devices() {
	local i pids=() node
	for ((i = 0; i < $1; i++)); do
		gadget_create "dev$i" ffs
		sim_start "dev$i" --size 2000 --first $((i * 1000))
		gadget_plug "dev$i"
	done
	for ((i = 0; i < $1; i++)); do
		node=$(bound_node "dev$i")
		# Its own stream, not its neighbour's.
		"$CHECK" --first $((i * 1000)) --packets 200 "$node" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	[ "$(compgen -G "$SYS/*" | wc -l)" -eq "$1" ]
}

# The number of one that was unplugged is free, and nobody else's changes.
number_reused() {
	local node
	node=$(mydev_node dev1)
	gadget_unplug dev1
	await_gone "$node"
	gadget_create late ffs
	sim_start late --size 2000
	gadget_plug late
	[ "$(bound_node late)" = "$node" ]
	streams late
	"$CHECK" --sync --packets 20 "$(mydev_node dev0)"
}

unloads_while_plugged() {
	[ "$(cat /sys/module/mydev/refcnt)" -eq 0 ]
	unload
	[ ! -e $SYS ]
	[ ! -e /dev/mydev0 ]
	# And finds the devices that are there when it comes back.
	load
	await 30 test -c /dev/mydev0
	streams dev0
}

ktap_begin
ktap_case "a module without debugging information" strip --strip-debug -o "$KO" "$MYDEV_KO"
ktap_case "dummy_hcd has $DEVICES ports" hcd_load $DEVICES super=1
ktap_case "ids= takes what it documents" ids_good
ktap_case "ids= with a bad token: not loaded, and the log names the token" ids_bad
ktap_case "ids= with one id too many: not loaded, and the log names it" ids_too_many
ktap_case "1209:0001 with a vendor-specific interface is bound; an IN endpoint is enough" with_driver "" default_id
ktap_case "1209:0001 with an interface of another class is not" with_driver "" other_class
ktap_case "ids= binds each of its ids" with_driver ids=1234:5678,0525:a4a0,abcd:ef01 ids_bind
ktap_case "ids= with serial numbers binds those devices only, and leaves others to the next driver" \
	with_driver 'ids="0525:a4a0 serial=three,0525:a4a0 serial=two,0525:a4a0 serial=twe*"' ids_serial
ktap_case "ids= with a class, or with versions, binds what has them" \
	with_driver 'ids="0525:a4a0 class=fe,0525:a4a0 bcd=0000-0001,1234:5678 class=ff/0 bcd=0-ffff"' ids_conditions
ktap_case "ids= with an interface binds that interface only" with_driver ids=0525:a4a0:01 ids_one_interface
ktap_case "ids= without one binds all interfaces" with_driver ids=0525:a4a0 ids_all_interfaces
ktap_case "another id is not bound, but with new_id it is, now and later" with_driver "" new_id
ktap_case "an OUT endpoint alone: bound, read is EOPNOTSUPP" with_driver "" out_only
ktap_case "only an interrupt endpoint: bound" with_driver "" interrupt_only
ktap_case "a device at high speed, with IN and OUT endpoints" with_driver "" high_speed
ktap_case "a device at full speed" with_driver "" full_speed
ktap_case "the driver is loaded for the rest" load
ktap_case "$DEVICES devices at once, each with its own stream" many_devices $DEVICES
ktap_case "the number of an unplugged device is used again" number_reused
ktap_case "the module unloads with devices plugged in, and finds them again" unloads_while_plugged
ktap_case "all can be taken down" take_down
ktap_case "dummy_hcd unloads" hcd_unload
ktap_end
