# SPDX-License-Identifier: GPL-2.0-only
"""Bare guests: all their files are in memory, so that all their devices can sleep.

The host's files reach other guests by virtio-9p, which does not survive the sleep of
the system: its queues are gone afterwards, and whatever touches a file hangs."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from lanes import TOP, BenchError

# What busybox has not, or not with the options that are used here.
PROGRAMS = ["bash", "setsid", "modprobe", "rmmod"]
# Loaded by suites; the host's files are reached only after the last of them.
MODULES = ["xhci_pci", "ohci_pci", "uhci_hcd", "dummy_hcd", "libcomposite", "usb_f_ss_lb"]
SOURCES = ["tests/vm/guest-init", "tests/lib/ktap.sh", "tests/lib/xhci.sh", "tests/sim/gadget.sh", "build/tests/round_trip"]


def with_libraries(path):
    """A program and all that it is linked to, each at its place."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    if listed.returncode:
        raise BenchError(f"ldd {path}: {listed.stderr.strip()}")
    return [path] + [word for word in listed.stdout.split() if word.startswith("/")]


def files(lane, suites, modules):
    """What is in the initramfs besides what all guests need; modules: files of the host."""
    found = {}
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/bin:/usr/sbin")
        if not path:
            raise BenchError(f"{name} is missing; install what there is to install with: tests/vm/deps --install")
        # modprobe and its like are one program, which goes by its name.
        found[f"usr/bin/{name}"] = Path(path)
        found.update((library.lstrip("/"), Path(library)) for library in with_libraries(path)[1:])
    for name in [*SOURCES, *(suite.command.split()[0] for suite in suites), f"build/{lane.release}/kernel/mydev.ko"]:
        found[f"mnt/src/{name}"] = TOP / name
    for library in with_libraries(TOP / "build/tests/round_trip")[1:]:
        found[library.lstrip("/")] = Path(library)
    root = f"lib/modules/{lane.release}"
    for path in [*modules, *(lane.modules / f"modules.{index}.bin" for index in ("dep", "builtin", "alias"))]:
        found[f"{root}/{Path(path).resolve().relative_to(lane.modules)}"] = Path(path)
    return found


def second_controller():
    """The OHCI, if it can be had: that of QEMU 10, Debian 13's, holds its interrupt when there
    is none to handle, until Linux gives it up. The UHCI then, which forgets its devices."""
    shown = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", shown)
    if not found:
        raise BenchError(f"qemu-system-x86_64 does not say what version it is: {shown}")
    return "ohci" if int(found.group(1)) < 9 else "uhci"


class Sleep:
    """Two USB devices whose line ends in itself, behind different host controllers;
    and what wakes the guest whenever it has really gone to sleep.

    The xHCI loses its state when it sleeps, as most emulated ones do, the OHCI does
    not. The device behind the second one is pulled out in that sleep, which can be but one:
    the emulated firmware then forgets where the registers for the next one are."""

    MODELS = {"xhci": "qemu-xhci", "ohci": "pci-ohci", "uhci": "ich9-usb-uhci1"}

    def __init__(self, scratch):
        self.ours, self.theirs = socket.socketpair()
        self.second = second_controller()
        self.pipes = [Path(scratch) / name for name in ("xhci", self.second)]
        for path in self.pipes:
            subprocess.run(["mkfifo", path], check=True)

    def options(self):
        options = ["-chardev", f"socket,id=qmp,fd={self.theirs.fileno()}", "-mon", "chardev=qmp,mode=control"]
        for path in self.pipes:
            options += ["-device", f"{self.MODELS[path.name]},id={path.name}", "-chardev", f"pipe,id={path.name}-line,path={str(path).replace(',', ',,')}",
                        "-device", f"usb-serial,id={path.name}-device,bus={path.name}.0,chardev={path.name}-line,always-plugged=on"]
        return options

    def start(self):
        self.theirs.close()
        threading.Thread(target=self._run, daemon=True).start()

    def _tell(self, command, **arguments):
        self.ours.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def _run(self):
        # It may end in the middle of anything.
        with contextlib.suppress(OSError), self.ours, self.ours.makefile("rb") as lines:
            self._tell("qmp_capabilities")
            for line in lines:
                if json.loads(line).get("event") != "SUSPEND":
                    continue
                self._tell("device_del", id=f"{self.second}-device")
                self._tell("system_wakeup")
