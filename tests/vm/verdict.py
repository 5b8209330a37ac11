# SPDX-License-Identifier: GPL-2.0-only
"""Judges a run: what the tests said (KTAP) and what the kernel said (its log)."""

import re

RESULT = re.compile(r"^(not ok|ok) (\d+)(?:\s+-)?(?:\s+(.*?))?(?:\s*#\s*(.*))?$")
CMOCKA = re.compile(r"^# .*: error: Failure!$")
# Tries of promises of a time, beside the one that held; tests/c/helpers.c says so.
REPEATED = re.compile(r"^# repeated: (\d+)$")
PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*(.*))?$")

# Any of these in a kernel's log fails the run.
ALARM = re.compile("|".join([
    r"(?-i:\bBUG:)", r"(?-i:\bWARNING:)", r"\bOops\b", r"KASAN:", r"UBSAN:", r"KCSAN:", r"ODEBUG:",
    r"cut here", r"Call Trace", r"general protection", r"Kernel panic", r"Segmentation fault", r"Unable to handle kernel",
    r"invalid opcode", r"non-static key", r"locking (dependency|correctness)", r"recursive locking", r"inconsistent lock state", r"unlock balance",
    r"Invalid wait context", r"scheduling while atomic", r"sleeping function called", r"suspicious RCU", r"\bleak", r"refcount_t",
    r"blocked for more than", r"rcu.*(stall|starved)", r"soft lockup", r"hard LOCKUP", r"workqueue.*(hogged|lockup)",
    r"list_(add|del) corruption", r"DEBUG_LOCKS", r"cannot create duplicate", r"still has .* references", r"Out of memory",
    r"page allocation failure", r"double free", r"use-after-free", r"out-of-bounds", r"bad page", r"nobody cared",
    r"mydev-bench: (insmod|cannot)",
]), re.IGNORECASE)
# What comes after the first one is its consequence.
OOPS = re.compile(r"^(.*(BUG: unable to handle|PANIC: double fault).*\n(.*\n){,8}?)?.*: [0-9a-f]+ \[#1\]", re.MULTILINE)
FLAGS = re.compile(r"EFLAGS: ([0-9a-f]{8})")
# Those that are always 0 [Intel SDM, volume 1, 3.4.3].
NO_FLAGS = 0xffc08028
STAMP = re.compile(r"^(\[ *\d+\.\d+\] ?)+")
DRIVER = re.compile(r"\] mydev\b(?!-)|\bmydev_\w+\+0x|\[mydev\]|\(mydev\b", re.IGNORECASE)
PANIC = re.compile(r"^.*Kernel panic - not syncing.*$", re.MULTILINE)
PLACE = re.compile(r"(?:RIP: [0-9a-f]+:|\bpc : )(\S+)")
# What a healthy kernel says of itself while it starts.
HARMLESS = re.compile("|".join([
    r"kprobes: .* if possible", r"mtrr: your CPUs had inconsistent",
    # Judged by guest-init, which knows whose they are.
    r"kmemleak: \d+ new suspected memory leaks",
    r"kmemleak: Kernel memory leak detector initialized", r"ODEBUG: selftest passed",
    r"rcu: .*(stall (timeout|warning)|is enabled)",
    # Where the controller lost its power, of its own endpoint 0.
    r"ohci-pci \S+ leak ed \w+ \(#00\)",
]))


# The last thing that comes by the channel; guest-init writes it.
END = b"\x04mydev-bench: the end\x04"


class Channel:
    """Takes the end marker out of what comes by the channel, in whatever pieces it comes."""

    def __init__(self):
        self.ended = False
        self._held = b""    # may be the beginning of the marker

    def feed(self, data):
        """What of it, and of what was held, the guest has said."""
        if self.ended:
            return b""
        said, marker, _ = (self._held + data).partition(END)
        self.ended = bool(marker)
        held = 0 if marker else max(n for n in range(len(END)) if said.endswith(END[:n]))
        self._held = said[len(said) - held:]
        return said[:len(said) - held]

    def rest(self):
        """The channel is closed: what was held is no marker."""
        said, self._held = self._held, b""
        return said


class Level:
    """One indentation level of a KTAP document."""

    def __init__(self):
        self.plan = None
        self.skip_all = None
        self.seen = 0
        self.failed = 0
        self.bad_number = None

    def complaint(self):
        if self.plan is None:
            return "no plan line: the test ended early, or is not KTAP" if self.seen else "no KTAP result at all"
        if self.plan != self.seen:
            return f"planned {self.plan} results but gave {self.seen}"
        if self.bad_number:
            return f"result {self.bad_number} is out of order"
        return None


class Ktap:
    """Reads KTAP line by line and counts the results that have none below them."""

    def __init__(self, on_suite=None):
        self.levels = [Level()]
        self.names = []
        self.notes = []
        self.passed = self.failed = self.skipped = 0
        self.repeated = 0           # in all suites
        self.failures = []          # (suite, name of the test, lines of explanation)
        self.last_failed = None     # its lines, until something else passes or fails
        self.suites = 0             # those that have come to their end
        self.on_suite = on_suite    # called as on_suite(name, ok, counts, remark)
        self._mark = (0, 0, 0)
        self._repeated = 0          # in this suite
        self._partial = b""

    def feed_bytes(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self.feed(line.decode("utf-8", "replace").rstrip("\r"))

    def feed(self, line):
        text = line.lstrip(" ")
        depth = (len(line) - len(text)) // 4
        result, plan = RESULT.match(text), PLAN.match(text)
        if not result and not plan:
            if repeated := REPEATED.match(text):
                self.repeated += int(repeated.group(1))
                self._repeated += int(repeated.group(1))
                return
            if text and not text.startswith(("KTAP version", "TAP version", "# Subtest:")):
                self.notes = self.notes[-60:] + [text]
                # cmocka says why after it has said that.
                if CMOCKA.match(text) and self.last_failed is not None:
                    self.last_failed += self.notes
                    self.notes, self.last_failed = [], None
            elif text.startswith("# Subtest:"):
                self.notes = []
            return
        # A result one level up ends what is below it; see _result().
        while len(self.levels) <= depth:
            self.levels.append(Level())
        if plan:
            self.levels[depth].plan = int(plan.group(1))
            self.levels[depth].skip_all = plan.group(2)
        else:
            self._result(depth, result.group(1) == "ok", int(result.group(2)), result.group(3) or "", result.group(4) or "")

    def _result(self, depth, ok, number, name, remark):
        level = self.levels[depth]
        below = self.levels[depth + 1] if len(self.levels) > depth + 1 else None
        del self.levels[depth + 1:]
        level.seen += 1
        if number != level.seen:
            level.bad_number = number
        skipped = remark.upper().startswith("SKIP")
        complaint = None
        if below is not None:
            if below.plan == 0 and below.skip_all:
                skipped, below = True, None
            else:
                complaint = below.complaint()
        elif depth == 0 and not skipped:
            complaint = "no KTAP result at all"
        if complaint:
            self.notes.append(complaint)
        if below is None or complaint or (not ok and not below.failed):
            self.last_failed = None
            if skipped and not complaint:
                self.skipped += 1
            elif ok and not complaint:
                self.passed += 1
            else:
                ok = False
                self.failed += 1
                self.last_failed = list(self.notes)
                self.failures.append((name, self.last_failed))
        if below is not None and below.failed:
            ok = False
        if not ok:
            level.failed += 1
        self.notes = []
        if depth == 0:
            now = (self.passed, self.failed, self.skipped)
            self.suites += 1
            if self._repeated:
                remark = ", ".join(filter(None, (remark, f"{self._repeated} repeated")))
            self._repeated = 0
            if self.on_suite:
                self.on_suite(name, ok, tuple(a - b for a, b in zip(now, self._mark)), remark)
            self._mark = now

    def forget_unfinished(self):
        """Nothing is counted of a suite that has not come to its end: it will run again."""
        self.passed, self.failed, self.skipped = self._mark
        del self.failures[self.failed:]

    def finish(self, planned):
        """The end of the channel: suites that never reported have failed."""
        level = self.levels[0]
        for number in range(level.seen, planned):
            self.failed += 1
            self.failures.append((f"suite {number + 1} of {planned}", ["no verdict"] + (self.notes if number == level.seen else [])))


def before_trip(log):
    """The log of a guest whose emulated CPU has tripped, as far as it was good; None of any
    other guest. It trips over code that another one is patching: the breakpoint that the
    kernel puts there meanwhile is one that it knows, so on a real CPU nobody sees it. Or
    it goes on with flags that no CPU has."""
    oops = OOPS.search(log)
    if not oops:
        return None
    flags = FLAGS.search(log, oops.end())
    if "int3: " in oops.group() or (flags and int(flags.group(1), 16) & NO_FLAGS):
        return log[:oops.start()]
    return None


def place_of_death(log):
    """Where in its own code a guest has died: its oops and the instruction, its panic, or its last line."""
    oops = OOPS.search(log)
    if oops:
        at = PLACE.search(log, oops.end())
        return STAMP.sub("", oops.group().splitlines()[-1]), at.group(1) if at else ""
    # Behind that a kernel says where it was loaded, each time somewhere else.
    panic = PANIC.search(log)
    return STAMP.sub("", panic.group() if panic else (log.rstrip().splitlines() or [""])[-1]), ""


class Deaths:
    """Judges the deaths of the guests that run one list of suites under emulation, where
    a CPU may have tripped. It does not do so in the same place twice."""

    def __init__(self):
        self.places = []
        self.twice = False      # the latest one was where an earlier one was

    def tripped(self, log, suite, results):
        """The log as far as it was good, if the guest may go on in a new one; else None.
        It died in `suite`, and gave `results` before."""
        good = before_trip(log)
        # One that dies before its first result has not seen the driver, mostly.
        if good is None and (results or DRIVER.search(log)):
            return None
        place = suite, place_of_death(log)
        self.twice = place in self.places
        self.places.append(place)
        return None if self.twice else good or ""


# What a guest says that cannot run on this machine, and what is to be done.
CAUSES = [(re.compile(r"ptrace set fp regs failed"),
           "the state of this processor does not fit; enlarge FP_SIZE in tests/vm/uml-build, and the sanitizer kernel is rebuilt")]


def cause(log):
    """Why a guest has died, where its log says it in words that not everybody knows; or None."""
    return next((words for pattern, words in CAUSES if pattern.search(log)), None)


def alarms(log):
    """The lines of a kernel log that must not be there, each with what follows it."""
    lines = log.splitlines()
    found = []
    skip_to = 0
    for number, line in enumerate(lines):
        if number < skip_to or not ALARM.search(line) or HARMLESS.search(line):
            continue
        found.append(lines[number:number + 25])
        # One report has many lines that match; show its beginning once.
        skip_to = number + 25
    return found
