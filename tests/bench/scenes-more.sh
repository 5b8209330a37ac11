# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The scenes with another device than the stock gadget on the emulated bus, or
# with another bus; sourced by run.sh.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/bench/guest.sh"
. "$SRC/tests/lib/xhci.sh"

# --- latency --------------------------------------------------------------------

# From the completion of a transfer to its being seen by the program: how long a
# reader that sleeps takes to come back. The completion is the call in which the
# host controller driver hands the transfer back, whoever it is for; the kernel's
# function tracer notes when. The program notes when read(), or its callback, has
# brought the packet. Both clocks are the time stamp counter; figures.py pairs
# them. The packets come one by one, so that each finds its reader asleep.
#
# The reader has real-time priority: on one processor it would else be chance
# whether it runs before the program that plays the device.
TRACING=/sys/kernel/tracing
PACKETS=2000
PACKET_BYTES=500

# latency_of PEER COMMAND...: the command takes --stamps. A run has one phase between
# the packets' timer and the scheduler's tick, which moves its figures by 1 to 2 %; so
# there are several.
latency_of() {
	local RUNS=5 peer=$1 file run line
	shift
	"$@" --stamps /dev/null >/dev/null 2>&1 || :
	for ((run = 1; run <= RUNS; run++)); do
		file=$OUT/latency-${peer// /-}.$run
		echo 0 >$TRACING/tracing_on
		echo >$TRACING/trace
		echo 1 >$TRACING/tracing_on
		line=$(chrt -f 50 "$@" --stamps "$file.seen" 2>&1) || {
			broken "$peer: $line"
			return
		}
		echo 0 >$TRACING/tracing_on
		sed -n 's/.* \([0-9]*\): usb_hcd_giveback_urb.*/\1/p' $TRACING/trace >"$file.done"
		record "$peer" 0 $run "$line"
	done
	echo "$scene: $peer: seen $(cat "$OUT/latency-${peer// /-}".*.seen | wc -l) times"
}

latency_usb() {
	latency_of "libusb async" "$BIN/usb-bulk" in async 1209:0001 32 1024 $((PACKETS * PACKET_BYTES))
	latency_of "libusb zero-copy" "$BIN/usb-bulk" in zerocopy 1209:0001 32 1024 $((PACKETS * PACKET_BYTES))
}

latency_mydev() {
	latency_of "mydev read" "$BIN/node-io" read $NODE 64K $((PACKETS * PACKET_BYTES))
	latency_of "mydev poll and read" "$BIN/node-io" --poll read $NODE 64K $((PACKETS * PACKET_BYTES))
	latency_of "mydev ring" "$BIN/ring-read" $NODE $((PACKETS * PACKET_BYTES))
}

latency() {
	gadget_create bench ffs
	sim_start bench --size $PACKET_BYTES --rate 1000
	gadget_plug bench
	await 10 has_interface bench
	echo x86-tsc >$TRACING/trace_clock
	echo usb_hcd_giveback_urb >$TRACING/set_ftrace_filter
	echo function >$TRACING/current_tracer
	latency_usb
	with_mydev 1209:0001 latency_mydev
	echo nop >$TRACING/current_tracer
	echo >$TRACING/set_ftrace_filter
	unplug
}

# --- a real host controller's driver ------------------------------------------------

# QEMU's usb-serial behind its xHCI: what is written to a port of this guest comes
# back through it, 384 bytes at a time at most. Its line is slow, so this says that
# everybody gets there by way of real DMA mappings, and what small packets cost.
# libusb has as many transfers in flight as mydev has at full speed, of that size:
# their number decides here.
xhci_device() {
	grep -qs 0403 /sys/bus/usb/devices/*/idVendor
}

xhci() {
	local RUNS=2 BACK='' feeder
	if ! compgen -G '/sys/bus/pci/devices/*' >/dev/null || ! grep -qs 0x0c0330 /sys/bus/pci/devices/*/class; then
		not_here everybody "this guest has no xHCI"
		return
	fi
	modprobe -a xhci_pci virtio_console
	await 20 xhci_back
	await 20 xhci_device
	dd if=/dev/zero of="$BACK" bs=4K 2>/dev/null &
	feeder=$!
	measure "libusb async" 0 "$BIN/usb-bulk" in async 0403:6001 8 4096 256K
	measure "libusb zero-copy" 0 "$BIN/usb-bulk" in zerocopy 0403:6001 8 4096 256K
	with_mydev 0403:6001:00 xhci_mydev
	modprobe ftdi_sio
	await_node /dev/ttyUSB0
	measure "ftdi_sio" 0 "$BIN/node-io" read /dev/ttyUSB0 64K 256K
	modprobe -r ftdi_sio
	kill $feeder
	wait $feeder || :
	modprobe -r xhci_pci
}

xhci_mydev() {
	measure "mydev read" 0 "$BIN/node-io" read $NODE 64K 256K
	measure "mydev packet read" 0 "$BIN/node-io" --packet read $NODE 64K 256K
	measure "mydev ring" 0 "$BIN/ring-read" $NODE 256K
}

# --- over the network -----------------------------------------------------------------

# USB/IP with both ends in this guest, over the loopback interface. "vudc": the
# kernel plays a device that exists on the network only; its own timer is the
# limit. "host": the emulated bus's gadget, lent by usbip-host.
usbip_measure() {
	local kind=$1 bus=$2
	measure "libusb async ($kind)" 0 "$BIN/usb-bulk" --bus "$bus" in async $ID 32 32K 2M
	measure "libusb zero-copy ($kind)" 0 "$BIN/usb-bulk" --bus "$bus" in zerocopy $ID 32 32K 2M
	gadget_with_mydev usbip_mydev "$kind"
}

usbip_mydev() {
	measure "mydev read ($1)" 0 "$BIN/node-io" read $NODE 64K 2M
	measure "mydev ring ($1)" 0 "$BIN/ring-read" $NODE 2M
}

# The device behind the virtual host controller: its bus number goes to $bus.
vhci_bus() {
	local dir
	for dir in /sys/bus/usb/devices/*-*:1.0; do
		dir=${dir%:*}
		# A root hub's interfaces have no directory of that name.
		if [ -e "$dir/busnum" ] && [[ $(readlink -f "$dir") = */vhci_hcd.* ]]; then
			bus=$(<"$dir/busnum")
			return
		fi
	done
	return 1
}

# usbip_attached KIND HOW...: lends, borrows, measures, gives back.
usbip_attached() {
	local kind=$1 bus=0 server
	shift
	usbipd "$@" >/dev/null 2>&1 &
	server=$!
	await 10 usbip_answers
	if usbip attach -r 127.0.0.1 "${borrow[@]}" && await 20 vhci_bus; then
		usbip_measure "$kind" $bus
		usbip detach -p 00 >/dev/null 2>&1
	else
		broken "$kind: the device cannot be attached"
	fi
	kill $server
	wait $server || :
}

usbip_answers() {
	(exec 5<>/dev/tcp/127.0.0.1/3240) 2>/dev/null
}

usbip_vudc() {
	local borrow=(-d usbip-vudc.0)
	modprobe usbip-vudc
	gadget_create bench sourcesink $VID $PID bulk_buflen=32768
	gadget_plug bench usbip-vudc.0
	usbip_attached vudc --device
	unplug
	modprobe -r usbip-vudc
}

usbip_host() {
	local borrow id
	modprobe usbip-host
	plug 32768
	id=$(basename "$(usb_path bench)")
	borrow=(-b "$id")
	usbip bind -b "$id" 2>/dev/null
	usbip_attached host
	usbip unbind -b "$id" 2>/dev/null
	unplug
	modprobe -r usbip-host
}

usbip_scene() {
	local RUNS=2
	if ! command -v usbipd >/dev/null; then
		not_here everybody "the package usbip is not installed"
		return
	fi
	modprobe vhci-hcd
	usbip_vudc
	# On two processors it may free what its other thread still uses (6.12: an oops in
	# usb_unlink_urb() below stub_rx_loop()), and then the scene never ends.
	if [ "$(nproc)" -eq 1 ]; then
		usbip_host
	else
		not_here "everybody (host)" "usbip-host does not bear two processors"
	fi
	modprobe -r vhci-hcd
}
