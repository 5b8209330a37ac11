# SPDX-License-Identifier: GPL-2.0-only
"""Draws the chart that the README shows, an SVG file."""

from html import escape

from figures import ICOUNT

WIDTH = 860
LEFT = 200          # where bars begin
RIGHT = 110         # room for the figures behind them
ROW, BAR = 24, 16
OURS, OTHERS, LIMIT = "#1f6feb", "#8b949e", "#d0d7de"
CEILING = "in-kernel ceiling"
KERNEL_TEST = "the kernel's testusb"
PLOT_WIDTH, PLOT_HEIGHT = 270, 200


class Svg:
    def __init__(self):
        self._parts = []
        self.height = 10

    def text(self, x, y, words, size=13, anchor="start", fill="#24292f", weight="normal"):
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
                           f'font-weight="{weight}">{escape(str(words))}</text>')

    def rect(self, x, y, width, height, fill):
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{fill}"/>')

    def line(self, points, stroke, dash=""):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{where}" fill="none" stroke="{stroke}" stroke-width="2" '
                           f'stroke-dasharray="{dash}"/>')

    def dot(self, x, y, fill):
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}"/>')

    def finish(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
                f'viewBox="0 0 {WIDTH} {self.height}" font-family="sans-serif">')
        return "\n".join(['<!-- SPDX-License-Identifier: MIT -->', head,
                          f'<rect width="{WIDTH}" height="{self.height}" fill="white"/>', *self._parts, "</svg>", ""])


def colour(peer):
    return OURS if peer.startswith("mydev") else LIMIT if peer in (CEILING, KERNEL_TEST) else OTHERS


def bars(svg, title, rows):
    """@rows are (name, value); the longest bar is the largest value."""
    if not rows:
        return
    svg.height += 18
    svg.text(10, svg.height, title, size=15, weight="bold")
    svg.height += 10
    largest = max(value for _, value in rows)
    for name, value in sorted(rows, key=lambda row: -row[1]):
        svg.text(LEFT - 8, svg.height + BAR - 3, name, anchor="end")
        svg.rect(LEFT, svg.height, (WIDTH - LEFT - RIGHT) * value / largest, BAR, colour(name))
        svg.text(LEFT + (WIDTH - LEFT - RIGHT) * value / largest + 6, svg.height + BAR - 3,
                 f"{value:,.0f}" if value >= 10 else f"{value:.1f}")
        svg.height += ROW
    svg.height += 12


def curves(svg, x, top, title, labels, series):
    """@series are (name, values); values are relative to the largest of all."""
    svg.text(x, top, title, size=15, weight="bold")
    bottom = top + 20 + PLOT_HEIGHT
    largest = max((v for _, values in series for v in values if v is not None), default=1)
    svg.line([(x, top + 20), (x, bottom), (x + PLOT_WIDTH, bottom)], "#57606a")
    svg.text(x + 4, top + 30, f"{largest:,.0f}", size=11, fill="#57606a")
    step = PLOT_WIDTH / max(len(labels) - 1, 1)
    for i, label in enumerate(labels):
        svg.text(x + i * step, bottom + 15, label, size=11, anchor="middle", fill="#57606a")
    for nr, (name, values) in enumerate(series):
        points = [(x + i * step, bottom - v / largest * PLOT_HEIGHT) for i, v in enumerate(values) if v is not None]
        if not points:
            continue
        dash = ["", "6 3", "2 3"][nr % 3] if name.startswith("mydev") else ["", "6 3", "2 3"][nr % 2]
        svg.line(points, colour(name), dash)
        for point in points:
            svg.dot(*point, colour(name))
        svg.text(points[-1][0] + 6, points[-1][1] + 4, name, size=11)


def draw(figures):
    def get(scene, peer, metric, setting=0):
        return figures.get(ICOUNT, scene, peer, metric, setting)

    svg = Svg()
    bars(svg, "One client, 32 KiB transfers: MiB/s", [(p, get("one", p, "MiB/s")) for p in figures.peers(ICOUNT, "one")])
    bars(svg, "64-byte packets: 1000 packets/s",
         [(p, value / 1000) for p in figures.peers(ICOUNT, "sizes") if (value := get("sizes", p, "packets/s", 64))])
    counts = figures.settings(ICOUNT, "clients")
    if counts:
        together, busy = [], []
        for peer in figures.peers(ICOUNT, "clients"):
            rates = [get("clients", peer, "MiB/s", nr) for nr in counts]
            together.append((peer, [rate and rate * nr for rate, nr in zip(rates, counts)]))
            busy.append((peer, [get("clients", peer, "busy us/MiB", nr) for nr in counts]))
        top = svg.height + 18
        curves(svg, 40, top, "All clients together: MiB/s", counts, together)
        curves(svg, 470, top, "Processor time per MiB of the stream: \u00b5s", counts, busy)
        svg.text(40 + PLOT_WIDTH / 2, top + PLOT_HEIGHT + 50, "clients, each of which receives everything", size=11,
                 anchor="middle", fill="#57606a")
        svg.height = top + PLOT_HEIGHT + 80
    svg.text(10, svg.height, "A virtual machine whose clock counts instructions: ratios of cost, not the speed of a bus.",
             size=11, fill="#57606a")
    svg.height += 12
    return svg.finish()
