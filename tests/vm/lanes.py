# SPDX-License-Identifier: GPL-2.0-only
"""The kernels that the tests run on, and where the cache keeps them."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
STOCK = ["6.1", "6.12", "6.12-rt", "newest"]
ALL = STOCK + ["uml"]
# Where most suites run; what stands between the oldest and the newest has fewer.
MOST = ["6.1", "newest", "uml"]
# Another architecture, always emulated.
CROSS = ["arm64"]
KERNELS = ALL + CROSS
HOST = "host"
# The timer of dummy_hcd fires 8000 times a second while a transfer is in flight, which
# costs an emulated processor up to half of its time. Where timers go by the tick it is
# 250 times. The other kernels have it as it is.
COARSE_TIMERS = ["newest", "6.12-rt", "arm64"]


class BenchError(Exception):
    """Something the user can set right; the message says how."""


def cache_dir():
    base = os.environ.get("MYDEV_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mydev")
    return Path(base).resolve()


class Lane:
    """One kernel in the cache. The layout is written by fetch and uml-build."""

    def __init__(self, name):
        if name not in KERNELS:
            raise BenchError(f"there is no lane '{name}'; the lanes are {', '.join(KERNELS)}")
        self.name = name
        self.is_uml = name == "uml"
        self.is_cross = name in CROSS
        self.coarse_timers = name in COARSE_TIMERS
        # Another run may bring a newer one meanwhile.
        self.path = (cache_dir() / "lanes" / name).resolve()
        release = self.path / "release"
        if not release.exists():
            tool = "tests/vm/uml-build" if self.is_uml else f"tests/vm/fetch {name}"
            raise BenchError(f"lane {name} is not in the cache {cache_dir()}; run {tool}")
        self.release = release.read_text().strip()
        self.kernel = (self.path / "vmlinuz").resolve()
        self.modules = (self.path / "modules").resolve()
        # The files that its guests see.
        self.root = (self.path / "root").resolve() if self.is_cross else Path("/")

    @property
    def build_dir(self):
        return TOP / "build" / self.release

    @property
    def mydev_ko(self):
        """The driver of this kernel, as the guest sees it."""
        return f"/mnt/src/build/{self.release}/kernel/mydev.ko"
