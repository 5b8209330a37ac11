#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Usage: floors.py DIR
Shows that no file of the driver calls one on its own floor or above it. DIR is where
the module was built; who calls whom is in the symbols of its objects, the floors are
in the table "Rooms" of docs/design.rst. Silent, or a line for each wrong call and
status 1.
"""
import collections
import pathlib
import re
import subprocess
import sys

DESIGN = pathlib.Path(__file__).resolve().parents[2] / "docs" / "design.rst"


def floors():
    """The floor of each room, as the table of the design says."""
    rooms = re.findall(r"^(\d+) +``(\w+)\.c`` ", DESIGN.read_text(encoding="utf-8"), re.M)
    return {room: int(floor) for floor, room in rooms}


def objects(directory):
    """The objects that the module was linked from."""
    return [directory / pathlib.Path(name).name
            for name in (directory / "mydev.mod").read_text(encoding="utf-8").split()]


def symbols(path):
    """What an object defines for others, and what it wants of them."""
    defined, wanted = set(), set()
    listing = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            wanted.add(name)
        elif kind.isupper():
            defined.add(name)
    return defined, wanted


def calls(directory):
    """Per pair of rooms, caller and called: by what."""
    where, wants = {}, {}
    for path in objects(directory):
        defined, wants[path.stem] = symbols(path)
        where.update(dict.fromkeys(defined, path.stem))
    found = collections.defaultdict(list)
    for room, names in wants.items():
        for name in sorted(names & where.keys()):
            found[room, where[name]].append(name)
    return wants.keys(), found


def complaints(floor, rooms, found):
    """What is wrong, a sentence each."""
    for room in sorted(rooms ^ floor.keys()):
        what = "is in no line of the table" if room in rooms else "is in the table, and not in the module"
        yield f"{room}.c {what}"
    for (caller, called), names in sorted(found.items()):
        if caller in floor and called in floor and floor[caller] <= floor[called]:
            yield (f"{caller}.c (floor {floor[caller]}) calls {called}.c (floor {floor[called]}): "
                   f"{', '.join(names)}")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    rooms, found = calls(pathlib.Path(sys.argv[1]))
    if not found:
        print("no call was found: are these the objects of the module?")
        return 1
    wrong = list(complaints(floors(), rooms, found))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
