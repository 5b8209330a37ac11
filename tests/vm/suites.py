# SPDX-License-Identifier: GPL-2.0-only
"""The list of test suites, tests/suites."""

from dataclasses import dataclass

from lanes import ALL, HOST, TOP, BenchError

LIST = TOP / "tests" / "suites"
# A boot under emulation takes 10 s; on a machine that is busy, far more.
BOOT_SECONDS = 180


@dataclass
class Suite:
    name: str
    seconds: int
    cpus: int
    lanes: list
    command: str
    bare: list      # those of the lanes in which it runs in a bare guest (see Guest)


def load():
    """All suites, in the order of the file."""
    found = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        words = line.split("#", 1)[0].split(None, 4)
        if not words:
            continue
        try:
            name, seconds, cpus, lanes, command = words
            seconds, cpus = int(seconds), int(cpus)
        except ValueError:
            raise BenchError(f"{LIST}:{number}: want NAME SECONDS CPUS LANES COMMAND, not '{line}'") from None
        words = ALL if lanes == "all" else lanes.split(",")
        lanes = [word.removesuffix("/bare") for word in words]
        bare = [lane for lane, word in zip(lanes, words) if lane != word]
        unknown = [lane for lane in lanes if lane not in [*ALL, HOST]]
        if unknown:
            raise BenchError(f"{LIST}:{number}: no such lane: {', '.join(unknown)} (lanes: {', '.join(ALL)})")
        if any(suite.name == name for suite in found):
            raise BenchError(f"{LIST}:{number}: the name '{name}' is taken")
        found.append(Suite(name, seconds, cpus, lanes, command, bare))
    return found


def by_guest(lane, suites):
    """What each guest of a lane has to run: pairs of whether it is a bare one, and suites."""
    groups = [(bare, [suite for suite in suites if (lane in suite.bare) == bare]) for bare in (False, True)]
    return [(bare, group) for bare, group in groups if group]


def limit(suites):
    """The time after which a guest that runs these suites must be called hung."""
    return BOOT_SECONDS + sum(suite.seconds + 10 for suite in suites)
