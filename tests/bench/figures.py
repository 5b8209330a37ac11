# SPDX-License-Identifier: GPL-2.0-only
"""The figures of the benchmark: from the runs of a guest to bench/results.csv.

A figure is the median of its runs, and its spread the distance of the extremes
as a part of it. On the machine with two processors that is wide: it depends on the
scheduler whether a program runs beside the completions or after them, and what else
this computer does makes runs slower."""

import csv
import statistics
from bisect import bisect_right
from collections import defaultdict
from dataclasses import asdict, dataclass, fields

# A device has packets ready when a reader begins, and those find it at work; the
# latency of later ones is that of a reader that was asleep.
READY = 100
ICOUNT = "icount"
SMP = "smp"
MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    machine: str
    scene: str
    peer: str
    setting: int    # clients or bytes where a scene goes through several, else 0
    metric: str
    value: float
    spread: float = 0.0
    runs: int = 1


def load_runs(path):
    """The runs of each (scene, peer, setting), as dictionaries of numbers."""
    runs = defaultdict(list)
    with open(path, newline="", encoding="utf-8") as file:
        for scene, peer, setting, _, line in csv.reader(file, delimiter="\t"):
            words = (word.split("=") for word in line.split())
            runs[scene, peer, int(setting)].append({key: float(value) for key, value in words})
    return runs


# What is made of one run, by metric. A better figure is a larger one for rates.
def throughput(run, _):
    yield "MiB/s", run["bytes"] / MIB / (run["ns"] / 1e9)


def busy(run, _):
    # What the processors did, user space and kernel, for each MiB of the stream.
    if "busy_ns" in run:
        yield "busy us/MiB", run["busy_ns"] / 1e3 / (run["bytes"] / MIB)


def packets(run, size):
    yield "packets/s", run["bytes"] / size / (run["ns"] / 1e9)
    yield "ns/packet", run["ns"] / (run["bytes"] / size)
    if "busy_ns" in run:
        yield "busy ns/packet", run["busy_ns"] / (run["bytes"] / size)


def memory(run, _):
    yield "bytes/client", run["client_bytes"]
    yield "bytes/client of page tables", run["table_bytes"]


METRICS = {
    "one": (throughput, busy), "out": (throughput, busy), "clients": (throughput, busy), "sizes": (packets,),
    "xhci": (throughput,), "usbip": (throughput,), "memory": (memory,), "latency": (),
}


def summary(machine, scene, peer, setting, metric, values):
    value = statistics.median(values)
    spread = (max(values) - min(values)) / value if value else 0.0
    return Figure(machine, scene, peer, setting, metric, value, spread, len(values))


def latencies(done, seen):
    """Ticks from the last completion before a packet was seen to its being seen."""
    return [stamp - done[bisect_right(done, stamp) - 1] for stamp in seen if done and done[0] <= stamp]


def read_stamps(path):
    return sorted(int(line) for line in path.read_text().split())


def latency_metrics(peer, number, run, out):
    """Yields what the run of that number says; nothing where too little was seen."""
    name = f"latency-{peer.replace(' ', '-')}.{number}"
    seen = read_stamps(out / f"{name}.seen")[READY:]
    waits = latencies(read_stamps(out / f"{name}.done"), seen)
    if len(waits) < 500:
        return
    waits = sorted(wait / run["ticks_us"] for wait in waits)
    for metric, part in (("median us", 0.5), ("99% us", 0.99)):
        yield metric, waits[int(part * len(waits))]


def collect(machine, out):
    """The figures of what a guest has left in the directory @out."""
    result = []
    for (scene, peer, setting), runs in load_runs(out / "runs.tsv").items():
        values = defaultdict(list)
        for number, run in enumerate(runs, 1):
            for make in METRICS[scene]:
                for metric, value in make(run, setting):
                    values[metric].append(value)
            if scene == "latency":
                for metric, value in latency_metrics(peer, number, run, out):
                    values[metric].append(value)
        result += [summary(machine, scene, peer, setting, metric, v) for metric, v in values.items()]
    return result


def save(figures, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write("# SPDX-License-Identifier: MIT\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Figure))
        for figure in figures:
            row = asdict(figure)
            writer.writerow({**row, "value": f"{figure.value:.6g}", "spread": f"{figure.spread:.3f}"}.values())


class Figures:
    """All figures, to be asked for single ones."""

    def __init__(self, figures):
        self.all = list(figures)
        self._index = {(f.machine, f.scene, f.peer, f.setting, f.metric): f for f in self.all}

    def get(self, machine, scene, peer, metric, setting=0):
        """The value, None where there is none."""
        figure = self._index.get((machine, scene, peer, setting, metric))
        return figure and figure.value

    def scenes(self, machine):
        return list(dict.fromkeys(f.scene for f in self.all if f.machine == machine))

    def peers(self, machine, scene):
        return list(dict.fromkeys(f.peer for f in self.all if (f.machine, f.scene) == (machine, scene)))

    def settings(self, machine, scene):
        return sorted({f.setting for f in self.all if (f.machine, f.scene) == (machine, scene)})
