# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used where this is sourced
#
# For tests of mydevctl: run it, and look at what it said. To be sourced.
#
# A program takes a noticeable part of a second to start under emulation, so
# what is called often here is made of builtins, and one Python serves all.

CTL=$SRC/userspace/mydevctl
CHECK=$BUILD/tests/mydev-check
# The first device of a fresh guest has the first number.
NODE=/dev/mydev0
SYS=/sys/class/mydev/mydev0
T=$(mktemp -d)
chmod 755 "$T"

# run STATUS COMMAND...: its output goes to $T/out and $T/err.
run() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" || got=$?
	[ $got -eq "$want" ] && return
	echo "status $got instead of $want: $*"
	head -c 2000 "$T/out" | tr -cd '[:print:]\n'
	cat "$T/err"
	return 1
}

# has FILE REGEX...: each matches a part of one of its lines.
has() {
	local file=$T/$1 regex line lines
	shift
	mapfile -t lines <"$file"
	for regex; do
		for line in "${lines[@]}"; do
			[[ $line =~ $regex ]] && continue 2
		done
		echo "not in $file: $regex"
		cat "$file"
		return 1
	done
}

# has_lines FILE NUMBER
has_lines() {
	local lines
	mapfile -t lines <"$T/$1"
	[ ${#lines[@]} -eq "$2" ] && return
	echo "$1 has ${#lines[@]} lines instead of $2:"
	cat "$T/$1"
	return 1
}

empty() {
	[ ! -s "$T/$1" ] && return
	echo "should be empty:"
	head -c 1000 "$T/$1"
	return 1
}

# json FILE EXPRESSION...: each is true in Python, where d is what the file
# holds: an object, or a list of the objects that are its lines.
json() {
	local answer
	printf '%s\n' "$T/$1" "${@:2}" '' >&8
	IFS= read -r answer <&7
	[ "$answer" = ok ] && return
	echo "$answer"
	head -c 3000 "$T/$1"
	return 1
}

coproc JSON {
	exec python3 -u -c '
import json, sys, time
from pathlib import Path

def text(path):
    return Path(path).read_text().removesuffix("\n")

def fields(path):
    """What mydevctl prints for an object that it prints as text."""
    return dict(line.split(None, 1) for line in text(path).split("\n"))

def as_text(obj):
    words = lambda v: "-" if v is None else " ".join(v) or "-" if isinstance(v, list) else str(v)
    return {key: words(value).replace("\x1b", "?") for key, value in obj.items()}

def aligned(path, **first):
    """Do the first words of the last line begin where their titles do?"""
    head, *_, row = text(path).split("\n")
    return all(row[head.index(title.replace("_", "-")):].startswith(word) for title, word in first.items())

def load(name):
    try:
        return json.loads(text(name))
    except json.JSONDecodeError:
        return [json.loads(line) for line in text(name).split("\n") if line]

for name in sys.stdin:
    answer = "ok"
    for check in iter(sys.stdin.readline, "\n"):
        try:
            d = load(name.rstrip("\n"))
            if not eval(check):
                answer = "not true: " + check.rstrip("\n")
        except Exception as e:
            answer = f"{e!r} in {check!r}"
    print(answer)
'
}
# A coprocess is hidden from subshells, copies of its pipes are not.
exec 7<&"${JSON[0]}" 8>&"${JSON[1]}"

# sys DEVICE ATTRIBUTE
sys() { echo "$(<"/sys/class/mydev/$1/$2")"; }
node_is_there() { mydev_node "$1" >/dev/null; }
size_of() { stat -c %s "$1"; }
grew() { [ "$(size_of "$1")" -gt "${2:-0}" ]; }
file_has() { [ "$(size_of "$1")" -eq "$2" ]; }
has_clients() { [ "$(<"$SYS/clients")" -eq "$1" ]; }
is_idle() { [ "$(<"$SYS/state")" = idle ]; }
is_running() { [ "$(<"$SYS/state")" = running ]; }

# So many clients have asked for data: they lose nothing from now on. That the
# ring is running says it of the first one only.
are_reading() {
	local count=0 role
	while read -r _ _ role _; do
		[ "$role" != reading ] || count=$((count + 1))
	done <"/sys/kernel/debug/mydev/${SYS##*/}/clients"
	[ $count -eq "$1" ]
}

# The simulated device has sent what it was told to.
is_quiet() { [ "$(sim_stat one state)" = quiet ]; }

# as USER GROUP COMMAND...
as() {
	local user=$1 group=$2
	shift 2
	setpriv --reuid="$user" --regid="$group" --clear-groups "$@"
}

# start NAME COMMAND...: in the background, its output to $T/NAME.out and .err;
# its process is $pid, and it ends with the case at the latest. Unlike what a
# shell starts in the background, it listens to SIGINT.
started=()
start() {
	local name=$1
	shift
	# Here, so that nobody takes the output of an earlier one for its own.
	: >"$T/$name.out"
	env --default-signal=INT "$@" >"$T/$name.out" 2>"$T/$name.err" &
	pid=$!
	started+=("$pid")
	trap 'kill "${started[@]}" 2>/dev/null || :' EXIT
}

# ended STATUS PID: wait for what was started.
ended() {
	local got=0
	wait "$2" || got=$?
	[ $got -eq "$1" ] && return
	echo "status $got instead of $1"
	cat "$T"/*.err
	return 1
}

verified() {
	"$CHECK" --partial-ok "$@"
}
