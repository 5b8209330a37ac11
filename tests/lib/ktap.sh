# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# KTAP for tests in shell. A test file is:
#
#	. "$SRC/tests/lib/ktap.sh"
#	ktap_begin
#	ktap_case "what is promised" command args...
#	ktap_end
#
# A case passes when its command exits with 0 and is skipped when it exits with
# 4 (KTAP_SKIP); the command is often a function, and may say why on stdout.

KTAP_SKIP=4
ktap_count=0
ktap_failed=0

ktap_begin() {
	echo "KTAP version 1"
}

# ktap_case NAME COMMAND...: runs in a subshell, so that one case cannot change
# the variables or the directory of the next, and "exit" ends only the case.
ktap_case() {
	local name=$1 log rc
	shift
	ktap_count=$((ktap_count + 1))
	log=$(mktemp)
	(
		set -e
		"$@"
	) >"$log" 2>&1
	rc=$?
	case $rc in
	0)
		echo "ok $ktap_count $name"
		;;
	"$KTAP_SKIP")
		echo "ok $ktap_count $name # SKIP $(tail -n 1 "$log")"
		;;
	*)
		sed 's/^/# /' "$log"
		echo "# exit status $rc of: $*"
		echo "not ok $ktap_count $name"
		ktap_failed=$((ktap_failed + 1))
		;;
	esac
	rm -f "$log"
}

# Prints the plan; its status is that of the whole test file.
ktap_end() {
	echo "1..$ktap_count"
	[ "$ktap_failed" -eq 0 ]
}
