# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by the scripts beside it: where the cache is, and a lock and messages
# that they all share. The cache holds what is too big or too slow to make anew
# for each run: kernels, their headers, the sanitizer kernel.

CACHE=${MYDEV_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/mydev}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export TOP

# What programs say is read here, whatever language they speak to the user.
unset LANGUAGE
export LC_ALL=C.UTF-8

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# All Linux lanes that run a packaged kernel. "newest" is the newest that Debian
# offers for its stable release; "arm64" is another architecture. The sanitizer
# lane "uml" is made by uml-build.
STOCK_LANES="6.1 6.12 6.12-rt newest"
OTHER_LANES="arm64"
export STOCK_LANES OTHER_LANES

# The compiler of the sanitizer kernel, the same on every machine.
export UML_CC=gcc-12

# depmod and modprobe are outside the PATH of ordinary users.
PATH=$PATH:/usr/sbin:/sbin

# Makes the cache, and its name one that holds from everywhere.
open_cache() {
	local trouble
	[[ $CACHE != *[[:space:],]* ]] || die "kernels cannot be built for in '$CACHE'; name a place without blanks and commas with MYDEV_CACHE="
	trouble=$({ mkdir -p "$CACHE/lock" && : >>"$CACHE/lock/place"; } 2>&1) || true
	[ -z "$trouble" ] || die "cannot write to the cache $CACHE (${trouble##*: }); name a place of your own with MYDEV_CACHE="
	CACHE=$(cd "$CACHE" && pwd -P)
	# What is in it names other files by where they are.
	[ -s "$CACHE/lock/place" ] || echo "$CACHE" >"$CACHE/lock/place"
	[ "$(<"$CACHE/lock/place")" = "$CACHE" ] || die "the cache $CACHE was made as $(<"$CACHE/lock/place"), and holds there alone; remove it, or name a new one with MYDEV_CACHE="
}

# A lane whose kernel is from another release, or for another architecture, has
# what its driver is built with beside it.
use_tools_of() {
	[ ! -d "$CACHE/lanes/$1/tools/bin" ] || PATH=$(readlink -f "$CACHE/lanes/$1/tools/bin"):$PATH
}

# One lock for each thing in the cache, so that two runs never make the same
# thing at the same time: the second waits and then finds it done. Who has it
# already has it.
declare -A LOCKS=()
lock_cache() {
	local lock
	open_cache
	[ -z "${LOCKS[$1]:-}" ] || return 0
	{ : >>"$CACHE/lock/$1"; } 2>/dev/null || die "cannot write to the cache $CACHE, which may be another user's; name a place of your own with MYDEV_CACHE="
	exec {lock}>>"$CACHE/lock/$1"
	if ! flock -n "$lock"; then
		say "another run is preparing '$1'; waiting for it"
		flock "$lock"
	fi
	LOCKS[$1]=$lock
}

unlock_cache() {
	local lock=${LOCKS[$1]}
	exec {lock}>&-
	unset "LOCKS[$1]"
}
