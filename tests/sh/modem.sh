#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two interfaces of a device that nobody here wrote, with an interrupt endpoint: the
# stock CDC ACM function. What is checked is in tests/py/modem_test.py.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/foreign.sh"

foreign_plug /dev/mydev1 "\"1209:0001:00 class=02,1209:0001:01 class=0a\"" acm
foreign_run
