#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A disk that nobody here wrote: the kernel's mass-storage function, which halts its
# endpoints by design. What is checked is in tests/py/storage_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/foreign.sh"

IMAGE=$(mktemp)
export IMAGE
trap 'rm -f "$IMAGE"' EXIT
head -c 1M /dev/urandom >"$IMAGE" || give_up "the image"
foreign_plug /dev/mydev0 1209:0001 mass_storage stall=1 lun.0/file="$IMAGE"
foreign_run
