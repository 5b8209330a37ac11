#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's part of the benchmark: everybody reads the same stock gadget, one
# after the other, some times each. What each run said goes to $OUT/bench.csv.
#
#   bulk      the gadget sends without end; 32 KiB transfers, 64 KiB reads
#   packets   it sends packets of 64 bytes, each of which ends a transfer
# shellcheck source-path=SCRIPTDIR/../..
set -euo pipefail
. "$SRC/tests/sim/gadget.sh"

# An id that usbtest and testusb know by themselves, and nobody else.
VID=0525
PID=a4a0
BIN=$BUILD/bench
CSV=$OUT/bench.csv
RUNS=${RUNS:-3}

# plug BYTES: a SourceSink gadget that sends requests of so many bytes.
plug() {
	gadget_create bench sourcesink $VID $PID bulk_buflen="$1"
	gadget_plug bench
	await 10 has_interface
	[ "$(cat "$(usb_path bench)/speed")" = 5000 ] || die "the gadget is not at SuperSpeed"
}

has_interface() {
	local path
	path=$(usb_path bench) && compgen -G "$path/*:1.0" >/dev/null
}

die() {
	echo "run.sh: $*" >&2
	exit 1
}

# measure PEER COMMAND...: the command prints one line with key=value words. The
# first run does not count: it reads the program's pages from the host's disk.
measure() {
	local peer=$1 run line word
	local -A result
	shift
	"$@" >/dev/null
	for ((run = 1; run <= RUNS; run++)); do
		line=$("$@")
		for word in $line; do
			result[${word%%=*}]=${word#*=}
		done
		echo "$scene,$peer,$run,${result[bytes]},${result[requests]},${result[ns]}" >>"$CSV"
		echo "$scene: $peer: ${result[mib_s]} MiB/s"
	done
}

# ceiling TRANSFERS: the kernel's own test driver, no user space and no copy.
ceiling() {
	local line ns
	line=$("$BIN/testusb" -a -t 28 -s 32768 -g 32 -c $(($1 / 32)) 2>&1)
	ns=$(sed -n 's/.*test 28, *\([0-9]*\)\.\([0-9]*\) secs.*/\1\2000/p' <<<"$line")
	[ -n "$ns" ] || die "testusb says: $line"
	ns=$((10#$ns))
	echo "mib_s=$(($1 * 1000000000 / 32 / ns)) bytes=$(($1 * 32768)) requests=$1 ns=$ns"
}

with_mydev() {
	insmod "$MYDEV_KO" ids=$VID:$PID
	await_node /dev/mydev0
	"$@"
	rmmod mydev
}

bulk_mydev() {
	measure "mydev read" "$BIN/mydev-read" /dev/mydev0 64K 64M
	measure "mydev poll and read" "$BIN/mydev-read" --poll /dev/mydev0 64K 64M
}

bulk() {
	plug 32768
	measure "libusb async" "$BIN/usb-read" async $VID:$PID 32 32K 64M
	measure "libusb zero-copy" "$BIN/usb-read" zerocopy $VID:$PID 32 32K 64M
	with_mydev bulk_mydev
	modprobe usbtest
	measure "in-kernel ceiling" ceiling 2048
	modprobe -r usbtest
	gadget_destroy bench
}

packets_mydev() {
	measure "mydev read" "$BIN/mydev-read" /dev/mydev0 64K 2M
	measure "mydev read of 64 bytes" "$BIN/mydev-read" /dev/mydev0 64 2M
}

# libusb gets the small transfers that suit it best: with larger ones, usbfs
# spends its time on memory that stays empty.
packets() {
	plug 64
	measure "libusb async" "$BIN/usb-read" async $VID:$PID 32 64 2M
	measure "libusb zero-copy" "$BIN/usb-read" zerocopy $VID:$PID 32 64 2M
	with_mydev packets_mydev
	gadget_destroy bench
}

echo "scene,peer,run,bytes,requests,ns" >"$CSV"
hcd_load 1 super=1
for scene in bulk packets; do
	"$scene"
done
hcd_unload
