#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Measures what several programs get that read a device at once.

Takes lines from standard input, "WHAT EXPECTED WHERE...", and answers each with
one line: "ok" and the result when that is what EXPECTED says, which is what
docs/who-gets-the-bytes.rst says; else "failed" and why. Runs in a guest, where
run.sh has plugged in the devices."""

import array
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import time
import tty
from ctypes import addressof, create_string_buffer
from pathlib import Path

sys.dont_write_bytecode = True
from readers import PATIENCE, SETTLE, Failure, Readers, fingerprint, sharing  # noqa: E402


def ioc(direction, kind, number, size):
    return direction << 30 | size << 16 | kind << 8 | number


IOC_WRITE, IOC_READ = 1, 2
USBDEVFS_BULK = ioc(IOC_READ | IOC_WRITE, ord("U"), 2, struct.calcsize("@IIIP"))
USBDEVFS_CLAIMINTERFACE = ioc(IOC_READ, ord("U"), 15, 4)
MON_IOCG_STATS = ioc(IOC_READ, 0x92, 3, 8)
MON_IOCT_RING_SIZE = ioc(0, 0x92, 4, 0)
MON_BULK = 3
MON_HEADER = 48
MON_EVENT = 4096
MON_RING_MIN = 8192


def report(what, opened, numbers, verdict, evidence):
    """The verdict, and the line of the table that people see."""
    return verdict, f"{what:14} {opened:8} {' + '.join(map(str, numbers)):>16}  {verdict:9} {evidence}"


def second_open(readers):
    refused = [errno.errorcode[r.opened] for r in readers.all[1:] if r.opened]
    return refused[0] if refused else "opens"


def report_readers(what, readers, expected, unit, more=""):
    return report(what, second_open(readers), [len(r.records) for r in readers.all], sharing(readers, expected),
                  f"of {len(expected)} {unit}{more}")


# --- devices that a program in this guest plays ------------------------------

class Record:
    """Numbered records of a fixed size, @spelling one of them."""

    def __init__(self, size, spell, read):
        self.size, self.spell, self._read = size, spell, read

    def parse(self, data):
        """The numbers of the whole records in @data, and what is left of it."""
        whole = len(data) // self.size * self.size
        return [self._read(data[i:i + self.size]) for i in range(0, whole, self.size)], data[whole:]


def line_number(line):
    if line[-1:] != b"\n" or not line[:-1].isdigit():
        raise Failure(f"a reader got a line that was never sent: {line}")
    return int(line)


LINE = Record(16, lambda n: b"%015d\n" % n, line_number)
REPORT = Record(64, lambda n: struct.pack("<Q56x", n), lambda data: struct.unpack_from("<Q", data)[0])
# tests/sim/pattern.h; a size that is no multiple of wMaxPacketSize makes each packet a transfer.
SIM_SIZE = 500
PACKET = Record(SIM_SIZE, None, lambda data: struct.unpack_from("<Q", data, 8)[0])
BIG = Record(16000, None, lambda data: struct.unpack_from("<Q", data, 8)[0])


class Device:
    """The device's end of a gadget function that has a node for it."""

    def __init__(self, node, record, flags=0):
        self.fd = os.open(node, os.O_RDWR | os.O_NOCTTY | flags)
        if os.isatty(self.fd):
            tty.setraw(self.fd)
        self._record = record

    def send(self, number):
        data = self._record.spell(number)
        if os.write(self.fd, data) != len(data):
            raise Failure("the device could not send a whole record")


class Sim:
    """mydev-sim, through its control socket."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("r")

    def command(self, line):
        self._socket.sendall(line.encode() + b"\n")
        word, _, rest = self._file.readline().rstrip("\n").partition(" ")
        if word != "ok":
            raise Failure(f"mydev-sim: {line}: {rest}")
        return rest

    def send(self, count, size=SIM_SIZE):
        """Has it send so many packets; their numbers."""
        self.command(f"size {size}")
        first = int(dict(pair.split("=") for pair in self.command("stats").split())["next"])
        self.command(f"count {count}")
        return range(first, first + count)


# --- the drivers ---------------------------------------------------------------

def lockstep(what, node, device_node, record, unit, count=100):
    device = Device(device_node, record)
    expected = range(count)
    with Readers(node, record.size, 2, record.parse) as readers:
        readers.lockstep(device.send, expected)
        return report_readers(what, readers, expected, unit)


def measure_serial(what, node, device_node):
    return lockstep(what, node, device_node, LINE, "lines")


def measure_hidraw(node, device_node):
    return lockstep("hidraw", node, device_node, REPORT, "reports")


def measure_usblp(node, device_node):
    return lockstep("usblp", node, device_node, LINE, "lines", count=20)


def measure_sim(what, node, control, number):
    """The device sends as fast as it can; nobody waits for anybody."""
    with Readers(node, SIM_SIZE, int(number), PACKET.parse) as readers:
        expected = Sim(control).send(400)
        readers.collect(expected)
        return report_readers(what, readers, expected, "packets")


def measure_usbfs(path, control):
    interface = Interface(path)
    interface.claim()
    Sim(control).send(20)
    return report_refusal("usbfs", path, [interface.read(20), 0], "of 20 packets; claim and read of the second fail")


def measure_usbfs_bound(path):
    driver = Interface(path).driver()
    if driver != "mydev":
        raise Failure(f"the interface is bound to {driver}, not to mydev")
    return report_refusal("usbfs on mydev", path, [0], "claim and read fail while mydev has bound it")


def report_refusal(what, path, numbers, evidence):
    """A second program must be able neither to claim nor to read."""
    # libusb's only way is to claim first; the kernel claims for those who do not.
    second = Interface(path)
    failures = [refusal(second.claim), refusal(second.read, 1)]
    if set(failures) != {errno.EBUSY}:
        raise Failure("claim and read of the second program: " +
                      ", ".join(errno.errorcode.get(e, "success") for e in failures))
    return report(what, "EBUSY", numbers, "exclusive", evidence)


class Interface:
    """Interface 0 of a USB device, through usbfs."""

    def __init__(self, path):
        self.path = Path(path)
        self.bus, self.number = (int(self.attribute(name)) for name in ("busnum", "devnum"))
        self.sysfs = self.path / f"{self.path.name}:{self.attribute('bConfigurationValue')}.0"
        self.ep_in = next(int(ep.name[3:], 16) for ep in self.sysfs.glob("ep_8*")
                          if (ep / "type").read_text() == "Bulk\n")
        self.fd = os.open(f"/dev/bus/usb/{self.bus:03}/{self.number:03}", os.O_RDWR)

    def attribute(self, name):
        return (self.path / name).read_text().strip()

    def driver(self):
        link = self.sysfs / "driver"
        return link.readlink().name if link.exists() else None

    def claim(self):
        fcntl.ioctl(self.fd, USBDEVFS_CLAIMINTERFACE, struct.pack("I", 0))

    def read(self, packets):
        """Reads so many packets of mydev-sim; how many came in full."""
        buffer = create_string_buffer(512)
        request = bytearray(struct.pack("@IIIP", self.ep_in, len(buffer), int(PATIENCE * 1000), addressof(buffer)))
        return sum(fcntl.ioctl(self.fd, USBDEVFS_BULK, request) == SIM_SIZE for _ in range(packets))


def refusal(function, *args):
    """The errno that a call fails with, in a process of its own; 0 if it does not."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            function(*args)
            status = 0
        except OSError as error:
            status = error.errno
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Monitor:
    """The packets that mydev-sim sent, seen in the events of usbmon."""

    def __init__(self, interface):
        self.node = f"/dev/usbmon{interface.bus}"
        self._wanted = bytes([ord("C"), MON_BULK, interface.ep_in, interface.number])

    def parse(self, event):
        if event[8:12] != self._wanted:
            return [], b""
        return PACKET.parse(event[MON_HEADER:])


def measure_usbmon(path, control):
    interface = Interface(path)
    interface.claim()
    monitor = Monitor(interface)
    with Readers(monitor.node, MON_EVENT, 2, monitor.parse) as readers:
        expected = Sim(control).send(50)
        interface.read(len(expected))
        readers.collect(expected)
        return report_readers("usbmon", readers, expected, "packets that a third program reads")


# --- readers that do not keep up -------------------------------------------------

def measure_hidraw_slow(node, device_node):
    sent = 100
    device = Device(device_node, REPORT)
    with Readers(node, REPORT.size, 2, REPORT.parse, pause_last_after=0) as readers:
        fast, slow = readers
        for number in range(sent):
            device.send(number)
            readers.pump(lambda: fast.records[-1:] == [number])
        slow.go()
        # It has caught up when it gets one more, which is sent only when it has room.
        readers.pump(lambda: False, quiet=SETTLE)
        device.send(sent)
        readers.pump(lambda: all(r.records[-1:] == [sent] for r in readers))
        for reader in readers:
            fingerprint(reader.records, range(sent + 1))
        lost = sent + 1 - len(slow.records)
        silent = not slow.error and slow.records == [*range(sent - lost), sent]
        verdict = "loses" if lost and silent and len(fast.records) == sent + 1 else "unclear"
        return report("hidraw slow", "opens", [len(fast.records), len(slow.records)], verdict,
                      f"of {sent + 1} reports: {lost} lost, the newest, and read() says nothing")


def measure_serial_slow(what, node, device_node):
    """Nobody reads: the device must come to a stop, and nothing be lost."""
    device = Device(device_node, LINE, os.O_NONBLOCK)
    with Readers(node, 4096, 1, LINE.parse, pause_last_after=0) as readers:
        sent = 0
        poll = select.poll()
        poll.register(device.fd, select.POLLOUT)
        while poll.poll(SETTLE * 1000):
            try:
                device.send(sent)
            except BlockingIOError:
                continue
            sent += 1
        readers[0].go()
        readers.collect(range(sent))
        fingerprint(readers[0].records, range(sent))
        return report(what, "-", [len(readers[0].records)], "waits", f"of {sent} lines, after which the device had to wait")


def measure_usbmon_slow(path, control):
    interface = Interface(path)
    interface.claim()
    monitor = Monitor(interface)
    slow = os.open(monitor.node, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.ioctl(slow, MON_IOCT_RING_SIZE, MON_RING_MIN)
    with Readers(monitor.node, MON_EVENT, 1, monitor.parse) as readers:
        expected = Sim(control).send(50)
        interface.read(len(expected))
        readers.collect(expected)
        stats = array.array("I", [0, 0])
        fcntl.ioctl(slow, MON_IOCG_STATS, stats)
        dropped = stats[1]
        read = []
        try:
            while event := os.read(slow, MON_EVENT):
                read += monitor.parse(event)[0]
        except BlockingIOError:
            pass
        # Of the two events of a transfer, only the second has the packet.
        lost = len(expected) - len(read)
        verdict = "loses" if read == [*expected[:len(read)]] and 0 < lost <= dropped else "unclear"
        return report("usbmon slow", "opens", [len(readers[0].records), len(read)], verdict,
                      f"of {len(expected)} packets: {lost} lost, the newest; an ioctl tells of {dropped} events")


def attributes(node):
    return Path("/sys/class/mydev") / Path(node).name


def more_than_the_pool(node, control):
    """Has the device send more than the driver can keep for a slow reader.

    The packets are so large that each takes a buffer of its own."""
    pool = int((attributes(node) / "pool_buffers").read_text())
    return Sim(control).send(3 * pool, BIG.size)


def all_ask(node, number):
    """Waits until so many have asked for data: from then on they lose nothing."""
    clients = Path("/sys/kernel/debug/mydev") / Path(node).name / "clients"
    end = time.monotonic() + PATIENCE
    while sum(line.split()[2] == "reading" for line in clients.read_text().splitlines()) < number:
        if time.monotonic() > end:
            raise Failure(f"fewer than {number} programs read")
        time.sleep(0.02)


def measure_mydev(node, control, number):
    with Readers(node, SIM_SIZE, int(number), PACKET.parse) as readers:
        all_ask(node, int(number))
        expected = Sim(control).send(400)
        readers.collect(expected)
        return report_readers("mydev", readers, expected, "packets")


def measure_mydev_slow(node, control):
    with Readers(node, BIG.size, 2, BIG.parse, pause_last_after=1) as readers:
        fast, slow = readers
        all_ask(node, 2)
        expected = more_than_the_pool(node, control)
        readers.pump(lambda: slow.records and len(fast.records) > 1)
        readers.pump(lambda: False, quiet=SETTLE)
        meanwhile = len(fast.records)
        slow.go()
        readers.collect(expected)
        verdict = "waits" if meanwhile < len(expected) and sharing(readers, expected) == "copy" else "unclear"
        return report("mydev slow", "opens", [len(r.records) for r in readers], verdict,
                      f"of {len(expected)} packets: the device waited after {meanwhile}, nothing is lost")


def measure_mydev_stuck(node, control):
    limit = attributes(node) / "block_timeout_ms"
    before = limit.read_text()
    limit.write_text("300")
    try:
        with Readers(node, BIG.size, 2, BIG.parse, pause_last_after=1) as readers:
            fast, slow = readers
            all_ask(node, 2)
            expected = more_than_the_pool(node, control)
            readers.pump(lambda: slow.records and len(fast.records) == len(expected))
            slow.go()
            readers.pump(lambda: slow.gaps or slow.records[-1] == expected[-1])
            readers.pump(lambda: slow.records[-1] == expected[-1], quiet=SETTLE)
            for reader in readers:
                fingerprint(reader.records, expected)
            lost = len(expected) - len(slow.records)
            verdict = "told" if lost and slow.gaps and not fast.gaps else "unclear"
            return report("mydev stuck", "opens", [len(r.records) for r in readers], verdict,
                          f"of {len(expected)} packets: {lost} lost after block_timeout_ms, {slow.gaps} ENOBUFS from read()")
    finally:
        limit.write_text(before)


MEASUREMENTS = {
    "usbfs": measure_usbfs,
    "usbfs-bound": measure_usbfs_bound,
    "cdc-acm": lambda *where: measure_serial("cdc-acm", *where),
    "cdc-acm-slow": lambda *where: measure_serial_slow("cdc-acm slow", *where),
    "usb-serial": lambda *where: measure_serial("usb-serial", *where),
    "hidraw": measure_hidraw,
    "hidraw-slow": measure_hidraw_slow,
    "usblp": measure_usblp,
    "usbmon": measure_usbmon,
    "usbmon-slow": measure_usbmon_slow,
    "usb-skeleton": lambda *where: measure_sim("usb-skeleton", *where),
    "mydev": measure_mydev,
    "mydev-slow": measure_mydev_slow,
    "mydev-stuck": measure_mydev_stuck,
}


def answer(line):
    what, expected, *where = line.split()
    try:
        verdict, row = MEASUREMENTS[what](*where)
        # Who steals most depends on who has a processor: one may get everything.
        for _ in range(4 if expected == "steal" else 0):
            if verdict == expected:
                break
            verdict, row = MEASUREMENTS[what](*where)
    except (Failure, OSError) as error:
        return f"failed {what}: {error}"
    if verdict != expected:
        return f"failed the documentation says '{expected}', but: {row}"
    return f"ok {row}"


def main():
    for line in sys.stdin:
        # In a process of its own, so that no descriptor of one reaches the next.
        pid = os.fork()
        if pid == 0:
            print(answer(line), flush=True)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            print("failed with an error in measure.py itself", flush=True)


if __name__ == "__main__":
    main()
