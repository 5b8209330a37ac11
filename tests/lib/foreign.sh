# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A stock function of the kernel, driven by a program in Python: sourced by its script, NAME.
#
#	foreign_plug NODE IDS KIND [ATTRIBUTE=VALUE...]	plugs it in; exports what promises.py wants
#	foreign_run		runs tests/py/NAME_test.py and takes everything down
#	give_up WORDS		what cannot be set up
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/sim/gadget.sh"

NAME=$(basename "$0" .sh)

give_up() {
	echo "# $NAME: cannot set up: $*"
	echo "Bail out!"
	exit 1
}

foreign_plug() {
	local which=$2
	export MYDEV_NODE=$1 GADGET_UDC=$GADGET_ROOT/$NAME/UDC
	shift 2
	hcd_load 1 super=1 || give_up "dummy_hcd"
	insmod "$MYDEV_KO" "ids=$which" || give_up "insmod $MYDEV_KO"
	gadget_create "$NAME" "$@" || give_up "the gadget"
	gadget_plug "$NAME" || give_up "plugging in"
	UDC=$(<"$GADGET_UDC")
	export UDC
	await_node "$MYDEV_NODE" 30 || give_up "there is no $MYDEV_NODE"
}

foreign_run() {
	local status
	"$SRC/tests/py/${NAME}_test.py"
	status=$?
	gadget_destroy_all || { echo "# $NAME: the gadget is not destroyed" && status=1; }
	rmmod mydev || status=1
	hcd_unload || status=1
	return "$status"
}
