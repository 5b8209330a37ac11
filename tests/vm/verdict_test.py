#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The judge does not let through what it should not. Prints KTAP."""

import sys
import traceback

sys.dont_write_bytecode = True
import verdict  # noqa: E402


def counts(text, planned=1):
    ktap = verdict.Ktap()
    ktap.feed_bytes(text.encode())
    ktap.finish(planned)
    return ktap.passed, ktap.failed, ktap.skipped


def suite(*lines, ok=True):
    return "KTAP version 1\n1..1\n" + "".join(f"    {line}\n" for line in lines) + f"{'ok' if ok else 'not ok'} 1 s # 3 s\n"


def counts_results():
    assert counts(suite("1..2", "ok 1 a", "ok 2 b # SKIP no such device")) == (1, 0, 1)
    assert counts(suite("ok 1 a", "not ok 2 b", "1..2", ok=False)) == (1, 1, 0)


def counts_nested_results_once():
    text = suite("1..1", "    KTAP version 1", "    1..2", "    ok 1 a", "    ok 2 b", "ok 1 inner")
    assert counts(text) == (2, 0, 0)


def failed_case_with_good_status_fails():
    assert counts(suite("1..2", "ok 1 a", "not ok 2 b"))[1] == 1


def failed_status_of_good_cases_fails():
    assert counts(suite("1..1", "ok 1 a", ok=False)) == (1, 1, 0)


def missing_results_fail():
    assert counts(suite("1..3", "ok 1 a", "ok 2 b")) == (2, 1, 0)
    assert counts(suite("1..1", "    1..2", "    ok 1 a", "ok 1 inner")) == (1, 1, 0)


def missing_plan_fails():
    assert counts(suite("ok 1 a")) == (1, 1, 0)


def silence_fails():
    assert counts(suite()) == (0, 1, 0)
    assert counts("", planned=2) == (0, 2, 0)


def guest_that_dies_fails():
    text = "KTAP version 1\n1..2\n    1..2\n    ok 1 a\n"
    assert counts(text, planned=2) == (1, 2, 0)


def wrong_numbers_fail():
    assert counts(suite("1..2", "ok 1 a", "ok 1 b"))[1] == 1


def a_whole_suite_can_be_skipped():
    assert counts(suite("1..0 # SKIP not on this kernel")) == (0, 0, 1)


def repeats_are_counted():
    said = []
    ktap = verdict.Ktap(lambda *suite: said.append(suite))
    ktap.feed_bytes(b"1..2\n    1..1\n    ok 1 a\n    # repeated: 3\nok 1 s # 2 s\n    1..1\n    ok 1 a\nok 2 t # 1 s\n")
    assert [(name, remark) for name, _, _, remark in said] == [("s", "2 s, 3 repeated"), ("t", "1 s")]
    assert ktap.repeated == 3


def kernel_reports_are_found():
    for line in ("WARNING: CPU: 1 PID: 7 at kernel/workqueue.c:1 x+0x1/0x2", "BUG: KASAN: slab-use-after-free in f+0x1/0x2",
                 "BUG: unable to handle page fault for address: 0", "INFO: task cat:12 blocked for more than 60 seconds.",
                 "WARNING: possible circular locking dependency detected", "mydev-bench: leak: 1 objects, see kmemleak.log",
                 "ODEBUG: free active (active state 0) object: 0 object type: work_struct", "rcu: INFO: rcu_preempt self-detected stall on CPU",
                 "UBSAN: array-index-out-of-bounds in f.c:1", "Oops: 0000 [#1] PREEMPT SMP", "refcount_t: underflow; use-after-free.",
                 "mydev 1-1:1.0: 2 buffers leaked", "Kernel panic - not syncing: x"):
        assert len(verdict.alarms(f"[    1.0] usb 1-1: new device\n[    1.1] {line}\n")) == 1, line


def ordinary_messages_are_not():
    log = """[    0.1] PCI: Using host bridge windows from ACPI; if necessary, use "pci=nocrs" and report a bug
[    0.1] kmemleak: Kernel memory leak detector initialized (mem pool available: 15785)
[    0.1] ODEBUG: selftest passed
[    0.1] mtrr: your CPUs had inconsistent variable MTRR settings
[    0.1]  memory used by lock dependency info: 6429 kB
[    1.0] usb 1-1: USB disconnect, device number 2
"""
    assert not verdict.alarms(log)


def a_tripped_guest_counts_as_far_as_it_was_good():
    ktap = verdict.Ktap()
    ktap.feed_bytes(b"KTAP version 1\n1..3\n    1..2\n    ok 1 a\n    not ok 2 b\nnot ok 1 s\n    1..2\n    ok 1 a\n    not ok 2 b\n")
    ktap.forget_unfinished()
    ktap.finish(ktap.suites)
    assert (ktap.passed, ktap.failed, ktap.skipped, ktap.suites) == (1, 1, 0, 1)
    assert [name for name, _ in ktap.failures] == ["b"]


def what_cmocka_says_afterwards_is_of_what_failed():
    lines = ("1..3", "# seed: 1", "not ok 1 - a", "# 0x1 != 0x2", "# x.c:7: error: Failure!", "# seed: 2", "not ok 2 - b", "# seed: 3", "ok 3 - c")
    ktap = verdict.Ktap()
    ktap.feed_bytes(suite(*lines, ok=False).encode())
    assert [(name, notes) for name, notes in ktap.failures] == [
        ("a", ["# seed: 1", "# 0x1 != 0x2", "# x.c:7: error: Failure!"]), ("b", ["# seed: 2"])]


def only_a_trip_of_the_emulator_is_one():
    assert verdict.before_trip("[ 1.0] good\n[ 2.0] Oops: int3: 0000 [#1] PREEMPT SMP\n[ 2.1] Call Trace:\n") == "[ 1.0] good\n"
    assert verdict.before_trip("[ 2.0] int3: 0000 [#1] PREEMPT SMP\n") is not None
    fault = "[ 1.0] good\n{}[ 2.0] Oops: {}: 0000 [#1] PREEMPT SMP\n[ 2.0] RSP: 0018:ff74cb5e003c7810 EFLAGS: {}\n"
    page_fault = "[ 2.0] BUG: unable to handle page fault for address: 0\n[ 2.0] PGD 0\n"
    for what, before in (("double fault", ""), ("0000", page_fault)):
        assert verdict.before_trip(fault.format(before, what, "50778382")) == "[ 1.0] good\n"
        assert verdict.before_trip(fault.format(before, what, "00010246")) is None
        assert verdict.before_trip(fault.format(before, what, "00010246") + "[ 3.0] EFLAGS: 50778382\n") is None
    for line in ("Oops: 0000 [#1] PREEMPT SMP", "general protection fault, 0000 [#1]", "Oops: int3: 0000 [#2] PREEMPT SMP",
                 "kernel BUG at x.c:1! Oops: invalid opcode: 0000 [#1]", "Kernel panic - not syncing: x"):
        assert verdict.before_trip(f"[    1.0] {line}\n") is None, line
    # What was wrong before it still is.
    assert verdict.alarms(verdict.before_trip("[ 1.0] WARNING: CPU: 1\n[ 2.0] int3: 0000 [#1]\n"))


def the_end_marker_is_taken_out_and_known():
    text = b"ok 1 a\n\x04mydev-bench: the en\x04"
    sent = text + verdict.END
    for size in (1, 2, 7, len(sent) - 1, len(sent)):
        channel = verdict.Channel()
        parts = [channel.feed(sent[at:at + size]) for at in range(0, len(sent), size)]
        assert (b"".join(parts), channel.ended, channel.rest()) == (text, True, b""), size
        assert channel.feed(b"too late") == b""
    channel = verdict.Channel()
    assert channel.feed(b"at once\n") == b"at once\n"


def without_the_end_marker_nothing_is_held_back():
    for text in (b"", b"ok 1 a\n", b"ok 1 a\n" + verdict.END[:-1], verdict.END[:1]):
        channel = verdict.Channel()
        assert channel.feed(text) + channel.rest() == text
        assert not channel.ended


def who_dies_in_the_driver_has_not_tripped():
    for line in "[    2.0] mydev 1-1:1.0: bound\n", "[    2.0] RIP: 0010:mydev_probe+0x1/0x2 [mydev]\n":
        assert verdict.Deaths().tripped(f"[    1.0] booting\n{line}[    2.1] Oops\n", "smoke", 0) is None, line
    assert verdict.Deaths().tripped("[    1.0] mydev-bench: suite smoke\n[    2.1] end\n", "smoke", 0) == ""


def where_it_died_is_the_same_at_another_time():
    oops = "[    {}.1] good\n[    {}.2] Oops: int3: 0000 [#1] PREEMPT SMP\n[    {}.2] CPU: {}\n[    {}.2] RIP: 0010:{}\n[    3.0] after {}\n"
    first = verdict.place_of_death(oops.format(1, 1, 1, 1, 1, "f+0x1/0x2", 1))
    assert first == verdict.place_of_death(oops.format(2, 3, 4, 0, 6, "f+0x1/0x2", 7))
    assert first != verdict.place_of_death(oops.format(1, 1, 1, 1, 1, "g+0x1/0x2", 1))
    assert verdict.place_of_death("[    1.0] a\n[    1.2] b\n\n") == verdict.place_of_death("[   10.0] c\n[ 1234.567] b\n")
    assert verdict.place_of_death("[    1.0] a\n") != verdict.place_of_death("[    1.0] b\n")
    arm = "[    1.0] Internal error: Oops: 0000000096000004 [#1] SMP\n[    1.0] pc : {} [mydev]\n[    1.0] lr : h+0x1/0x2\n[    {}] end\n"
    assert verdict.place_of_death(arm.format("f+0x1/0x2", 2)) == verdict.place_of_death(arm.format("f+0x1/0x2", 3))
    assert verdict.place_of_death(arm.format("f+0x1/0x2", 2)) != verdict.place_of_death(arm.format("g+0x1/0x2", 2))
    panic = "[    {}] Kernel panic - not syncing: {}\n[    2.1] Kernel Offset: {} from 0xffffffff81000000\n"
    assert verdict.place_of_death(panic.format(1.5, "x", "0x1ac00000")) == verdict.place_of_death(panic.format(2.0, "x", "0x30c00000"))
    assert verdict.place_of_death(panic.format(1.5, "x", "0x1ac00000")) != verdict.place_of_death(panic.format(1.5, "y", "0x1ac00000"))
    assert verdict.place_of_death("") == verdict.place_of_death("\n")


def nothing_trips_in_the_same_place_twice():
    trip = "[ 1.0] good\n[ 2.{}] Oops: int3: 0000 [#1] PREEMPT SMP\n[ 2.0] RIP: 0010:{}+0x1/0x2\n"
    deaths = verdict.Deaths()
    assert deaths.tripped(trip.format(0, "f"), "a", 5) == "[ 1.0] good\n"
    assert deaths.tripped(trip.format(0, "g"), "a", 5) is not None
    assert deaths.tripped(trip.format(0, "f"), "b", 5) is not None
    assert not deaths.twice
    assert deaths.tripped(trip.format(1, "f"), "a", 5) is None
    assert deaths.twice


def who_dies_early_has_another_try_and_no_more():
    deaths = verdict.Deaths()
    assert deaths.tripped("[ 1.0] a\n[ 1.5] BUG: KASAN: x\n", "a", 3) is None
    assert not deaths.twice
    for log in ("", "[ 1.0] a\n", "[ 1.0] a\n[ 2.0] b\n"):
        assert deaths.tripped(log, "a", 0) == ""
    for log in ("", "[ 3.0] a\n"):
        assert deaths.tripped(log, "a", 0) is None
        assert deaths.twice


def a_processor_that_is_too_large_is_named():
    log = "[    0.72] userspace - ptrace set fp regs failed, errno = 14\n[    0.73] Kernel panic - not syncing: Attempted to kill init!\n"
    assert "does not fit" in (verdict.cause(log) or "")
    assert verdict.cause(log.replace("set fp", "set")) is None


def main():
    tests = [value for name, value in globals().items()
             if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in ("main", "suite", "counts")]
    print(f"KTAP version 1\n1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} {name}")
        except AssertionError:
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} {name}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
