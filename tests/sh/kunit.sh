#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The KUnit tests: loading the module runs them, debugfs has what they found.
# The kernel writes KTAP there, one document for each suite; here they become
# the subtests of one document.

module=${MYDEV_KO%.ko}_kunit.ko
results=/sys/kernel/debug/kunit

echo "KTAP version 1"
modprobe -a usbcore 2>/dev/null
# The tests call the functions of the driver, where they are not built into them.
if [ -n "$(modinfo -F depends "$module")" ]; then
	insmod "$MYDEV_KO"
fi
if ! insmod "$module"; then
	echo "not ok 1 $(basename "$module") loads"
	echo "1..1"
	exit 1
fi

number=0
failed=0
for file in "$results"/*/results; do
	[ -e "$file" ] || continue
	number=$((number + 1))
	# The last line that is not indented is the verdict; its number is ours.
	verdict=$(grep -E '^(not )?ok ' "$file" | tail -n 1)
	[ "${verdict%% *}" = ok ] || failed=$((failed + 1))
	# Of a test with parameters KUnit says only behind it how many there were.
	grep -v -E '^((not )?ok |KTAP version|1\.\.1$)' "$file" |
		sed -E 's/^( {4})# [a-z_]+: pass:.* total:([0-9]+)$/\1    1..\2/'
	sed -E "s/^((not )?ok) [0-9]+/\1 $number/" <<<"$verdict"
done
if [ $number -eq 0 ]; then
	echo "# $results has no results: KUnit is off, or the module has no suite"
	echo "not ok 1 KUnit ran"
	number=1
	failed=1
fi
# The next suite loads the driver itself.
for name in mydev_kunit mydev; do
	[ ! -e /sys/module/$name ] || rmmod $name || failed=1
done
echo "1..$number"
[ $failed -eq 0 ]
