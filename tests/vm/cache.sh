# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by the scripts beside it: where the cache is, and a lock and messages
# that they all share. The cache holds what is too big or too slow to make anew
# for each run: kernels, their headers, the sanitizer kernel.

CACHE=${MYDEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mydev}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export TOP

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# All Linux lanes that run a packaged kernel, and the package that names the
# newest kernel of each. The sanitizer lane "uml" is made by uml-build.
STOCK_LANES="6.1 6.12 6.12-rt"
export STOCK_LANES

# depmod and modprobe are outside the PATH of ordinary users.
PATH=$PATH:/usr/sbin:/sbin

flavour_of() {
	case $1 in
	6.1) echo amd64 ;;
	6.12 | 6.12-rt) echo "$1-amd64" ;;
	*) die "there is no packaged kernel for lane '$1' (lanes: $STOCK_LANES)" ;;
	esac
}

# One lock for each thing in the cache, so that two runs never make the same
# thing at the same time: the second waits and then finds it done.
lock_cache() {
	mkdir -p "$CACHE/lock" || die "cannot create the cache $CACHE; set MYDEV_CACHE to a writable directory"
	CACHE=$(cd "$CACHE" && pwd -P)
	exec {CACHE_LOCK}>"$CACHE/lock/$1"
	if ! flock -n "$CACHE_LOCK"; then
		say "another run is preparing '$1'; waiting for it"
		flock "$CACHE_LOCK"
	fi
}
