# SPDX-License-Identifier: GPL-2.0-only
"""Programs that read the same device at once, and what each of them got.

Every reader is a process of its own that opens the device by itself: that is
the situation the table in docs/who-gets-the-bytes.rst is about."""

import errno
import os
import selectors
import signal
import struct
import tty

# Nothing announces that no more data will come; so long nothing may come.
SETTLE = 3.0
# For what must come, on a machine that is emulated and busy.
PATIENCE = 60.0

FRAME = struct.Struct("<i")  # length of the data that follows, or -errno


class Failure(Exception):
    """A measurement that cannot be made, or whose result is none."""


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


class Reader:
    """A process that reads a node and passes on what it got.

    @parse makes a list of record numbers from what a read() returned, and says
    which bytes are left, to be put in front of what the next one returns. The
    process stops in front of read number @pause_after, from 0, until go()."""

    def __init__(self, node, size, parse, pause_after=None):
        self.node = node
        self.records = []   # the numbers, in the order they came
        self.error = 0      # errno that ended the reading
        self.gaps = 0       # times that a read() told that something was lost
        self._parse = parse
        self._rest = b""    # of what the process has passed on
        self._part = b""    # of a record
        self._pipe, out = os.pipe()
        gate, self._gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._child(node, size, pause_after, gate, out)
            finally:
                os._exit(1)
        os.close(out)
        os.close(gate)
        (status,) = FRAME.unpack(self._exactly(FRAME.size))
        self.opened = -status  # errno of open(), 0 when it succeeded
        os.set_blocking(self._pipe, False)

    @staticmethod
    def _child(node, size, pause_after, gate, out):
        try:
            fd = os.open(node, os.O_RDONLY | os.O_NOCTTY)
            if os.isatty(fd):
                tty.setraw(fd)
        except OSError as error:
            write_all(out, FRAME.pack(-error.errno))
            return
        write_all(out, FRAME.pack(0))
        count = 0
        while True:
            if count == pause_after:
                os.read(gate, 1)
            count += 1
            try:
                data = os.read(fd, size)
            except OSError as error:
                write_all(out, FRAME.pack(-error.errno))
                if error.errno != errno.ENOBUFS:
                    return
            else:
                write_all(out, FRAME.pack(len(data)) + data)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = os.read(self._pipe, size - len(data))
            if not more:
                raise Failure(f"the reader of {self.node} died")
            data += more
        return data

    def fileno(self):
        return self._pipe

    def go(self):
        os.write(self._gate, b"g")

    def take(self):
        """Takes in what the process has passed on so far; False at its end."""
        data = os.read(self._pipe, 1 << 20)
        self._rest += data
        while len(self._rest) >= FRAME.size:
            (length,) = FRAME.unpack_from(self._rest)
            if length == -errno.ENOBUFS:
                self.gaps += 1
                length = 0
                self._part = b""
            elif length < 0:
                self.error = -length
                return False
            if len(self._rest) < FRAME.size + length:
                break
            numbers, self._part = self._parse(self._part + self._rest[FRAME.size:FRAME.size + length])
            self.records += numbers
            self._rest = self._rest[FRAME.size + length:]
        return bool(data)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def close(self):
        os.waitpid(self.pid, 0)
        os.close(self._pipe)
        os.close(self._gate)


class Readers:
    """Some readers, which end with the block that uses them."""

    def __init__(self, node, size, number, parse, pause_last_after=None):
        self.all = []
        for i in range(number):
            last = i == number - 1
            self.all.append(Reader(node, size, parse, pause_last_after if last else None))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # All first: with usb-skeleton, a killed reader does not end while
        # another one waits for data.
        for reader in self.all:
            reader.kill()
        for reader in self.all:
            reader.close()

    def __getitem__(self, i):
        return self.all[i]

    def __iter__(self):
        return iter(self.all)

    def pump(self, done, quiet=None):
        """Listens to the readers until done(), or until none had anything to say
        for @quiet seconds; without @quiet it is a failure if done() never comes."""
        with selectors.DefaultSelector() as selector:
            for reader in self.all:
                if not reader.opened and not reader.error:
                    selector.register(reader, selectors.EVENT_READ)
            patience = quiet or PATIENCE
            while not done():
                if not selector.get_map():
                    raise Failure("no reader is left: " + self.describe())
                ready = selector.select(patience)
                if not ready:
                    if quiet:
                        return
                    raise Failure(f"nothing more came within {patience:.0f} s: " + self.describe())
                for key, _ in ready:
                    if not key.fileobj.take():
                        selector.unregister(key.fileobj)

    def describe(self):
        def story(reader):
            if reader.opened:
                return f"open({reader.node}) failed with {errno.errorcode[reader.opened]}"
            return f"{len(reader.records)} records" + (f", then {errno.errorcode[reader.error]}" if reader.error else "")

        return "; ".join(f"reader {i + 1}: {story(r)}" for i, r in enumerate(self.all))

    def collect(self, expected):
        """Listens until every record has reached somebody, and then until all
        have reached everybody, or nothing more comes."""
        whole = set(expected)
        self.pump(lambda: sum(len(r.records) for r in self.all) >= len(whole) and
                  whole <= set().union(*(r.records for r in self.all)))
        # Where some have reached two, all others can be waited for.
        copied = sum(len(r.records) for r in self.all) > len(whole)
        self.pump(lambda: all(whole <= set(r.records) for r in self.all), quiet=PATIENCE if copied else SETTLE)

    def lockstep(self, send, expected):
        """Sends each record when the one before has reached somebody."""
        for number in expected:
            send(number)
            self.pump(lambda: any(r.records[-1:] == [number] for r in self.all))
        self.collect(expected)


def fingerprint(got, expected):
    """What is wrong with a reader's records, whoever else there may be."""
    if sorted(got) != got:
        raise Failure("a reader got its records out of order")
    if len(set(got)) != len(got):
        raise Failure("a reader got a record twice")
    if not set(got) <= set(expected):
        raise Failure("a reader got records that were never sent")


def sharing(readers, expected):
    """What several readers of a device did to each other."""
    refused = [reader.opened for reader in readers.all[1:] if reader.opened]
    if refused:
        if readers[0].opened or len(refused) != len(readers.all) - 1:
            raise Failure("not just the first reader could open the device")
        if set(refused) != {errno.EBUSY}:
            raise Failure("open() failed with " + ", ".join(errno.errorcode[e] for e in refused))
    results = [reader.records for reader in readers.all]
    for got in results:
        fingerprint(got, expected)
    whole = set(expected)
    if refused:
        return "exclusive" if set(results[0]) == whole else "unclear"
    if all(set(got) == whole for got in results):
        return "copy"
    disjoint = sum(map(len, results)) == len(set().union(*results))
    if disjoint and set().union(*results) == whole and all(results):
        return "steal"
    return "unclear"
