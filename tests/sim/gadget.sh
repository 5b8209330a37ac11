#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# USB gadgets for tests: made with configfs, plugged into dummy_hcd (or any
# other device controller). Source it and call the functions, or run it with
# the name of a function and its arguments.
#
#	hcd_load [PORTS] [super=0|1]	load dummy_hcd with that many ports
#	hcd_unload
#	udc_list			device controllers: name, gadget driver or "free"
#	gadget_create NAME ffs|sourcesink|loopback|ecm|acm|mass_storage [VID PID [SERIAL]] [ATTRIBUTE=VALUE...]
#	gadget_add NAME PART		one more interface, of kind ffs; sim_start PART is its own
#	gadget_has_alternates		can the simulated device have two alternate settings?
#	gadget_plug NAME [UDC]		into the first free one where none is given
#	gadget_unplug NAME
#	gadget_destroy NAME		unplugs, ends the simulated device, removes all
#	gadget_destroy_all
#	sim_start NAME [mydev-sim options...]	before gadget_plug, for KIND ffs
#	sim_ctl NAME COMMAND...		e.g. sim_ctl left rate 100
#	sim_stat NAME KEY		one value of "sim_ctl NAME stats"
#	sim_stop NAME
#	usb_path NAME			/sys/bus/usb/devices/... of the plugged-in gadget
#	mydev_node NAME			/dev/mydevN of it; node=$(await 10 mydev_node NAME)
#	await SECONDS COMMAND...	until it succeeds, or fail
#	await_node PATH [SECONDS]	until a device node is there
#	await_gone PATH [SECONDS]
#
# NAME is also the serial number unless another is given. VID:PID are
# 1209:0001 unless given. With ffs the order is: gadget_create, sim_start,
# gadget_plug. ATTRIBUTE=VALUE goes to the function's directory in configfs,
# e.g. bulk_buflen=65536 pattern=1 for sourcesink; max_speed=high-speed to the
# gadget's own.
#
# SourceSink streams zeros or a counting pattern from the kernel itself;
# Loopback sends back what it receives: two devices that nobody here wrote.
#
# ecm is for kernels where gadget_has_alternates fails: setting 0 of its interface
# 1 has no endpoints, setting 1 has bulk IN and OUT. Each transfer is an Ethernet
# frame of the interface usb0 that it makes here. acm is a modem whose other end
# is a terminal here, /dev/ttyGS0 for the first one. mass_storage is a disk whose medium is
# the file that lun.0/file says.

GADGET_ROOT=/sys/kernel/config/usb_gadget
GADGET_RUN=${GADGET_RUN:-/run/mydev-sim}
GADGET_STRINGS=strings/0x409
MYDEV_SIM=${MYDEV_SIM:-${BUILD:-$(dirname "${BASH_SOURCE[0]}")/../../build}/tests/mydev-sim}

_gadget_fail() {
	echo "gadget.sh: $*" >&2
	return 1
}

# To start a program costs a noticeable part of a second where the processor is
# emulated, so what is called often here, or polled, is made of builtins alone.

# Never readable and never at its end: a read with a time limit is a sleep.
exec {_gadget_never}<> <(:)

# For states that the kernel announces by no event that a shell could await. When
# the time is up it may be the whole machine that has stood still: some more looks.
await() {
	local end now limit=$1 looks=0
	shift
	printf -v now '%(%s)T' -1
	end=$((now + limit))
	until "$@"; do
		printf -v now '%(%s)T' -1
		[ "$now" -le "$end" ] || [ $((looks++)) -lt 10 ] || _gadget_fail "not within $limit s: $*" || return
		read -r -t 0.05 -u "$_gadget_never" || :
	done
}

_is_node() { [ -c "$1" ]; }
_is_gone() { [ ! -e "$1" ]; }
await_node() { await "${2:-30}" _is_node "$1"; }
await_gone() { await "${2:-30}" _is_gone "$1"; }

# --- host controllers -------------------------------------------------------

# dummy_hcd has at most 32 ports, each a bus of its own (two at super speed,
# of the 63 buses that the kernel allows) and one device controller.
hcd_load() {
	local ports=1 super=1 arg loaded
	for arg; do
		case $arg in
		super=[01]) super=${arg#super=} ;;
		[1-9] | [12][0-9] | 3[01]) ports=$arg ;;
		*) _gadget_fail "hcd_load: '$arg' is neither 1 to 31 ports nor super=0|1" || return ;;
		esac
	done
	local is_super=N
	[ "$super" = 0 ] || is_super=Y
	if [ -e /sys/module/dummy_hcd ]; then
		loaded="$(</sys/module/dummy_hcd/parameters/num)"
		loaded+=" $(</sys/module/dummy_hcd/parameters/is_super_speed)"
		[ "$loaded" != "$ports $is_super" ] || return 0
		hcd_unload || return
	fi
	modprobe dummy_hcd "num=$ports" "is_super_speed=$super"
}

hcd_unload() {
	[ ! -e /sys/module/dummy_hcd ] || modprobe -r dummy_hcd
}

udc_list() {
	local dir driver
	for dir in /sys/class/udc/*/; do
		[ -e "$dir" ] || continue
		driver=
		read -r driver <"$dir/function" || :
		dir=${dir%/}
		echo "${dir##*/} ${driver:-free}"
	done
}

# --- gadgets ----------------------------------------------------------------

_gadget_dir() {
	[ -d "$GADGET_ROOT/$1" ] || _gadget_fail "there is no gadget '$1'; made with gadget_create?" ||
		return
	echo "$GADGET_ROOT/$1"
}

_gadget_prepare() {
	[ -e "/sys/module/$1" ] || modprobe "$1" || return
	[ -d "$GADGET_ROOT" ] || mount -t configfs configfs /sys/kernel/config
}

_gadget_identity() {
	local dir=$1 name=$2 vid=$3 pid=$4 serial=$5
	echo "$vid" >"$dir/idVendor" &&
		echo "$pid" >"$dir/idProduct" &&
		echo "mydev test" >"$dir/$GADGET_STRINGS/manufacturer" &&
		echo "$name" >"$dir/$GADGET_STRINGS/product" &&
		echo "$serial" >"$dir/$GADGET_STRINGS/serialnumber" &&
		echo "all" >"$dir/configs/c.1/$GADGET_STRINGS/configuration"
}

_gadget_attributes() {
	local dir=$1 function=$2 pair
	shift 2
	for pair; do
		if [ "${pair%%=*}" = max_speed ]; then
			echo "${pair#*=}" >"$dir/max_speed" || return
		elif [ -e "$function/${pair%%=*}" ]; then
			echo "${pair#*=}" >"$function/${pair%%=*}" || return
		else
			_gadget_fail "${function##*/} has no attribute '${pair%%=*}'; it has:" \
				"$(cd "$function" && echo *)" || return
		fi
	done
}

gadget_create() {
	local name=${1:?NAME is missing} kind=${2:?KIND is missing} function module
	local -a ids=() attributes=()
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		*=*) attributes+=("$1") ;;
		*) ids+=("$1") ;;
		esac
		shift
	done
	case $kind in
	ffs) function=ffs.$name module=usb_f_fs ;;
	sourcesink) function=SourceSink.$name module=usb_f_ss_lb ;;
	loopback) function=Loopback.$name module=usb_f_ss_lb ;;
	ecm) function=ecm.$name module=usb_f_ecm ;;
	acm) function=acm.$name module=usb_f_acm ;;
	mass_storage) function=mass_storage.$name module=usb_f_mass_storage ;;
	*)
		_gadget_fail "gadget_create: '$kind' is none of ffs, sourcesink, loopback, ecm, acm," \
			"mass_storage" || return
		;;
	esac
	_gadget_prepare libcomposite && _gadget_prepare "$module" || return
	local dir=$GADGET_ROOT/$name
	mkdir "$dir" || return
	mkdir -p "$dir/$GADGET_STRINGS" "$dir/configs/c.1/$GADGET_STRINGS" \
		"$dir/functions/$function" &&
		_gadget_identity "$dir" "$name" "0x${ids[0]:-1209}" "0x${ids[1]:-0001}" \
			"${ids[2]:-$name}" &&
		_gadget_attributes "$dir" "$dir/functions/$function" "${attributes[@]}" &&
		ln -s "$dir/functions/$function" "$dir/configs/c.1/" && return
	gadget_destroy "$name"
	return 1
}

_free_udc() {
	udc_list | while read -r udc driver; do
		[ "$driver" != free ] || { echo "$udc"; break; }
	done
}

# One more function; PART is the name of its simulated device.
gadget_add() {
	local dir function=ffs.${2:?PART is missing}
	dir=$(_gadget_dir "$1") || return
	mkdir "$dir/functions/$function" && ln -s "$dir/functions/$function" "$dir/configs/c.1/"
}

# In Linux 6.12 FunctionFS can; in 6.1 it has no get_alt(), without which
# composite gadgets refuse to change to another setting than 0.
gadget_has_alternates() {
	_gadget_prepare usb_f_fs && grep -q '\<ffs_func_get_alt\>' /proc/kallsyms
}

gadget_plug() {
	local dir udc=${2:-}
	dir=$(_gadget_dir "$1") || return
	[ -n "$udc" ] || udc=$(_free_udc)
	[ -n "$udc" ] || _gadget_fail "no device controller is free (hcd_load with more ports?)" ||
		return
	echo "$udc" >"$dir/UDC" || _gadget_fail "cannot plug '$1' into $udc"
}

gadget_unplug() {
	local dir
	dir=$(_gadget_dir "$1") || return
	[ -z "$(<"$dir/UDC")" ] || echo >"$dir/UDC"
}

# Unplugged before the simulated device ends: the kernel also manages the
# other order, but this one is what happens to real devices.
gadget_destroy() {
	local name=$1 dir part
	local -a parts=()
	dir=$(_gadget_dir "$name") || return
	gadget_unplug "$name"
	for part in "$dir"/functions/ffs.*; do
		[ ! -d "$part" ] || sim_stop "${part##*/ffs.}" || return
	done
	for part in "$dir"/configs/c.1/*.*; do
		[ ! -L "$part" ] || rm "$part" || return
	done
	# What is left when gadget_create failed half-way goes as well.
	for part in "$dir/configs/c.1/$GADGET_STRINGS" "$dir/configs/c.1" "$dir"/functions/* \
		"$dir/$GADGET_STRINGS" "$dir"; do
		[ ! -d "$part" ] || parts+=("$part")
	done
	rmdir "${parts[@]}"
}

gadget_destroy_all() {
	local dir
	for dir in "$GADGET_ROOT"/*/; do
		[ -d "$dir" ] || continue
		dir=${dir%/}
		gadget_destroy "${dir##*/}" || return
	done
}

# --- the simulated device ---------------------------------------------------

# Returns once the descriptors are written and the control socket answers.
sim_start() {
	local name=$1 run=$GADGET_RUN/$1
	shift
	compgen -G "$GADGET_ROOT/*/functions/ffs.$name" >/dev/null ||
		_gadget_fail "'$name' is no gadget of kind ffs" || return
	mkdir -p "$run/ffs"
	# Or else a file of that name, here, would be taken for what is to be mounted.
	[ -e "$run/ffs/ep0" ] || mount --no-canonicalize -t functionfs "$name" "$run/ffs" || return
	"$MYDEV_SIM" --daemon --socket "$run/socket" --pid-file "$run/pid" --log "$run/log" \
		"$@" "$run/ffs" && return
	umount "$run/ffs"
	return 1
}

sim_ctl() {
	local name=$1
	shift
	"$MYDEV_SIM" --ctl "$GADGET_RUN/$name/socket" "$@"
}

sim_stat() {
	local word stats
	stats=$(sim_ctl "$1" stats) || return
	for word in $stats; do
		[ "${word%%=*}" != "$2" ] || { echo "${word#*=}"; return; }
	done
	_gadget_fail "sim_stat: there is no '$2' in: $stats"
}

_has_ended() { [ ! -d "/proc/$1" ]; }

# What the simulated device had to say is printed: in a good run, nothing.
sim_stop() {
	local run=$GADGET_RUN/$1 pid
	[ -d "$run" ] || return 0
	if [ -e "$run/pid" ]; then
		pid=$(<"$run/pid")
		kill "$pid" 2>/dev/null
		await 30 _has_ended "$pid" || return
	fi
	[ ! -s "$run/log" ] || cat "$run/log" >&2
	[ ! -e "$run/ffs/ep0" ] || umount "$run/ffs" || return
	rm -rf --one-file-system "$run"
}

# --- the host side ----------------------------------------------------------

usb_path() {
	local serial file found
	read -r serial <"$GADGET_ROOT/$1/$GADGET_STRINGS/serialnumber" || return
	for file in /sys/bus/usb/devices/*/serial; do
		# A device may go away between the listing and the reading.
		if read -r found 2>/dev/null <"$file" && [ "$found" = "$serial" ]; then
			echo "${file%/serial}"
			return
		fi
	done
	return 1
}

mydev_node() {
	local path dir
	path=$(usb_path "$1") || return
	for dir in "$path"/*:*/mydev/mydev*/; do
		[ -d "$dir" ] || return 1
		dir=${dir%/}
		# The directory is there before the node.
		_is_node "/dev/${dir##*/}" || return
		echo "/dev/${dir##*/}"
		return
	done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	case ${1:-} in
	hcd_* | udc_list | gadget_* | sim_* | usb_path | mydev_node | await | await_*) "$@" ;;
	*) sed -n '/^#\t/s/^#\t//p' "$0" >&2 && exit 2 ;;
	esac
fi
