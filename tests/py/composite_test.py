#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A USB device with several interfaces, set up by composite.sh.

The driver has interfaces 0 and 1, which are mydev0 and mydev1. Interface 2 is another
driver's, which is usbfs here.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from promises import SRC, plug, promise, raises, run, wait_for
import mydev  # promises says where it is

SECONDS = 30
CTL = SRC / "userspace" / "mydevctl"
CLASS = Path("/sys/class/mydev")
DRIVER = Path("/sys/bus/usb/drivers/mydev")
PARTS = ["left", "right", "other"]
SCOPE = "control_scope"

# bmRequestType, see USB 2.0, 9.3
IN, STANDARD, CLASS_TYPE, VENDOR = 0x80, 0x00, 0x20, 0x40
DEVICE, INTERFACE, ENDPOINT, OTHER = range(4)
# tests/sim/pattern.h
READ, WRITE, SLOW, CLASS_REQUEST = 1, 2, 6, 0x40
UNANSWERED_MS = 60000
# <linux/usbdevice_fs.h>
CLAIM, RELEASE = 0x8004550f, 0x80045510


# ------------------------------------------------------------------- both ends

def sim(part, key):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{os.environ['GADGET_RUN']}/{part}/socket")
        s.sendall(b"stats\n")
        reply = s.makefile().readline()
    return int(dict(word.split("=", 1) for word in reply.split() if "=" in word)[key])


def requests():
    """So many have reached each part."""
    return [sim(part, "control") for part in PARTS]


def node(number):
    """The device that is this interface, by what sysfs says; None while nobody serves it."""
    for entry in mydev.devices():
        if entry.interface == number:
            return entry


def attribute(number, name):
    return (CLASS / node(number).name / name).read_text()


def set_scope(number, scope):
    (CLASS / node(number).name / SCOPE).write_text(scope)


def usb_path():
    """The USB device; None while it is not plugged in."""
    for file in Path("/sys/bus/usb/devices").glob("*/serial"):
        if file.read_text() == "left\n":
            return file.parent


def interface_name(number):
    return f"{usb_path().name}:1.{number}"


def is_bound(number):
    return (DRIVER / interface_name(number)).exists()


def unbind(number):
    (DRIVER / "unbind").write_text(interface_name(number))
    assert not is_bound(number)


def bind(number):
    (DRIVER / "bind").write_text(interface_name(number))
    wait_for(lambda: node(number) and Path(node(number).path).exists(), SECONDS)


def endpoints(number):
    """Their addresses, whoever serves them."""
    files = (usb_path() / interface_name(number)).glob("ep_*/bEndpointAddress")
    return [int(file.read_text(), 16) for file in files]


class OtherDriver:
    """Has an interface that was ours."""

    def __init__(self, number):
        self.number = number
        if is_bound(number):
            unbind(number)
        numbers = [int((usb_path() / file).read_text()) for file in ("busnum", "devnum")]
        self.fd = os.open("/dev/bus/usb/{:03}/{:03}".format(*numbers), os.O_RDWR)
        fcntl.ioctl(self.fd, CLAIM, struct.pack("I", number))
        assert Path(usb_path() / interface_name(number) / "driver").resolve().name == "usbfs"

    def close(self):
        fcntl.ioctl(self.fd, RELEASE, struct.pack("I", self.number))
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def pattern(value, length):
    return bytes((value + i) & 0xff for i in range(length))


def read(device, recipient, index=0, kind=VENDOR, value=3, length=100):
    data = device.control_in(READ + (CLASS_REQUEST if kind == CLASS_TYPE else 0), value, index, length,
                             request_type=IN | kind | recipient)
    assert data == pattern(value, length), data


def write(device, recipient, index=0, kind=VENDOR, value=7, length=100):
    taken = device.control_out(WRITE + (CLASS_REQUEST if kind == CLASS_TYPE else 0), value, index, pattern(value, length),
                               request_type=kind | recipient)
    assert taken == length


def arrives(device, part, recipient, index):
    """There and back, and at that part alone."""
    for kind in VENDOR, CLASS_TYPE:
        before = requests()
        read(device, recipient, index, kind)
        write(device, recipient, index, kind)
        after = requests()
        assert [b - a for a, b in zip(before, after)] == [2 * (p == part) for p in PARTS], (before, after)
    assert sim(part, "control_errors") == 0


def refused(device, recipient, index=0, kinds=(VENDOR, CLASS_TYPE)):
    """In both directions, and it does not reach the device."""
    before = requests()
    for kind in kinds:
        with raises(PermissionError, errno.EACCES):
            device.control_in(READ, 0, index, 8, request_type=IN | kind | recipient)
        with raises(PermissionError, errno.EACCES):
            device.control_out(WRITE, 0, index, b"x", request_type=kind | recipient)
    assert requests() == before


# --------------------------------------------------------------------- processes

def child(function):
    """Its status is the errno that the function ends with."""
    pid = os.fork()
    if not pid:
        status = 255
        try:
            status = function() or 0
        except OSError as error:
            status = error.errno
        finally:
            os._exit(status)
    return pid


def ended(pid, seconds=SECONDS):
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("it does not end")
        time.sleep(0.005)


def waiter(device, part, recipient, index):
    """A process that waits for an answer, which the device has not given yet."""
    def ask():
        while True:
            device.control_in(SLOW, UNANSWERED_MS, index, 64, request_type=IN | VENDOR | recipient, timeout=60)

    def so_far():
        return sim(part, "control") - sim(part, "control_hurried")

    before = so_far()
    pid = child(ask)
    wait_for(lambda: so_far() > before, SECONDS)
    return pid


def fresh():
    """Interface 2 is not ours, nothing is allowed that has to be."""
    if not usb_path():
        plug(True, SECONDS)
        wait_for(lambda: all(is_bound(number) for number in range(3)), SECONDS)
    for number in range(2):
        if not is_bound(number):
            bind(number)
    if is_bound(2):
        unbind(2)
    for number in range(2):
        wait_for(lambda: os.access(node(number).path, os.R_OK), SECONDS)
        set_scope(number, "interface")


# -------------------------------------------------------------------------- scope

@promise("without a word of the administrator: itself and its endpoints, and nothing else")
def interface_scope():
    assert attribute(0, SCOPE) == "interface\n"
    with OtherDriver(2), node(0).open() as device:
        arrives(device, "left", INTERFACE, 0)
        arrives(device, "left", INTERFACE, 0x4200)
        for address in endpoints(0):
            arrives(device, "left", ENDPOINT, address)
        refused(device, DEVICE)
        for number in range(1, 3):
            refused(device, INTERFACE, number)
            for address in endpoints(number):
                refused(device, ENDPOINT, address)


@promise("control_scope device: also the device, the sibling and the sibling's endpoints")
def device_scope():
    set_scope(0, "device\n")
    assert attribute(0, SCOPE) == "device\n"
    with OtherDriver(2), node(0).open() as device:
        arrives(device, "left", INTERFACE, 0)
        arrives(device, "left", DEVICE, 0)
        arrives(device, "left", DEVICE, 0x1234)
        arrives(device, "right", INTERFACE, 1)
        arrives(device, "right", INTERFACE, 0x4201)
        assert len(endpoints(1)) == 2
        for address in endpoints(1):
            arrives(device, "right", ENDPOINT, address)
        # It is that of the node, and not of the USB device.
        with node(1).open() as other:
            arrives(other, "right", INTERFACE, 1)
            refused(other, DEVICE)
            refused(other, INTERFACE, 0)
        set_scope(0, "interface")
        refused(device, DEVICE)
        refused(device, INTERFACE, 1)


@promise("control_scope device: not what another driver has, nor what nobody has")
def not_ours():
    set_scope(0, "device")
    theirs = endpoints(2)
    assert len(theirs) == 2
    with node(0).open() as device:
        for claimed in True, False:
            other = OtherDriver(2) if claimed else None
            refused(device, INTERFACE, 2)
            refused(device, INTERFACE, 0x0102)
            for address in theirs:
                refused(device, ENDPOINT, address)
            # No such interface, no such endpoint, the control endpoint, reserved bits.
            refused(device, INTERFACE, 3)
            for address in 0, 0x80, 0x0f, 0x8f, endpoints(1)[0] | 0x10:
                refused(device, ENDPOINT, address)
            if other:
                other.close()


@promise("control_scope device: no standard request, and no other recipient")
def not_standard():
    set_scope(0, "device")
    with OtherDriver(2), node(0).open() as device:
        for recipient in range(32):
            for index in range(3):
                refused(device, recipient, index, (STANDARD, 0x60))
                if recipient >= OTHER:
                    refused(device, recipient, index)
        for address in endpoints(0) + endpoints(1):
            refused(device, ENDPOINT, address, (STANDARD, 0x60))


@promise("control_scope is set by root: 0644; nonsense is EINVAL")
def who_sets():
    path = CLASS / node(0).name / SCOPE
    stat = path.stat()
    assert (stat.st_mode & 0o7777, stat.st_uid) == (0o644, 0), oct(stat.st_mode)

    def as_nobody():
        os.setuid(65534)
        assert path.read_text() == "interface\n"
        path.write_text("device")

    assert ended(child(as_nobody)) == errno.EACCES
    for text in "devices", "1", "interface device", "dev", "\n":
        with raises(OSError, errno.EINVAL):
            path.write_text(text)
    assert path.read_text() == "interface\n"


@promise("the lease of the sibling keeps others from it, and nobody from the device")
def lease_of_the_sibling():
    set_scope(0, "device")
    with node(0).open() as device, node(1).open() as other:
        with other.lease():
            with raises(OSError, errno.EBUSY):
                read(device, INTERFACE, 1)
            with raises(OSError, errno.EBUSY):
                read(device, ENDPOINT, endpoints(1)[0])
            arrives(device, "left", DEVICE, 0)
            arrives(device, "left", INTERFACE, 0)
            arrives(other, "right", INTERFACE, 1)
        arrives(device, "right", INTERFACE, 1)


# ------------------------------------------------------------------------ unbinding

@promise("the sibling is unbound while a request to it waits: EIO at once, then EACCES")
def sibling_goes():
    set_scope(0, "device")
    with node(0).open() as device:
        for recipient, index in (INTERFACE, 1), (ENDPOINT, endpoints(1)[0]):
            pid = waiter(device, "right", recipient, index)
            begin = time.monotonic()
            unbind(1)
            assert time.monotonic() - begin < 5
            assert ended(pid, 5) == errno.EIO
            with OtherDriver(1):
                refused(device, recipient, index)
            arrives(device, "left", INTERFACE, 0)
            bind(1)
            arrives(device, "right", recipient, index)


@promise("the sibling's unbinding ends no request to this interface, or to the device")
def sibling_alone_goes():
    set_scope(0, "device")
    with node(0).open() as device:
        for recipient in INTERFACE, DEVICE:
            pid = waiter(device, "left", recipient, 0)
            unbind(1)
            bind(1)
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            os.kill(pid, signal.SIGKILL)
            assert ended(pid, 5) == -signal.SIGKILL
            arrives(device, "left", recipient, 0)


@promise("this interface is unbound while its request to the sibling waits: ENODEV at once")
def this_one_goes():
    set_scope(0, "device")
    with node(0).open() as device, node(1).open() as other:
        pid = waiter(device, "right", INTERFACE, 1)
        unbind(0)
        assert ended(pid, 5) == errno.ENODEV
        with raises(mydev.Unplugged, errno.ENODEV):
            read(device, INTERFACE, 1)
        read(other, INTERFACE, 1)
        bind(0)


@promise("unplugged while each asks the other: ENODEV at once for both")
def both_go():
    ends = []
    while [errno.ENODEV] * 2 not in ends or len(ends) < 3:
        # A device that leaves is silent first, and a hub that is late in telling makes that the error.
        assert all(error in (errno.ENODEV, errno.EIO) for end in ends for error in end) and len(ends) < 8, ends
        for number in range(2):
            set_scope(number, "device")
        with node(0).open() as device, node(1).open() as other:
            # One of them is with the device, the other one behind it.
            pids = [waiter(device, "right", INTERFACE, 1), child(lambda: read(other, INTERFACE, 0))]
            begin = time.monotonic()
            plug(False, SECONDS)
            assert time.monotonic() - begin < 10
            ends.append([ended(pid, 5) for pid in pids])
        plug(True, SECONDS)
        fresh()


def shared():
    return ctypes.c_uint64.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))


@promise("unbound and bound again beside requests: none reaches who has it meanwhile")
def races():
    set_scope(0, "device")
    done, end = shared(), shared()
    choice = random.Random(1)

    def hammer():
        while not end.value:
            try:
                read(device, INTERFACE, 1)
                done.value += 1
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EIO):
                    raise

    with node(0).open() as device:
        pids = [child(hammer) for _ in range(3)]
        for _ in range(20):
            before = done.value
            wait_for(lambda: done.value > before + 5, SECONDS)
            time.sleep(choice.random() / 50)
            with OtherDriver(1):
                before = sim("right", "control")
                time.sleep(choice.random() / 10)
                # What was with the device before may be counted late.
                assert sim("right", "control") <= before + 1
            bind(1)
        end.value = 1
        assert [ended(pid) for pid in pids] == [0] * 3


# ----------------------------------------------------------------------- siblings

@promise("siblings has the names of the others that the driver has, in one line")
def names():
    mine = [node(number).name for number in range(2)]
    assert [attribute(number, "siblings") for number in range(2)] == [mine[1] + "\n", mine[0] + "\n"]
    bind(2)
    third = node(2).name
    assert attribute(0, "siblings") == " ".join(sorted([mine[1], third])) + "\n"
    assert attribute(2, "siblings") == " ".join(sorted(mine)) + "\n"
    assert (CLASS / mine[0] / "siblings").stat().st_mode & 0o7777 == 0o444
    entries = {entry.name: entry for entry in mydev.devices()}
    assert entries[mine[0]].siblings == tuple(sorted([mine[1], third]))
    assert {entry.usb_device for entry in entries.values()} == {usb_path().name}
    unbind(1)
    unbind(2)
    assert attribute(0, "siblings") == "\n"
    assert node(0).siblings == ()
    bind(1)


# ----------------------------------------------------------------------- the tool

def ctl(status, *words):
    done = subprocess.run([CTL, *words], capture_output=True, text=True)
    assert done.returncode == status, done
    return done


@promise("mydevctl control names the attribute where that is what is in the way, and only there")
def tool_names_it():
    name = node(0).name
    command = f"echo device > /sys/class/mydev/{name}/{SCOPE}"
    outside = ["vendor-in-device", "1", "0", "0", "4"], ["class-in-interface", "1", "0", "1", "4"], \
        ["vendor-out-endpoint", "2", "0", str(endpoints(1)[0])]
    for words in outside:
        error = ctl(4, "control", name, *words).stderr
        assert command in error, error
        assert all(len(line) <= 160 for line in error.splitlines()), error
    assert SCOPE not in ctl(4, "control", name, "standard-in-device", "6", "0x100", "0", "18").stderr
    assert SCOPE not in ctl(4, "control", name, "vendor-in-other", "1", "0", "0", "4").stderr
    # It is right.
    subprocess.run(["sh", "-c", command], check=True)
    assert "03 04 05 06" in ctl(0, "control", name, "vendor-in-device", "1", "3", "0", "4").stdout
    assert "03 04 05 06" in ctl(0, "control", name, "vendor-in-interface", "1", "3", "1", "4").stdout
    error = ctl(4, "control", name, "vendor-in-interface", "1", "3", "2", "4").stderr
    assert SCOPE not in error and "does not have" in error, error
    assert json.loads(ctl(0, "info", name, "--json").stdout)[SCOPE] == "device"


@promise("mydevctl list is a tree: a USB device, and below it its interfaces; it fits 80 columns")
def tool_tree():
    bind(2)
    names = sorted(node(number).name for number in range(3))
    usb = usb_path().name
    lines = ctl(0, "list").stdout.splitlines()
    first = [line.split()[0] for line in lines]
    assert first == ["NAME", usb, "|-" + names[0], "|-" + names[1], "`-" + names[2]], lines
    assert lines[1].split()[1:4] == ["1209", "0001", "-"], lines
    for line in lines[2:]:
        words = line.split()
        assert words[1:3] == ["1209", "0001"] and words[3] == str(interface_of(words[0][2:])), lines
        assert "idle" in words, lines
    wide = subprocess.run(["script", "-qec", f"stty cols 80; {CTL} list", "/dev/null"], capture_output=True, text=True,
                          check=True).stdout.splitlines()
    assert len(wide) == 5 and max(map(len, wide)) <= 80, wide
    assert [line.split()[0] for line in wide] == first, wide
    objects = json.loads(ctl(0, "list", "--json").stdout)
    assert [o["name"] for o in objects] == names
    for o in objects:
        assert o["siblings"] == [name for name in names if name != o["name"]] and o["usb_device"] == usb, o
    # One that is alone is a line, as if there were no others.
    unbind(1)
    unbind(2)
    lines = ctl(0, "list").stdout.splitlines()
    assert len(lines) == 2 and lines[1].split()[0] == node(0).name, lines
    assert json.loads(ctl(0, "list", "--json").stdout)[0]["siblings"] == []
    bind(1)


def interface_of(name):
    return int((CLASS / name / "interface_number").read_text(), 16)


if __name__ == "__main__":
    sys.exit(run(fresh))
