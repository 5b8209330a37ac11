# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The scenes whose device sends, or takes, without end; sourced by run.sh.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/bench/guest.sh"

# --- one client, 32 KiB transfers: everybody ---------------------------------

# Enough for the beginning, 1.6 ms until the first packet, not to matter.
BULK=1G

one_mydev() {
	measure "mydev read" 0 "$BIN/node-io" read $NODE 64K $BULK
	measure "mydev poll and read" 0 "$BIN/node-io" --poll read $NODE 64K $BULK
	measure "mydev packet read" 0 "$BIN/node-io" --packet read $NODE 64K $BULK
	measure "mydev io_uring" 0 "$BIN/uring-read" $NODE 4 64K $BULK
	measure "mydev ring" 0 "$BIN/ring-read" $NODE $BULK
}

one() {
	plug 32768
	measure "libusb async" 0 "$BIN/usb-bulk" in async $ID 32 32K $BULK
	measure "libusb zero-copy" 0 "$BIN/usb-bulk" in zerocopy $ID 32 32K $BULK
	gadget_with_mydev one_mydev
	with_usbtest measure "in-kernel ceiling" 0 ceiling 28 32768 8192
	with_serial measure "usb-serial generic" 0 "$BIN/node-io" read /dev/ttyUSB0 64K 4M
	if [ -e "$SKELETON_KO" ]; then
		with_skeleton measure "usb-skeleton" 0 "$BIN/node-io" read /dev/skel0 64K 1M
	else
		not_here usb-skeleton "tests/peers/build-skeleton has not built it for $(uname -r)"
	fi
	unplug
	with_acm measure "cdc-acm (its own gadget)" 0 "$BIN/node-io" read /dev/ttyACM0 64K 4M
}

# --- bulk OUT -------------------------------------------------------------------

out_mydev() {
	measure "mydev write" 0 "$BIN/node-io" write $NODE 64K $BULK
	measure "mydev poll and write" 0 "$BIN/node-io" --poll write $NODE 64K $BULK
}

# With any other pattern the gadget would check or clear each byte that comes.
out() {
	plug 32768 pattern=2
	measure "libusb async" 0 "$BIN/usb-bulk" out async $ID 32 32K $BULK
	measure "libusb zero-copy" 0 "$BIN/usb-bulk" out zerocopy $ID 32 32K $BULK
	gadget_with_mydev out_mydev
	with_usbtest measure "in-kernel ceiling" 0 ceiling 27 32768 8192
	unplug
}

# --- many clients, each of which receives everything ----------------------------

CLIENTS=(1 2 4 16 64)

# Enough for a steady state, and no more.
total_for() {
	if [ "$1" -le 4 ]; then
		echo 64M
	else
		echo 32M
	fi
}

# A clock that counts instructions jumps while the guest waits for the host, so a
# limit of some seconds means nothing.
clients_mydev() {
	local nr
	echo 0 >"/sys/class/mydev/${NODE##*/}/block_timeout_ms"
	for nr in "${CLIENTS[@]}"; do
		measure "mydev read" "$nr" "$BIN/node-io" --clients "$nr" read $NODE 64K "$(total_for "$nr")"
		measure "mydev ring" "$nr" "$BIN/ring-read" --clients "$nr" $NODE 512M
	done
}

clients() {
	local nr RUNS=2
	plug 32768
	for nr in "${CLIENTS[@]}"; do
		measure "libusb and pipes" "$nr" "$BIN/usb-bulk" --pipes "$nr" in zerocopy $ID 32 32K \
			"$(total_for "$nr")"
	done
	gadget_with_mydev clients_mydev
	unplug
}

# --- small and large packets ------------------------------------------------------

# The bytes of one request of the gadget. Those below wMaxPacketSize, 1024, end a
# transfer; of the others, mydev's transfers of 32 KiB take as many as fit.
declare -A SIZES=([64]=2M [512]=8M [1024]=16M [4096]=32M [16384]=64M [65536]=64M)

sizes_mydev() {
	measure "mydev read" "$1" "$BIN/node-io" read $NODE 64K "$2"
	measure "mydev packet read" "$1" "$BIN/node-io" --packet read $NODE 64K "$2"
	measure "mydev ring" "$1" "$BIN/ring-read" $NODE "$2"
}

# Where each request ends a transfer, libusb and the kernel's test get transfers of
# that size: with larger ones, usbfs spends its time on memory that stays empty.
sizes() {
	local size total transfer RUNS=$((RUNS - 1))
	for size in 64 512 1024 4096 16384 65536; do
		total=${SIZES[$size]}
		transfer=$((size < 1024 ? size : 32768))
		plug $size
		measure "libusb async" $size "$BIN/usb-bulk" in async $ID 32 $transfer "$total"
		measure "libusb zero-copy" $size "$BIN/usb-bulk" in zerocopy $ID 32 $transfer "$total"
		gadget_with_mydev sizes_mydev $size "$total"
		with_usbtest measure "the kernel's testusb" $size ceiling 28 $transfer \
			$((${total%M} * 1048576 / transfer))
		unplug
	done
}

# --- memory of one more client ------------------------------------------------------

memory_mydev() {
	measure "mydev read" 0 "$BIN/memory" read $NODE 128
	measure "mydev ring" 0 "$BIN/memory" ring $NODE 128
}

memory() {
	local RUNS=2
	plug 32768
	gadget_with_mydev memory_mydev
	unplug
}
