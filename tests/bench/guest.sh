# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scenes of the benchmark share: the gadget, the drivers that come and
# go, and the measuring. Sourced by the files of the scenes.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

# An id that usbtest and testusb know by themselves, and nobody else.
VID=0525
PID=a4a0
ID=$VID:$PID
BIN=$BUILD/bench
NODE=/dev/mydev0
SKELETON_KO=$BUILD/$(uname -r)/peers/usb-skeleton.ko
RUNS_FILE=$OUT/runs.tsv
# Where instructions are counted, three runs differ by less than 1 %; elsewhere they
# spread, so there are more of them.
RUNS=3
if [ "$(nproc)" -gt 1 ]; then
	RUNS=5
fi

scene= # the one under way
failed=0
declare -A warmed=()

die() {
	echo "run.sh: $*" >&2
	exit 1
}

# plug BYTES [ATTRIBUTE=VALUE...]: a SourceSink gadget with requests of so many
# bytes.
plug() {
	gadget_create bench sourcesink $VID $PID bulk_buflen="$1" "${@:2}"
	gadget_plug bench
	await 10 has_interface bench
	[ "$(<"$(usb_path bench)/speed")" = 5000 ] || die "the gadget is not at SuperSpeed"
}

unplug() {
	gadget_destroy bench
}

has_interface() {
	local path
	path=$(usb_path "$1") && compgen -G "$path/*:1.0" >/dev/null
}

# One row of the raw results: PEER SETTING RUN LINE. The setting is the number of
# clients or of bytes where a scene goes through several, else 0; the line has
# key=value words.
record() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$scene" "$@" >>"$RUNS_FILE"
}

# within_limit COMMAND...: a program that does not come to its end has failed. Not where
# the clock counts instructions: while nothing runs it jumps to the next timer, this one.
within_limit() {
	if [ "$(nproc)" -gt 1 ] && [ "$(type -t "$1")" = file ]; then
		timeout -k 5 300 "$@" || { [ $? -ne 124 ] || echo "no end within 300 s"; return 1; }
	else
		"$@"
	fi
}

# measure PEER SETTING COMMAND...: the command prints one line. The first run of a
# peer does not count: it reads the program's pages from the host's disk. Whoever
# fails does not keep the others from being measured.
measure() {
	local peer=$1 setting=$2 run line what=$scene
	shift 2
	[ "$setting" = 0 ] || what+=" $setting"
	if [ -z "${warmed[$scene,$peer]:-}" ]; then
		within_limit "$@" >/dev/null 2>&1 || :
		warmed[$scene,$peer]=1
	fi
	for ((run = 1; run <= RUNS; run++)); do
		if ! line=$(within_limit "$@" 2>&1); then
			echo "$what: $peer: FAILED: ${line:-no output}"
			failed=1
			return
		fi
		record "$peer" "$setting" $run "$line"
	done
	echo "$what: $peer: ${line%% *}"
}

# scene_begin NAME, scene_end: what is measured in between is of that scene.
scene_begin() {
	scene=$1
	scene_start=$SECONDS
}

scene_end() {
	echo "$scene: took $((SECONDS - scene_start)) s of the guest's time"
}

# broken WHAT...: measures nothing, and so is a failure of the whole.
broken() {
	echo "$scene: FAILED: $*"
	failed=1
}

all_measured() {
	[ "$failed" = 0 ]
}

# not_here PEER WHY...: what cannot be measured in this guest, and is no failure.
not_here() {
	echo "$scene: $1: not measured: ${*:2}"
}

# ceiling TEST SIZE TRANSFERS: the kernel's own test driver, no user space and no
# copy. Test 27 is OUT, 28 is IN.
ceiling() {
	local line ns bytes=$(($2 * $3))
	line=$("$BIN/testusb" -a -t "$1" -s "$2" -g 32 -c $(($3 / 32)) 2>&1)
	ns=$(sed -n "s/.*test $1, *\([0-9]*\)\.\([0-9]*\) secs.*/\1\2000/p" <<<"$line")
	[ -n "$ns" ] || die "testusb says: $line"
	ns=$((10#$ns))
	echo "mib_s=$((bytes * 1000000000 / 1048576 / ns)) bytes=$bytes requests=$3 ns=$ns"
}

# with_mydev ID COMMAND...: while the driver has bound the device.
with_mydev() {
	insmod "$MYDEV_KO" ids="$1"
	await_node $NODE
	"${@:2}"
	rmmod mydev
}

gadget_with_mydev() {
	with_mydev $ID "$@"
}

with_usbtest() {
	modprobe usbtest
	"$@"
	modprobe -r usbtest
}

# with_serial COMMAND...: while usb-serial's generic driver has bound the gadget.
with_serial() {
	modprobe usbserial
	echo "$VID $PID" >/sys/bus/usb-serial/drivers/generic/new_id
	await_node /dev/ttyUSB0
	"$@"
	modprobe -r usbserial
}

with_skeleton() {
	insmod "$SKELETON_KO"
	echo "$VID $PID" >/sys/bus/usb/drivers/skeleton/new_id
	await_node /dev/skel0
	"$@"
	rmmod usb_skeleton
}

# with_acm COMMAND...: cdc-acm wants a device of its own kind, whose data comes
# from a program.
with_acm() {
	local feeder
	modprobe cdc_acm
	gadget_create modem acm 1209 0002
	gadget_plug modem
	await_node /dev/ttyACM0
	await_node /dev/ttyGS0
	stty -F /dev/ttyGS0 raw -echo
	dd if=/dev/zero of=/dev/ttyGS0 bs=64K 2>/dev/null &
	feeder=$!
	"$@"
	kill $feeder
	gadget_destroy modem
	wait $feeder || :
	modprobe -r cdc_acm usb_f_acm
}
