#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A disk, driven through the node by what USB Mass Storage, Bulk-Only Transport says.

The function is the kernel's own, set up by storage.sh; its medium is the file IMAGE.
Where it has less to send than it is asked for, it halts its IN endpoint, and answers
only when the halt is cleared. What begins no command has it halt both, until it is
reset by a request.
"""

import os
import random
import struct
import sys
from pathlib import Path

from promises import NODE, promise, run, wait_for
import mydev  # promises says where it is

IMAGE = Path(os.environ["IMAGE"])
BLOCK = 512
IN, OUT = 0x80, 0

# SPC-4 and SBC-3
TEST_UNIT_READY, REQUEST_SENSE, INQUIRY = 0x00, 0x03, 0x12
READ_CAPACITY, READ, WRITE, SYNCHRONIZE_CACHE = 0x25, 0x28, 0x2A, 0x35
# Bulk-Only Transport 1.0, 3.1 and 5.2
RESET = 0xFF
PASSED, FAILED = 0, 1


class Disk:
    """One program that speaks to it, in bytes."""

    def __init__(self):
        self.device = mydev.open(NODE)
        self.tag = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.device.close()

    def take(self, length):
        data = b""
        while len(data) < length:
            data += self.device.read(length - len(data))
        return data

    def command(self, block, length=0, data=None, sent=None):
        """The bytes that came, and the status; sent: how many come, where it is not all."""
        self.tag += 1
        flags = IN if data is None else OUT
        wrapper = struct.pack("<4sIIBBB16s", b"USBC", self.tag, length, flags, 0, len(block), block)
        assert self.device.write(wrapper) == 31
        got = b""
        if data is not None:
            while data:
                data = data[self.device.write(data):]
        elif length:
            got = self.take(length if sent is None else sent)
        signature, tag, residue, status = struct.unpack("<4sIIB", self.take(13))
        assert (signature, tag) == (b"USBS", self.tag), (signature, tag, self.tag)
        assert residue == (0 if sent is None else length - sent), residue
        return got, status

    def ready(self):
        """The first command after a reset is told of it, SPC-4 5.14."""
        while self.command(struct.pack(">B5x", TEST_UNIT_READY))[1] != PASSED:
            sense, status = self.command(bytes((REQUEST_SENSE, 0, 0, 0, 18, 0)), 18)
            assert status == PASSED and sense[2] & 15 == 6, sense

    def read(self, block, count):
        data, status = self.command(struct.pack(">BBIBHB", READ, 0, block, 0, count, 0), count * BLOCK)
        assert status == PASSED
        return data

    def write(self, block, data):
        words = struct.pack(">BBIBHB", WRITE, 0, block, 0, len(data) // BLOCK, 0)
        assert self.command(words, len(data), data)[1] == PASSED
        assert self.command(struct.pack(">B9x", SYNCHRONIZE_CACHE))[1] == PASSED


def image(block, count):
    with IMAGE.open("rb") as file:
        file.seek(block * BLOCK)
        return file.read(count * BLOCK)


@promise("it says what it is, and how large")
def identity():
    with Disk() as disk:
        disk.ready()
        data, status = disk.command(bytes((INQUIRY, 0, 0, 0, 36, 0)), 36)
        assert status == PASSED and data[0] == 0 and data[8:13] == b"Linux", data
        data, status = disk.command(struct.pack(">B9x", READ_CAPACITY), 8)
        assert struct.unpack(">II", data) == (IMAGE.stat().st_size // BLOCK - 1, BLOCK)


@promise("blocks are read as they are in the image: one, many, more than a transfer")
def reads():
    numbers = random.Random(1)
    with Disk() as disk:
        disk.ready()
        for count in (1, 2, 3, 63, 64, 65, 128, 1000):
            block = numbers.randrange(2048 - count)
            assert disk.read(block, count) == image(block, count), (block, count)


@promise("blocks are written to the image, and those beside them are not")
def writes():
    numbers = random.Random(2)
    with Disk() as disk:
        disk.ready()
        for count in (1, 2, 64, 65, 300):
            block = numbers.randrange(1, 2047 - count)
            before, after = image(block - 1, 1), image(block + count, 1)
            data = numbers.randbytes(count * BLOCK)
            disk.write(block, data)
            assert image(block - 1, count + 2) == before + data + after, (block, count)
            assert disk.read(block, count) == data


@promise("it halts where it has less than it was asked for: the halt is cleared, its status comes")
def halts():
    with Disk() as disk:
        disk.ready()
        before = disk.device.stats()
        for turn in range(1, 6):
            data, status = disk.command(struct.pack(">B9x", READ_CAPACITY), 64, sent=8)
            assert status == PASSED and len(data) == 8
            wait_for(lambda: disk.device.stats()["stalls"] == before["stalls"] + turn)
            assert disk.read(turn, 3) == image(turn, 3)
        assert disk.device.stats()["client_lost_packets"] == 0


@promise("another program that only watches gets the same bytes")
def watched():
    with mydev.open(NODE, mode="r") as watcher, Disk() as disk:
        os.set_blocking(watcher.fileno(), False)
        try:
            watcher.read(1)
        except BlockingIOError:
            pass
        disk.ready()
        data = disk.read(100, 200)
        seen = b""
        while len(seen) < disk.device.stats()["client_read_bytes"]:
            seen += watcher.read()
        assert data == image(100, 200) and data in seen


if __name__ == "__main__":
    sys.exit(run())
