#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's part of the benchmark: everybody reads or writes the same stock
# gadget, one after the other, some times each. What each run said goes to
# $OUT/bench.csv.
#
#   bulk      the gadget sends without end; 32 KiB transfers, 64 KiB reads
#   packets   it sends packets of 64 bytes, each of which ends a transfer
#   out       it takes without end; 32 KiB transfers, 64 KiB writes
# shellcheck source-path=SCRIPTDIR/../..
set -euo pipefail
. "$SRC/tests/sim/gadget.sh"

# An id that usbtest and testusb know by themselves, and nobody else.
VID=0525
PID=a4a0
BIN=$BUILD/bench
CSV=$OUT/bench.csv
RUNS=${RUNS:-3}

# plug BYTES [ATTRIBUTE=VALUE...]: a SourceSink gadget with requests of so many
# bytes.
plug() {
	gadget_create bench sourcesink $VID $PID bulk_buflen="$1" "${@:2}"
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

# ceiling TEST TRANSFERS: the kernel's own test driver, no user space and no
# copy. Test 27 is OUT, 28 is IN.
ceiling() {
	local line ns
	line=$("$BIN/testusb" -a -t "$1" -s 32768 -g 32 -c $(($2 / 32)) 2>&1)
	ns=$(sed -n "s/.*test $1, *\([0-9]*\)\.\([0-9]*\) secs.*/\1\2000/p" <<<"$line")
	[ -n "$ns" ] || die "testusb says: $line"
	ns=$((10#$ns))
	echo "mib_s=$(($2 * 1000000000 / 32 / ns)) bytes=$(($2 * 32768)) requests=$2 ns=$ns"
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
	measure "libusb async" "$BIN/usb-bulk" in async $VID:$PID 32 32K 64M
	measure "libusb zero-copy" "$BIN/usb-bulk" in zerocopy $VID:$PID 32 32K 64M
	with_mydev bulk_mydev
	modprobe usbtest
	measure "in-kernel ceiling" ceiling 28 2048
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
	measure "libusb async" "$BIN/usb-bulk" in async $VID:$PID 32 64 2M
	measure "libusb zero-copy" "$BIN/usb-bulk" in zerocopy $VID:$PID 32 64 2M
	with_mydev packets_mydev
	gadget_destroy bench
}

out_mydev() {
	measure "mydev write" "$BIN/mydev-write" /dev/mydev0 64K 64M
	measure "mydev poll and write" "$BIN/mydev-write" --poll /dev/mydev0 64K 64M
}

# With any other pattern the gadget would check or clear each byte that comes.
out() {
	plug 32768 pattern=2
	measure "libusb async" "$BIN/usb-bulk" out async $VID:$PID 32 32K 64M
	measure "libusb zero-copy" "$BIN/usb-bulk" out zerocopy $VID:$PID 32 32K 64M
	with_mydev out_mydev
	modprobe usbtest
	measure "in-kernel ceiling" ceiling 27 2048
	modprobe -r usbtest
	gadget_destroy bench
}

echo "scene,peer,run,bytes,requests,ns" >"$CSV"
hcd_load 1 super=1
for scene in bulk packets out; do
	"$scene"
done
hcd_unload
