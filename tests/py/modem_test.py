#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The stock CDC ACM function, driven whole through the nodes; set up by modem.sh.

Interface 0 has an interrupt IN endpoint, which tells of what becomes of the terminal at
the other end; interface 1 has a pair of bulk endpoints, which carry its bytes.
"""

import errno
import os
import random
import select
import struct
import sys
import termios
import threading
import tty

from promises import plug, promise, raises, run, wait_for
import mydev  # promises says where it is

CONTROL, DATA, TERMINAL = "/dev/mydev0", "/dev/mydev1", "/dev/ttyGS0"
SECONDS = 30

# CDC PSTN 1.2, 6.3 and 6.5.4
SET_LINE_CODING, GET_LINE_CODING = 0x20, 0x21
DCD, DSR, BREAK = 1, 2, 4


class Terminal:
    """The device's own end."""

    def __init__(self):
        self.fd = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def write(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def read(self, count):
        data = b""
        while len(data) < count:
            assert select.select([self.fd], [], [], SECONDS)[0], f"{len(data)} of {count} bytes"
            data += os.read(self.fd, count - len(data))
        return data


def serial_state(bits):
    return struct.pack("<BBHHHH", 0xa1, 0x20, 0, 0, 2, bits)


def pattern(number, count):
    return random.Random(number).randbytes(count)


def await_state(device, bits):
    """The last of what comes; a state that was over before it was sent is left out."""
    while device.read(10) != serial_state(bits):
        pass


def ask(device):
    select.select([device], [], [], 0)


def read_all(device, count):
    data = b""
    while len(data) < count:
        data += device.read(count - len(data))
    return data


@promise("a node for the interrupt endpoint of the one, one for the pair of the other interface")
def nodes():
    with mydev.open(CONTROL) as control, mydev.open(DATA) as data:
        info = control.info()
        assert (info["interface_number"], info["interface_class"], info["ep_in_type"], info["ep_out"]) == (0, 2, 3, 0), info
        assert info["transfer_size"] == info["ep_in_max_packet"] and info["ep_in_interval_us"], info
        info = data.info()
        assert (info["interface_number"], info["interface_class"]) == (1, 10), info
        assert (info["ep_in_type"], info["ep_out_type"], info["uncarried"]) == (2, 2, 0), info
    one, two = mydev.devices()
    assert (one.path, two.path, one.is_first, two.is_first) == (CONTROL, DATA, True, True)
    with mydev.open(endpoint=info["ep_in"], pid=1) as device:
        assert device.info()["interface_number"] in (0, 1)


@promise("notifications: the terminal is opened, breaks, is closed")
def notifications():
    with mydev.open(CONTROL, mode="r") as control, mydev.open(CONTROL, mode="r") as other:
        ask(control)
        ask(other)
        with Terminal() as terminal:
            await_state(control, DCD | DSR)
            for _ in range(20):
                termios.tcsendbreak(terminal.fd, 0)
                await_state(control, DCD | DSR | BREAK)
                await_state(control, DCD | DSR)
        await_state(control, 0)
        # The other one gets just the same.
        await_state(other, DCD | DSR)
        for _ in range(20):
            await_state(other, DCD | DSR | BREAK)
            await_state(other, DCD | DSR)
        await_state(other, 0)
        assert control.stats()["errors"] == 0


@promise("class requests reach the interface that they are for, by its own node alone")
def line_coding():
    with mydev.open(CONTROL) as control, mydev.open(DATA) as data:
        for rate in 9600, 115200, 3000000:
            coding = struct.pack("<IBBB", rate, 0, 0, 8)
            assert control.control_out(SET_LINE_CODING, 0, 0, coding, request_type=0x21) == len(coding)
            assert control.control_in(GET_LINE_CODING, 0, 0, 7, request_type=0xa1) == coding
        with raises(PermissionError, errno.EACCES):
            data.control_in(GET_LINE_CODING, 0, 0, 7, request_type=0xa1)


@promise("bytes both ways, for two readers, and notifications meanwhile")
def both_ways():
    count, rounds = 5000, 40
    with mydev.open(CONTROL, mode="r") as control, mydev.open(DATA) as one, mydev.open(DATA, mode="r") as two:
        for device in control, one, two:
            ask(device)
        with Terminal() as terminal:
            def talk():
                for number in range(rounds):
                    terminal.write(pattern(number, count))
                    termios.tcsendbreak(terminal.fd, 0)
            talker = threading.Thread(target=talk)
            talker.start()
            got = {}

            def listen(device):
                got[device] = read_all(device, count * rounds)
            listeners = [threading.Thread(target=listen, args=(device,)) for device in (one, two)]
            for thread in listeners:
                thread.start()
            for number in range(rounds):
                with mydev.open(DATA, mode="w") as writer:
                    writer.write(pattern(~number & 0xff, 700))
                assert terminal.read(700) == pattern(~number & 0xff, 700), f"message {number} has other bytes"
            for thread in (talker, *listeners):
                thread.join(SECONDS)
                assert not thread.is_alive()
            expected = b"".join(pattern(number, count) for number in range(rounds))
            assert got[one] == expected and got[two] == expected
        await_state(control, 0)
        stats = one.stats()
        assert (stats["bytes"], stats["errors"], stats["client_lost_bytes"]) == (stats["client_bytes"] + START[0], 0, 0), stats


@promise("unplug: what came is read, then ENODEV at all nodes; a new device works")
def unplugged():
    with mydev.open(CONTROL, mode="r") as control, mydev.open(DATA) as data:
        ask(control)
        ask(data)
        with Terminal() as terminal:
            terminal.write(b"the last words")
            wait_for(lambda: data.stats()["client_queued_bytes"] == 14)
            wait_for(lambda: control.stats()["client_queued_bytes"] >= 10)
            plug(False)
            assert data.read(100) == b"the last words"
            await_state(control, DCD | DSR)
            for device in control, data:
                with raises(mydev.Unplugged, errno.ENODEV):
                    while device.read(10):
                        pass
            with raises(mydev.Unplugged, errno.ENODEV):
                data.write(b"too late")
    plug(True)
    START[0] = 0
    both_ways()


START = [0]


def fresh():
    with mydev.open(DATA, mode="w") as device:
        START[0] = device.stats()["bytes"]


if __name__ == "__main__":
    sys.exit(run(fresh))
