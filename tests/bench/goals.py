# SPDX-License-Identifier: GPL-2.0-only
"""What the driver has to reach, and whether it does."""

from dataclasses import dataclass

from figures import ICOUNT, SMP

RATE = "MiB/s"
RING, READ, PACKET_READ = "mydev ring", "mydev read", "mydev packet read"
ASYNC, ZERO_COPY, CEILING = "libusb async", "libusb zero-copy", "in-kernel ceiling"
# Those whose order has to be the same on both machines.
RANKED = [CEILING, RING, READ, PACKET_READ, ZERO_COPY, ASYNC,
          "cdc-acm (its own gadget)", "usb-serial generic", "usb-skeleton"]
# Who is not ahead by more than this is no better than the other.
CLEARLY = 1.15
KIB = 1024


@dataclass
class Verdict:
    what: str
    found: str
    goal: str
    met: bool


def ratio(figures, what, goal, ours, theirs, metric=RATE, scene="one", at_most=False):
    """@ours and @theirs are (peer, setting)."""
    a, b = (figures.get(ICOUNT, scene, peer, metric, setting) for peer, setting in (ours, theirs))
    sign = "at most" if at_most else "at least"
    if a is None or b is None:
        return Verdict(what, "not measured", f"{sign} {goal}", False)
    value = a / b
    return Verdict(what, f"{value:.2f}", f"{sign} {goal}", value <= goal if at_most else value >= goal)


def extra_memory(figures):
    """One more reader, and what a ring client costs beyond that."""
    read, ring = (figures.get(ICOUNT, "memory", peer, "bytes/client") for peer in (READ, RING))
    known = None not in (read, ring)
    for what, value, limit in (("memory of one more reader", read, 8),
                               ("memory of one more ring client, beyond that", known and ring - read, 4)):
        found = f"{value / KIB:.1f} KiB" if known else "not measured"
        yield Verdict(what, found, f"at most {limit} KiB", known and value <= limit * KIB)


def order(figures):
    """Whoever is clearly ahead of another here is ahead of it there."""
    pairs, wrong = 0, []
    rates = {m: {p: figures.get(m, "one", p, RATE) for p in RANKED} for m in (ICOUNT, SMP)}
    for a in RANKED:
        for b in RANKED:
            if None in (rates[ICOUNT][a], rates[ICOUNT][b]) or rates[ICOUNT][a] < CLEARLY * rates[ICOUNT][b]:
                continue
            pairs += 1
            if None in (rates[SMP][a], rates[SMP][b]) or rates[SMP][a] <= rates[SMP][b]:
                wrong.append(f"{a} is not ahead of {b}")
    found = "not measured" if not pairs else "; ".join(wrong) if wrong else f"{pairs} pairs as expected"
    return Verdict("order of merit with two processors", found, "the same", bool(pairs) and not wrong)


def judge(figures):
    """The verdicts of the scenes that were run."""
    scenes = set(figures.scenes(ICOUNT))
    verdicts = []
    if "one" in scenes:
        verdicts += [
            ratio(figures, "ring / in-kernel ceiling", 0.92, (RING, 0), (CEILING, 0)),
            ratio(figures, "ring / libusb zero-copy", 1.35, (RING, 0), (ZERO_COPY, 0)),
            ratio(figures, "read / libusb zero-copy", 0.95, (READ, 0), (ZERO_COPY, 0)),
            ratio(figures, "read / libusb async", 1.5, (READ, 0), (ASYNC, 0)),
        ]
    if "out" in scenes:
        verdicts.append(ratio(figures, "write / libusb async", 1.5, ("mydev write", 0), (ASYNC, 0), scene="out"))
    if "clients" in scenes:
        for number, goal in ((16, 1.2), (64, 2.0)):
            verdicts.append(ratio(figures, f"cost of {number} ring clients / of one", goal, (RING, number), (RING, 1),
                                  "busy us/MiB", "clients", at_most=True))
    if "memory" in scenes:
        verdicts += extra_memory(figures)
    if "latency" in scenes:
        for peer in (READ, RING):
            for metric, name in (("median us", "median"), ("99% us", "99th percentile")):
                verdicts.append(ratio(figures, f"latency of {peer.split()[1]} / of libusb, {name}", 1.0, (peer, 0),
                                      (ASYNC, 0), metric, "latency", at_most=True))
    if "one" in scenes and "one" in figures.scenes(SMP):
        verdicts.append(order(figures))
    return verdicts
