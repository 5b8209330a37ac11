#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Prints the figures of a benchmark run as tables, and judges them.

Usage: table.py CSV

Each figure is the median of its runs; the last column compares it to libusb's
asynchronous API. Exit status 1: a goal was missed."""

import csv
import statistics
import sys
from collections import defaultdict

REFERENCE = "libusb async"
PACKET = 64
# (scene, peer): how many times faster than libusb it has to be.
GOALS = {("bulk", "mydev read"): 1.5, ("out", "mydev write"): 1.5}


def load(path):
    """The ns per byte of each run, by scene and peer."""
    scenes = defaultdict(lambda: defaultdict(list))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            scenes[row["scene"]][row["peer"]].append(int(row["ns"]) / int(row["bytes"]))
    return scenes


def show(scene, peers):
    unit = "packets/s" if scene == "packets" else "MiB/s"
    print(f"\n{scene:<28}{unit:>12}{'spread':>9}{'x libusb':>10}")
    reference = statistics.median(peers[REFERENCE])
    for peer, runs in peers.items():
        middle = statistics.median(runs)
        rate = 1e9 / middle / (PACKET if scene == "packets" else 1 << 20)
        print(f"  {peer:<26}{rate:>12,.0f}{(max(runs) - min(runs)) / middle:>9.1%}{reference / middle:>10.2f}")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    scenes = load(sys.argv[1])
    for scene, peers in scenes.items():
        if REFERENCE not in peers:
            print(f"table.py: {sys.argv[1]} has no run of {REFERENCE} in scene {scene}", file=sys.stderr)
            return 1
        show(scene, peers)
    print()
    missed = 0
    for (scene, peer), goal in GOALS.items():
        runs = scenes[scene][peer]
        if not runs:
            print(f"table.py: {sys.argv[1]} has no run of {peer} in scene {scene}", file=sys.stderr)
            return 1
        ratio = statistics.median(scenes[scene][REFERENCE]) / statistics.median(runs)
        missed += ratio < goal
        print(f"{scene}, {peer}: {ratio:.2f} times {REFERENCE}, goal {goal}: {'missed' if ratio < goal else 'met'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
