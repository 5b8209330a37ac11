#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Three clients of one device that sends as fast as it can, and each receives
# the same counted packets: none missing, none twice, none out of order.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"
. "$SRC/tests/sim/gadget.sh"

NODE=/dev/mydev0
CLIENTS=3
SIZE=32768
# 1 GiB for each client; with all of the kernel's checks on, less will do.
BYTES=$((1 << 30))
[ "$LANE" != uml ] || BYTES=$((64 << 20))
PACKETS=$((BYTES / SIZE))
T=$(mktemp -d)

plug_in() {
	hcd_load 1 super=1
	insmod "$MYDEV_KO"
	gadget_create volume ffs
	sim_start volume --size $SIZE --paused
	gadget_plug volume
	await_node $NODE 30
}

# Has every client asked for data? From then on it cannot be overrun.
all_ask() {
	[ "$(cat /proc/[0-9]*/fdinfo/* 2>/dev/null | grep -c 'mydev-demanded:.*1')" -eq $CLIENTS ]
}

receive() {
	local i pids=() status=0 start
	for ((i = 0; i < CLIENTS; i++)); do
		"$BUILD/tests/mydev-check" --json --first 0 --packets $PACKETS --buffer 256K $NODE \
			>"$T/$i" 2>&1 &
		pids+=($!)
	done
	await 30 all_ask
	start=$(date +%s.%N)
	sim_ctl volume resume
	for i in "${pids[@]}"; do
		wait "$i" || status=1
	done
	awk -v s="$start" -v e="$(date +%s.%N)" -v b=$BYTES \
		'BEGIN { printf "%.1f s, %.1f MiB/s to each client\n", e - s, b / (e - s) / 1048576 }' >"$T/time"
	cat "$T"/?
	return $status
}

# The words of mydev-check, not only its exit status.
result_of() {
	python3 - "$T/$1" $PACKETS $BYTES <<-'END'
		import json, sys
		d = json.load(open(sys.argv[1]))
		packets, size = int(sys.argv[2]), int(sys.argv[3])
		print(d)
		for key in "missing", "repeated", "reordered", "damaged", "skipped_bytes":
		    assert d[key] == 0, key
		assert d["good"] is True
		assert d["packets"] >= packets
		assert (d["first"], d["last"]) == (0, d["packets"] - 1)
		assert d["bytes"] >= size
	END
}

driver_agrees() {
	local stats=/sys/class/mydev/mydev0/stats
	[ "$(cat $stats/packets)" -ge $PACKETS ]
	[ "$(cat $stats/bytes)" -ge "$BYTES" ]
	[ "$(cat $stats/errors)" -eq 0 ]
}

take_down() {
	gadget_destroy_all
	rmmod mydev
	hcd_unload
}

ktap_begin
ktap_case "a device is plugged in" plug_in
ktap_case "$CLIENTS clients receive $((BYTES >> 20)) MiB each at the same time" receive
echo "# $(cat "$T/time")"
for ((client = 0; client < CLIENTS; client++)); do
	ktap_case "client $client: no packet missing, repeated, out of order or damaged" result_of $client
done
ktap_case "the driver has counted as many, and no error" driver_agrees
ktap_case "all can be taken down" take_down
ktap_end
