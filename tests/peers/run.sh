#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Who gets the bytes when several programs read one device at once: this driver
# and the other ways that Linux has, each with a device plugged in for it. Each
# case measures what docs/who-gets-the-bytes.rst says. The results, one line
# for each, are printed at the end and kept in $OUT/peers.txt.
#
# usb-skeleton is in no package; tests/peers/build-skeleton makes it, and its
# case is skipped without.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"

SKELETON_KO=$BUILD/$(uname -r)/peers/usb-skeleton.ko
ROWS=$OUT/peers.txt
VID=1209
PEERS=(cdc_acm usbserial hid_generic usbhid usblp usbmon)

give_up() {
	echo "# peers: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

# A gadget of a function that gadget_create does not know:
# function_gadget NAME PID FUNCTION [ATTRIBUTE=VALUE...]
function_gadget() {
	local dir=$GADGET_ROOT/$1 function=$3.$1 pair
	mkdir "$dir" &&
		mkdir "$dir/$GADGET_STRINGS" "$dir/configs/c.1" "$dir/functions/$function" &&
		echo 0x$VID >"$dir/idVendor" &&
		echo "0x$2" >"$dir/idProduct" &&
		echo "$1" >"$dir/$GADGET_STRINGS/serialnumber" || return
	for pair in "${@:4}"; do
		printf %b "${pair#*=}" >"$dir/functions/$function/${pair%%=*}" || return
	done
	ln -s "$dir/functions/$function" "$dir/configs/c.1/"
}

# sim_gadget NAME PID: sends packets when it is told to.
sim_gadget() {
	gadget_create "$1" ffs $VID "$2" &&
		sim_start "$1" --endpoints both --size 500 --count 0
}

# Reports of 64 bytes, IN, of a usage page of the vendor's own.
HID_DESCRIPTOR='\x06\x00\xff\x09\x01\xa1\x01\x15\x00\x26\xff\x00\x75\x08\x95\x40\x09\x01\x81\x02\xc0'

# No udev here, so what the kernel would ask it to load is loaded by hand.
plug_in() {
	local name
	for name; do
		gadget_plug "$name" || return
	done
	for name; do
		await 30 usb_path "$name" >/dev/null || return
	done
}

# host_node NAME PATTERN [SUBDIRECTORY]: the node, in that directory of /dev, for
# which a driver has made a directory in sysfs below the interface of a gadget.
host_node() {
	local path dir
	path=$(usb_path "$1") || return
	# shellcheck disable=SC2231 # a pattern
	for dir in "$path"/*:*/$2; do
		[ -d "$dir" ] || return 1
		echo "/dev/${3:-}${dir##*/}"
		return
	done
}

node_of() {
	await 30 host_node "$@" >/dev/null
	host_node "$@"
}

# One Python for all: it takes a second to start under emulation.
coproc MEASURE { exec "$SRC/tests/peers/measure.py"; }
# A coprocess is hidden from subshells, copies of its pipes are not.
exec 7<&"${MEASURE[0]}" 8>&"${MEASURE[1]}"

# measure WHAT EXPECTED WHERE...
measure() {
	local answer row
	echo "$*" >&8
	IFS= read -r answer <&7
	row=${answer#ok }
	if [ "$row" = "$answer" ]; then
		echo "$answer"
		return 1
	fi
	echo "$row" >>"$ROWS"
}

measure_skeleton() {
	if [ ! -e "$SKELETON_KO" ]; then
		echo "tests/peers/build-skeleton was not run for $(uname -r)"
		return $KTAP_SKIP
	fi
	insmod "$SKELETON_KO"
	echo "$VID 0005" >/sys/bus/usb/drivers/skeleton/new_id
	measure usb-skeleton steal "$(node_of skel 'usbmisc/skel*')" "$SKEL_SIM" 2
}

ktap_begin
printf '%-14s %-8s %16s  %-9s %s\n' DRIVER "2ND OPEN" "EACH GOT" RESULT EVIDENCE >"$ROWS"
modprobe -a libcomposite "${PEERS[@]}" || give_up "modprobe"
mount -t configfs configfs /sys/kernel/config
# At high speed: a port at super speed costs two buses, and time.
hcd_load 6 super=0 || give_up dummy_hcd
insmod "$MYDEV_KO" || give_up "insmod $MYDEV_KO"

sim_gadget mydev 0001 || give_up "the simulated device for mydev"
sim_gadget skel 0005 || give_up "the simulated device for usb-skeleton"
function_gadget acm 0002 acm || give_up "the gadget for cdc-acm"
function_gadget serial 0003 gser || give_up "the gadget for usb-serial"
function_gadget hid 0004 hid protocol=0 subclass=0 report_length=64 no_out_endpoint=1 \
	"report_desc=$HID_DESCRIPTOR" || give_up "the HID gadget"
function_gadget printer 0006 printer || give_up "the printer gadget"
echo "$VID 0003" >/sys/bus/usb-serial/drivers/generic/new_id || give_up "usb-serial's new_id"
plug_in mydev skel acm serial hid printer || give_up "plugging in"

MYDEV=$(mydev_node mydev)
ACM=$(node_of acm 'tty/ttyACM*')
SERIAL=$(node_of serial 'ttyUSB*')
HIDRAW=$(node_of hid '*/hidraw/hidraw*')
LP=$(node_of printer 'usbmisc/lp*' usb/)
tty_of() { echo "/dev/ttyGS$(<"$GADGET_ROOT/$1/functions/$2.$1/port_num")"; }
ACM_DEVICE=$(tty_of acm acm)
SERIAL_DEVICE=$(tty_of serial gser)
SIM=$GADGET_RUN/mydev/socket
SKEL_SIM=$GADGET_RUN/skel/socket
# Until usb-skeleton comes, no driver has bound it: a device for usbfs.
SKEL=$(usb_path skel)

ktap_case "mydev: each of three readers gets every packet" \
	measure mydev copy "$MYDEV" "$SIM" 3
ktap_case "mydev: the device waits for a slow reader, and nothing is lost" \
	measure mydev-slow waits "$MYDEV" "$SIM"
ktap_case "mydev: one that reads nothing for block_timeout_ms stops the others no more, and is told what it lost" \
	measure mydev-stuck told "$MYDEV" "$SIM"
ktap_case "usbfs: a second program cannot claim the interface, nor read from it" \
	measure usbfs exclusive "$SKEL" "$SKEL_SIM"
ktap_case "usbfs: no program can claim an interface that mydev has bound" \
	measure usbfs-bound exclusive "$(usb_path mydev)"
ktap_case "cdc-acm: two readers take the bytes from each other" \
	measure cdc-acm steal "$ACM" "$ACM_DEVICE"
ktap_case "cdc-acm: the device waits while nobody reads, and nothing is lost" \
	measure cdc-acm-slow waits "$ACM" "$ACM_DEVICE"
ktap_case "usb-serial: two readers take the bytes from each other" \
	measure usb-serial steal "$SERIAL" "$SERIAL_DEVICE"
ktap_case "hidraw: each of two readers gets every report" \
	measure hidraw copy "$HIDRAW" /dev/hidg0
ktap_case "hidraw: a slow reader loses reports and is not told" \
	measure hidraw-slow loses "$HIDRAW" /dev/hidg0
ktap_case "usblp: a second program cannot open it" \
	measure usblp exclusive "$LP" /dev/g_printer0
ktap_case "usbmon: each of two readers gets every event of somebody else's transfers" \
	measure usbmon copy "$SKEL" "$SKEL_SIM"
ktap_case "usbmon: a slow reader loses events, which are counted" \
	measure usbmon-slow loses "$SKEL" "$SKEL_SIM"
ktap_case "usb-skeleton: two readers take the packets from each other" \
	measure_skeleton

# Whatever comes next finds the guest as it was.
take_down() {
	gadget_destroy_all
	for module in usb_skeleton mydev; do
		[ ! -e "/sys/module/$module" ] || rmmod "$module"
	done
	modprobe -r "${PEERS[@]}"
	hcd_unload
}
exec 7<&- 8>&-
ktap_case "everything can be unplugged and unloaded" take_down

sed 's/^/# /' "$ROWS"
ktap_end
