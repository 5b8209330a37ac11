# SPDX-License-Identifier: GPL-2.0-only
"""The figures of the benchmark as tables for people, and the verdicts."""

from figures import ICOUNT, SMP

MACHINES = {ICOUNT: "one processor that counts instructions", SMP: "two processors"}
TITLES = {
    "one": "one client, 32 KiB transfers",
    "out": "to the device, 32 KiB transfers",
    "xhci": "QEMU's usb-serial behind xHCI",
    "usbip": "USB/IP over loopback",
    "clients": "MiB/s for all clients together, each of which receives everything",
    "sizes": "packets/s by bytes of a packet",
    "latency": "from a completion to its being seen, us",
    "memory": "memory of one more client, and of its page tables, KiB",
}
REFERENCE = "libusb async"


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def line(name, cells):
    return f"  {name:<30}" + "".join(f"{cell:>14}" for cell in cells)


def rates(figures, machine, scene):
    """Rate, ratio to libusb, and what it costs the processors."""
    peers = figures.peers(machine, scene)
    def reference(peer):
        kind = peer.partition("(")[2] if scene == "usbip" else ""
        return figures.get(machine, scene, f"{REFERENCE} ({kind}" if kind else REFERENCE, "MiB/s")
    yield line("", ["MiB/s", "x libusb", "busy us/MiB", "spread"])
    for peer in peers:
        rate = figures.get(machine, scene, peer, "MiB/s")
        base = reference(peer)
        spread = next(f.spread for f in figures.all if (f.machine, f.scene, f.peer, f.metric) == (machine, scene, peer, "MiB/s"))
        yield line(peer, [number(rate), f"{rate / base:.2f}" if base else "-",
                          number(figures.get(machine, scene, peer, "busy us/MiB")), f"{spread:.1%}"])


def by_setting(figures, machine, scene, metric, scale=lambda _: 1):
    settings = figures.settings(machine, scene)
    yield line(metric, settings)
    for peer in figures.peers(machine, scene):
        cells = []
        for setting in settings:
            value = figures.get(machine, scene, peer, metric, setting)
            cells.append(number(value and value * scale(setting)))
        yield line(peer, cells)


def clients(figures, machine, scene):
    yield from by_setting(figures, machine, scene, "MiB/s", lambda nr: nr)
    yield ""
    yield from by_setting(figures, machine, scene, "busy us/MiB")


def sizes(figures, machine, scene):
    yield from by_setting(figures, machine, scene, "packets/s")
    yield ""
    yield from by_setting(figures, machine, scene, "ns/packet")


def by_metric(metrics, scale=1):
    def make(figures, machine, scene):
        yield line("", metrics)
        for peer in figures.peers(machine, scene):
            yield line(peer, [f"{value * scale:.1f}" if value is not None else "-"
                              for value in (figures.get(machine, scene, peer, m) for m in metrics)])
    return make


def memory(figures, machine, scene):
    yield line("", ["client", "tables"])
    for peer in figures.peers(machine, scene):
        yield line(peer, [f"{figures.get(machine, scene, peer, m) / 1024:.1f}"
                          for m in ("bytes/client", "bytes/client of page tables")])


MAKERS = {"clients": clients, "sizes": sizes, "latency": by_metric(["median us", "99% us"]), "memory": memory}


def show(figures):
    for machine, description in MACHINES.items():
        for scene in figures.scenes(machine):
            print(f"\n{TITLES[scene]} [{description}]")
            for text in MAKERS.get(scene, rates)(figures, machine, scene):
                print(text)


def show_verdicts(verdicts):
    print("\ngoals")
    for verdict in verdicts:
        print(f"  {'met' if verdict.met else 'MISSED':<7} {verdict.what}: {verdict.found} ({verdict.goal})")
