# SPDX-License-Identifier: GPL-2.0-only
"""What the tests in Python share: the module under test, one device, and KTAP."""

import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
SRC = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SRC / "userspace" / "python"))
os.environ.setdefault("LIBMYDEV", str(SRC / "userspace" / "libmydev.so.0"))

NODE = os.environ["MYDEV_NODE"]
TESTS = []


def wait_for(condition, seconds=20):
    """For states that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def plug(on, seconds=20):
    Path(os.environ["GADGET_UDC"]).write_text(os.environ["UDC"] if on else "\n")
    wait_for(lambda: os.path.exists(NODE) == on, seconds)
    if on:
        # As with-sim.sh has said of the first one.
        (Path("/sys/class/mydev") / Path(NODE).name / "block_timeout_ms").write_text("0\n")


class raises:
    """The block has to end with just this exception, and errno where one is given."""

    def __init__(self, kind, number=None):
        self.kind, self.number = kind, number

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _):
        assert kind is not None, f"no {self.kind.__name__}"
        if kind is not self.kind:
            return False
        self.value = value
        assert self.number in (None, getattr(value, "errno", None)), f"{value!r}"
        return True


def promise(words):
    def add(function):
        TESTS.append((words, function))
        return function
    return add


def run(fresh=None):
    """All of them, each after fresh(); returns the status of the program."""
    failed = 0
    print("KTAP version 1", flush=True)
    for number, (words, function) in enumerate(TESTS, 1):
        try:
            if fresh:
                fresh()
            function()
            print(f"ok {number} {words}", flush=True)
        except Exception as error:
            failed += 1
            # One may have come over another, which tells more.
            while error:
                where = error.__traceback__
                lines = []
                while where:
                    lines.append(f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}")
                    where = where.tb_next
                print(f"# {error!r} at {' < '.join(reversed(lines))}", flush=True)
                error = error.__context__
            print(f"not ok {number} {words}", flush=True)
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0
