#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Alternate settings of the stock CDC Ethernet function, set up by ethernet.sh.

What the device sends are Ethernet frames that go out of its own end, usb0, and
what it is sent comes in there.
"""

import ctypes
import errno
import fcntl
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from promises import NODE, plug, promise, raises, run, wait_for
import mydev  # promises says where it is

# <linux/mydev.h>
SET_ALTERNATE = 0xbd08
# The type of frames that are for experiments, IEEE 802.
TYPE = 0x88b5
SECONDS = 30


# --------------------------------------------------------------------- both ends

def set_alternate(device, number):
    """0, or the errno."""
    try:
        fcntl.ioctl(device.fileno(), SET_ALTERNATE, struct.pack("II", 8, number))
    except OSError as error:
        return error.errno
    return 0


def frame(number):
    """Of all sizes, also those that are whole packets of the endpoint."""
    size = 1024 if number % 10 == 9 else 60 + number * 37 % 1400
    words = random.Random(number).randbytes(size - 22)
    return b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02" + struct.pack(">HQ", TYPE, number) + words


class Wire(socket.socket):
    """The device's own end."""

    def __init__(self):
        super().__init__(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(TYPE))
        self.bind(("usb0", TYPE))
        self.settimeout(SECONDS)
        self.number = 0

    def feed(self, count):
        wait_for(lambda: Path("/sys/class/net/usb0/carrier").read_text() == "1\n", SECONDS)
        for _ in range(count):
            self.send(frame(self.number))
            self.number += 1

    def next(self):
        while True:
            data, address = self.recvfrom(2048)
            if address[2] != socket.PACKET_OUTGOING:
                return data


class Reader:
    """Gets every packet and event in order; a number may not be missing."""

    def __init__(self, wire, ring):
        self.device = mydev.open(NODE)
        self.packets = self.device.packets(ring=ring)
        self.wire, self.number = wire, wire.number
        self.sequence, self.events = self.device.stats()["packets"], 0
        self.ask()

    def ask(self):
        select.select([self.packets], [], [], 0)

    def see(self, item, mended=False):
        if isinstance(item, mydev.Event):
            # Who is killed in a change, and a device that leaves, have it brought back;
            # and one that leaves may seem to have failed first.
            expected = ("alternate", "reset", "error") if mended else ("alternate",)
            assert item.name in expected and item.sequence == self.sequence, item
            self.events += 1
            return
        assert isinstance(item, mydev.Packet), item
        assert item.sequence == self.sequence, f"packet {item.sequence} instead of {self.sequence}"
        self.sequence += 1
        # A frame of whole packets ends with an empty one, which ends its transfer.
        assert bytes(item.data) == frame(self.number), f"frame {self.number} has other bytes"
        self.number += 1

    def take(self, events):
        """All that was fed, and so many changes."""
        while self.number < self.wire.number or self.events < events:
            item = self.packets.next(SECONDS)
            assert item is not None, f"{self.number} of {self.wire.number} frames, {self.events} events"
            self.see(item)
        assert self.events == events

    def close(self):
        self.packets.close()
        self.device.close()


def nothing_yet(packets):
    try:
        return packets.next(0) is None
    except BlockingIOError:
        return True


# ------------------------------------------------------------------------- tests

@promise("setting 0 has no endpoints: readers wait, write() is EOPNOTSUPP")
def no_endpoints():
    with mydev.open(NODE) as device:
        info = device.info()
        assert (info["alternate_setting"], info["ep_in"], info["ep_out"]) == (0, 0, 0), info
        assert info["interface_number"] == 1
        with raises(OSError, errno.EOPNOTSUPP):
            device.write(frame(0))
        assert set_alternate(device, 2) == errno.ERANGE
        with device.packets(ring=False) as packets:
            assert nothing_yet(packets)


@promise("setting 1 has them: frames come whole and in order, and are taken")
def both_directions():
    wire = Wire()
    with mydev.open(NODE) as device:
        assert set_alternate(device, 1) == 0
        info = device.info()
        assert info["alternate_setting"] == 1 and info["ep_in"] & 0x80 and info["ep_out"], info
        reader = Reader(wire, False)
        wire.feed(50)
        reader.take(0)
        for number in range(20):
            # Not 1024: the device would wait for the packet that ends it.
            data = frame(number)[:1000]
            device.write(data)
            assert wire.next() == data
        device.sync()
        reader.close()
        assert set_alternate(device, 0) == 0


@promise("changed 30 times: two readers get every frame, and each change in its place")
def changes():
    wire = Wire()
    with mydev.open(NODE) as device:
        readers = [Reader(wire, ring) for ring in (False, True)]
        for turn in range(1, 31):
            assert set_alternate(device, turn % 2) == 0
            assert device.info()["alternate_setting"] == turn % 2
            if turn % 2:
                wire.feed(10)
            for reader in readers:
                reader.take(turn)
        for reader in readers:
            stats = reader.device.stats()
            assert stats["client_lost_packets"] == 0 and stats["client_packets"] == 150, stats
            reader.close()


def child(function):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = function()
        finally:
            os._exit(status)
    return pid


def ended(pid):
    end = time.monotonic() + SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        assert time.monotonic() < end, "it does not end"
        time.sleep(0.005)


def changer(counter):
    """Changes until that fails; the errno is its status."""
    with mydev.open(NODE) as device:
        while True:
            error = set_alternate(device, 1 - device.info()["alternate_setting"])
            # A device that leaves is silent before the hub tells.
            if error and error != errno.EIO:
                return error
            counter.value += 1


@promise("killed in the middle of changes: readers go on, and so does the next who changes")
def killed():
    wire = Wire()
    counter = shared()
    with mydev.open(NODE) as device:
        assert set_alternate(device, 0) == 0
        for turn in range(8):
            reader = Reader(wire, bool(turn % 2))
            before = counter.value
            pid = child(lambda: changer(counter))
            wait_for(lambda: counter.value > before + turn, SECONDS)
            os.kill(pid, signal.SIGKILL)
            assert ended(pid) == -signal.SIGKILL
            assert set_alternate(device, 1) in (0, errno.EIO)
            assert device.info()["alternate_setting"] == 1
            wire.feed(10)
            while reader.number < wire.number:
                reader.see(reader.packets.next(SECONDS), mended=True)
            assert reader.events >= 1
            reader.close()


def shared():
    import mmap
    return ctypes.c_uint64.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))


@promise("unplugged in the middle of changes: ENODEV for who changes and who reads")
def unplugged():
    counter = shared()
    for turn in range(4):
        wire = Wire()
        reader = Reader(wire, bool(turn % 2))
        before = counter.value
        pid = child(lambda: changer(counter))
        wait_for(lambda: counter.value > before + turn, SECONDS)
        plug(False, SECONDS)
        assert ended(pid) == errno.ENODEV
        try:
            while True:
                reader.see(reader.packets.next(SECONDS), mended=True)
        except OSError as error:
            assert error.errno == errno.ENODEV, f"{error!r}"
        reader.close()
        wire.close()
        plug(True, SECONDS)


if __name__ == "__main__":
    sys.exit(run())
