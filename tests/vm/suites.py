# SPDX-License-Identifier: GPL-2.0-only
"""The list of test suites, tests/suites."""

from dataclasses import dataclass

from lanes import ALL, HOST, KERNELS, MOST, TOP, BenchError

LIST = TOP / "tests" / "suites"
# A boot under emulation takes 10 s; on a machine that is busy, far more.
BOOT_SECONDS = 180


@dataclass
class Suite:
    name: str
    seconds: int
    lanes: list
    command: str
    two: list       # those of the lanes in which it has two processors
    bare: list      # those of the lanes in which it runs in a bare guest (see Guest)
    full: list      # those of the lanes in which it runs only when all is asked for


def load():
    """All suites, in the order of the file."""
    found = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        words = line.split("#", 1)[0].split(None, 4)
        if not words:
            continue
        try:
            name, seconds, two, lanes, command = words
            seconds = int(seconds)
        except ValueError:
            raise BenchError(f"{LIST}:{number}: want NAME SECONDS TWO_CPUS LANES COMMAND, not '{line}'") from None
        words = [word for listed in lanes.split(",") for word in {"all": ALL, "most": MOST}.get(listed, [listed])]
        lanes = [word.removesuffix("/bare").removesuffix("/full") for word in words]
        bare = [lane for lane, word in zip(lanes, words) if word.endswith("/bare")]
        full = [lane for lane, word in zip(lanes, words) if word.endswith("/full")]
        two = KERNELS if two == "all" else [] if two == "-" else two.split(",")
        unknown = [lane for lane in [*lanes, *two] if lane not in [*KERNELS, HOST]]
        if unknown:
            raise BenchError(f"{LIST}:{number}: no such lane: {', '.join(unknown)} (lanes: {', '.join(KERNELS)})")
        if any(suite.name == name for suite in found):
            raise BenchError(f"{LIST}:{number}: the name '{name}' is taken")
        found.append(Suite(name, seconds, lanes, command, two, bare, full))
    return found


def by_guest(lane, suites):
    """What each guest of a lane has to run: pairs of whether it is a bare one, and suites."""
    groups = [(bare, [suite for suite in suites if (lane in suite.bare) == bare]) for bare in (False, True)]
    return [(bare, group) for bare, group in groups if group]


def limit(suites):
    """The time after which a guest that runs these suites must be called hung."""
    return BOOT_SECONDS + sum(suite.seconds + 10 for suite in suites)
