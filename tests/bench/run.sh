#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's part of the benchmark: run.sh SCENE... Everybody reads or writes
# the same gadget, one after the other, some times each. What each run said goes
# to $OUT/runs.tsv. Exit status 1: somebody could not be measured.
# shellcheck source-path=SCRIPTDIR/../..
set -euo pipefail
. "$SRC/tests/bench/scenes.sh"
. "$SRC/tests/bench/scenes-more.sh"

: >"$RUNS_FILE"
hcd_load 1 super=1
for name; do
	scene_begin "$name"
	case $name in
	one | out | clients | sizes | memory | latency | xhci) "$name" ;;
	usbip) usbip_scene ;;
	*) die "there is no scene '$name'" ;;
	esac
	scene_end
done
hcd_unload
all_measured
