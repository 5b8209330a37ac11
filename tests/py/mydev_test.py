#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the Python module promises, with the simulated device of with-sim.sh."""

import asyncio
import errno
import gc
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from promises import NODE, TESTS, plug, promise, raises, run, wait_for
import mydev  # promises says where it is

MASK = (1 << 64) - 1


# ------------------------------------------------------------ simulated device

def sim(command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["SIM_SOCKET"])
        s.sendall(command.encode() + b"\n")
        reply = s.makefile().readline().strip()
    assert reply.startswith("ok"), f"{command}: {reply}"
    return dict(word.split("=", 1) for word in reply.split() if "=" in word)


def feed(count, size="1000"):
    sim(f"size {size}")
    sim(f"count {count}")


def next_counter():
    return int(sim("stats")["next"])


def quiet():
    return sim("stats")["state"] == "quiet"


def plugged():
    return Path(os.environ["GADGET_UDC"]).read_text().strip() != ""


def expected(counter, length):
    """A packet of the simulated device, see tests/sim/pattern.h; without its checksum."""
    first = counter * 0xd1342543de82ef95
    words = [(first + i * 0x9e3779b97f4a7c15) & MASK for i in range((length - 24 + 7) // 8)]
    return struct.pack("<IIQ", 0x5d0c7a9b, length, counter), struct.pack(f"<{len(words)}Q", *words)[:length - 24]


def check_bytes(data, counter):
    data = bytes(data)
    head, payload = expected(counter, len(data))
    assert data[:16] == head, f"packet {counter} has another header"
    assert data[24:] == payload, f"packet {counter} has other bytes"


def fresh():
    """One device, plugged in and quiet, and all that it had to send was read."""
    # What an exception that is kept has of the frames that it came through.
    gc.collect()
    for command in ("count 0", "rate max", "resume"):
        sim(command)
    if not plugged():
        wait_for(lambda: not os.path.exists(NODE))
        plug(True)
    with mydev.open(NODE) as device, device.packets() as packets:
        while not quiet():
            # It counts as stalled until a packet has come through again.
            if sim("stats")["state"] == "stalled":
                feed(1)
            for _ in iter(lambda: drain(packets), None):
                pass


def drain(packets):
    try:
        return packets.next(0)
    except BlockingIOError:
        return None


def mapped(address):
    """Is that where a device's memory is mapped?"""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(x, 16) for x in line.split(None, 1)[0].split("-"))
        if begin <= address < end:
            return line.endswith(NODE)
    return False


def opened():
    """How many descriptors of the device this process has."""
    return sum(os.path.realpath(path).startswith(NODE) for path in Path("/proc/self/fd").iterdir())


def in_maps():
    """How many packet pools of the device are mapped: each is the last of three parts."""
    return sum(NODE in line for line in Path("/proc/self/maps").read_text().splitlines()) // 3


# ----------------------------------------------------------------------- tests


def both_ways(words):
    def add(function):
        TESTS.append((f"ring: {words}", lambda: function(True)))
        TESTS.append((f"copy: {words}", lambda: function(False)))
        return function
    return add


@promise("devices are listed, and opened by name, ids and serial number")
def opening():
    info, = mydev.devices()
    with info.open() as device:
        assert device.path == NODE
    assert info.is_first and info.pipe & 0x80
    assert info.path == NODE and info.id_vendor == 0x1209 and info.id_product == 1 and info.serial and info.readable
    for how in ({"name": info.path}, {}, {"name": info.index}, {"name": info.name}, {"serial": info.serial},
                {"vid": 0x1209, "pid": 1, "mode": "r"}, {"endpoint": info.pipe}, {"vid": 0x1209, "endpoint": info.pipe}):
        with mydev.open(**how) as device:
            assert device.path == NODE and device.info()["id_vendor"] == 0x1209 and device.stats()["clients"] == 1
        assert device.closed
    with raises(FileNotFoundError) as what:
        mydev.open("mydev9")
    assert "plugged in" in str(what.value) and what.value.filename == "mydev9"
    with raises(FileNotFoundError):
        mydev.open(serial="nobody's")
    with raises(FileNotFoundError):
        mydev.open(endpoint=0x8f)
    with raises(OSError, errno.ENXIO):
        mydev.open("/dev/null")
    with raises(ValueError):
        mydev.open(0, serial="x")
    with raises(ValueError):
        mydev.open(mode="x")
    with raises(ValueError):
        device.stats()


@promise("a byte stream")
def stream():
    with mydev.open(mode="r") as device:
        counter = next_counter()
        feed(5)
        data = b""
        while len(data) < 5000:
            data += device.read(1234)
        for i in range(5):
            check_bytes(data[i * 1000:(i + 1) * 1000], counter + i)
        buffer = bytearray(600)
        feed(1)
        count = device.readinto(buffer)
        assert bytes(buffer[:16]) == expected(counter + 5, 1000)[0] and count == 600
        with raises(OSError, errno.EBADF):
            device.write(b"x")


@both_ways("packets, with their numbers, times and every byte")
def content(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        assert packets.has_ring == ring
        counter, sequence, before = next_counter(), device.stats()["packets"], 0
        feed(80, "65-1000")
        for i, packet in zip(range(80), packets):
            assert isinstance(packet, mydev.Packet) and packet.sequence == sequence + i and packet.timestamp_ns >= before
            assert packet.status == 0 and not packet.continues and len(packet) == len(packet.data)
            before = packet.timestamp_ns
            check_bytes(packet.data, counter + i)
        assert packets.held == 1
    assert packet.released
    with raises(ValueError):
        packets.next()


@promise("the bytes are where the kernel has them, and read-only")
def zero_copy():
    import numpy

    with mydev.open() as device:
        with device.packets() as packets:
            counter = next_counter()
            feed(2)
            packet = packets.next()
            array = numpy.frombuffer(packet.data, dtype="<u8", offset=24)
            assert mapped(array.__array_interface__["data"][0])
            assert array.tobytes() == expected(counter, 1000)[1]
            assert not array.flags.writeable
            with raises(TypeError):
                packet.data[0] = 1
            with raises(BufferError):
                packet.release()
            del array
            packet.release()
            packets.next()
        feed(1)
        with device.packets(ring=False) as packets:
            packet = packets.next()
            assert not mapped(numpy.frombuffer(packet.data, dtype="u1").__array_interface__["data"][0])


@both_ways("a packet is held as long as a view of it is in use")
def lifetime(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        counter = next_counter()
        feed(30)
        first = packets.next()
        view = first.data[24:]
        for i in range(1, 11):
            check_bytes(packets.next().data, counter + i)
        assert packets.held == 11
        assert view == expected(counter, 1000)[1]
        with raises(BufferError):
            first.release()
        with raises(BufferError):
            packets.close()
        with raises(BufferError):
            device.close()
        view.release()
        packets.next()
        assert packets.held == 1 and first.released
        with raises(ValueError):
            bytes(first)
        with packets.next() as packet:
            check_bytes(packet, counter + 12)
        assert packet.released and packets.held == 0
        with packets.next() as packet:
            view = packet.data
        assert not packet.released
        check_bytes(view, counter + 13)
        del view
        packets.next()
        assert packet.released


@both_ways("more views than can be held are an error, and not a wait without end")
def too_many(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        counter = next_counter()
        feed(100, "100")
        views = [packets.next().data for _ in range(packets.held_max)]
        with raises(BufferError):
            packets.next()
        for i, view in enumerate(views):
            check_bytes(view, counter + i)
        views.clear()
        del view
        check_bytes(packets.next().data, counter + packets.held_max)


@both_ways("what came before can be had again: the oldest, by its number, by its time")
def rewound(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        counter, sequence = next_counter(), device.stats()["packets"]
        feed(20)
        taken = [(packet.sequence, packet.timestamp_ns) for packet in (packets.next(20) for _ in range(20))]
        assert [number for number, _ in taken] == list(range(sequence, sequence + 20))
        assert device.rewind() == sequence
        for i in range(20):
            check_bytes(packets.next(20).data, counter + i)
        # Some of what was read by the copying way is not taken yet.
        assert device.rewind(sequence=sequence + 7) == sequence + 7
        for i in range(7, 10):
            check_bytes(packets.next(20).data, counter + i)
        first = next(number for number, stamp in taken if stamp >= taken[15][1])
        assert device.rewind(time_ns=taken[15][1]) == first
        check_bytes(packets.next(20).data, counter + first - sequence)
        assert device.rewind(time_ns=time.monotonic_ns()) == sequence + 20
        with raises(BlockingIOError):
            packets.next(0)

        assert device.rewind(sequence=0) == sequence
        view = packets.next(20).data
        with raises(BufferError):
            device.rewind()
        check_bytes(view, counter)
        del view
        with raises(ValueError):
            device.rewind(sequence=1, time_ns=1)
        with raises(ValueError):
            device.rewind(sequence=-1)

        # Who is late, and reads bytes; and who does not read at all.
        with mydev.open(mode="r") as late:
            assert late.rewind(sequence=sequence + 18) == sequence + 18
            data = b""
            while len(data) < 2000:
                data += late.read(1500)
            check_bytes(data[:1000], counter + 18)
            check_bytes(data[1000:], counter + 19)
        with mydev.open(mode="w") as writer:
            with raises(OSError, errno.EBADF):
                writer.rewind()
            assert 512 <= writer.geometry()["log_entries"] <= writer.geometry()["max_log_entries"]


@both_ways("asyncio: a task that waits gets what a rewind brings back")
def rewound_while_waiting(ring):
    async def run():
        with mydev.open() as device, device.packets(ring=ring) as packets:
            counter = next_counter()
            feed(2)
            for i in range(2):
                check_bytes((await anext(packets)).data, counter + i)
            task = asyncio.create_task(anext(packets))
            await asyncio.sleep(0.1)
            assert not task.done()
            device.rewind()
            check_bytes((await asyncio.wait_for(task, 20)).data, counter)

    asyncio.run(run())


@promise("a packet that was taken away is PacketLost, and then comes the gap")
def taken_away():
    with mydev.open() as device:
        device.configure(policy="drop-oldest", queue_depth=4)
        assert device.config()["policy"] == "drop-oldest" and device.config()["queue_depth"] == 4
        with device.packets() as packets:
            feed(1)
            packets.next()
            # More than there is memory for: what is held is not spared.
            feed(8000)
            wait_for(lambda: device.stats()["client_packets"] == 8001)
            lost = good = 0
            failed = False
            while item := drain_lossy(packets):
                failed = failed or item is mydev.PacketLost
                lost += getattr(item, "packets", 0)
                good += isinstance(item, mydev.Packet)
            assert lost == device.stats()["client_lost_packets"], (lost, device.stats())
            assert failed and good == 8001 - lost <= 4
        with raises(TypeError):
            device.configure(colour=1)
        with raises(ValueError):
            device.configure(policy="none")


def drain_lossy(packets):
    try:
        return drain(packets)
    except mydev.PacketLost:
        return mydev.PacketLost


@both_ways("a stall is an event, in its place")
def an_event(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        sim("stall")
        item = packets.next(20)
        assert isinstance(item, mydev.Event) and item.name == "stall" and item.status == -errno.EPIPE, item
        counter = next_counter()
        feed(1)
        check_bytes(packets.next(20).data, counter)


@promise("what is done after an error can be set, and a failed stream set going again")
def recovered():
    with mydev.open() as device:
        assert device.recovery() == {"clear_halt": "halt", "tries": 8, "delay_ms": 10, "max_delay_ms": 640}
        device.recover(clear_halt="error", tries=1, delay_ms=1)
        assert device.recovery() == {"clear_halt": "error", "tries": 1, "delay_ms": 1, "max_delay_ms": 640}
        with raises(ValueError):
            device.recover(clear_halt="sometimes")
        with raises(TypeError):
            device.recover(size=3)
        with raises(OSError):
            device.recover(delay_ms=641)
        sim("stall-always on")
        with raises(OSError):
            device.read()
        assert device.stats()["state"] == 3
        sim("stall-always off")
        device.restart()
        counter = next_counter()
        feed(1)
        data = device.read()
        assert len(data) == 1000
        check_bytes(data, counter)
        device.recover(clear_halt="halt", tries=8, delay_ms=10)


@both_ways("waiting ends in time, and by signals whose handler raises")
def waiting(ring):
    def handler(*_):
        seen.append(1)
        if len(seen) == 2:
            raise KeyError("from the handler")

    with mydev.open() as device, device.packets(ring=ring) as packets:
        with raises(BlockingIOError, errno.EAGAIN):
            packets.next(0)
        begin = time.monotonic()
        with raises(TimeoutError, errno.ETIMEDOUT):
            packets.next(0.05)
        assert time.monotonic() - begin >= 0.049
        with raises(ValueError):
            packets.next(-1)
        seen = []
        old = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        try:
            with raises(KeyError):
                packets.next()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert len(seen) >= 2


@both_ways("asyncio: other tasks run while none comes, and nothing spins")
def asynchronous(ring):
    async def ticker():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def read(packets, counter):
        kept = None
        count = 0
        async for packet in packets:
            check_bytes(packet.data, counter + count)
            kept = kept or packet.data
            count += 1
            if count == 40:
                break
        # One is still held, and that is no reason to wake up. An emulated processor
        # that stands still counts as work of whom it was running: once in some times.
        for _ in range(5):
            cpu, wall = time.process_time(), time.monotonic()
            with raises(TimeoutError):
                await asyncio.wait_for(anext(packets), 0.5)
            used, passed = time.process_time() - cpu, time.monotonic() - wall
            if used < passed / 2 + 0.1:
                break
        else:
            raise AssertionError(f"{used} s of work in {passed} s of waiting")
        check_bytes(kept, counter)

    async def run():
        with mydev.open() as device, device.packets(ring=ring) as packets:
            task = asyncio.create_task(ticker())
            counter = next_counter()
            sim("rate 200")
            feed(40, "100-1000")
            try:
                await read(packets, counter)
            finally:
                task.cancel()

    ticks = []
    asyncio.run(run())
    assert len(ticks) > 5


@promise("asyncio: an unplug ends the iteration")
def asynchronous_end():
    async def run():
        with mydev.open() as device, device.packets() as packets:
            feed(3)
            wait_for(lambda: device.stats()["client_packets"] >= 3)
            plug(False)
            count = 0
            with raises(mydev.Unplugged, errno.ENODEV):
                async for item in packets:
                    count += isinstance(item, mydev.Packet)
            assert count == 3

    asyncio.run(run())


@both_ways("unplugged: all that came, then Unplugged; what is held stays")
def unplugged(ring):
    with mydev.open() as device, device.packets(ring=ring) as packets:
        counter = next_counter()
        feed(3)
        wait_for(lambda: device.stats()["client_packets"] >= 3)
        plug(False)
        views = [packets.next().data for _ in range(3)]
        with raises(mydev.Unplugged, errno.ENODEV) as what:
            while True:
                assert not isinstance(packets.next(), mydev.Packet)
        assert "plug it in" in str(what.value) and what.value.filename == NODE
        for i, view in enumerate(views):
            check_bytes(view, counter + i)


@both_ways("the end of with hides nothing, and closes what views are in use of")
def ended_in_use(ring):
    for kind in (KeyboardInterrupt, mydev.Unplugged, None):
        with mydev.open() as other, other.packets(ring=ring) as others:
            view = None
            try:
                with mydev.open() as device, device.packets(ring=ring) as packets:
                    counter = next_counter()
                    feed(1)
                    for packet in packets:
                        view = packet.data
                        break
                    if kind:
                        raise kind(errno.ENODEV, "as it is")
            except BaseException as error:
                assert type(error) is kind, repr(error)
            else:
                assert kind is None
            assert packets.closed and device.closed and packet.released
            for function in (packets.next, device.stats, lambda: packet.data):
                with raises(ValueError):
                    function()
            check_bytes(view, counter)
            assert opened() == 2 and in_maps() == (2 if ring else 0)
            # Nobody waits for one who will never read again.
            others.next(20)
            for _ in range(2 * other.config()["queue_depth"] // 50):
                feed(50, "100")
                for _ in range(50):
                    others.next(20)
            check_bytes(view, counter)
            del view
            assert opened() == 1 and in_maps() == (1 if ring else 0)


@both_ways("what a traceback has a view of goes with the traceback")
def viewed_by_a_traceback(ring):
    def use(packets):
        view = packets.next().data
        plug(False)
        while packets.next():
            check_bytes(view, counter)

    counter = next_counter()
    try:
        with mydev.open() as device, device.packets(ring=ring) as packets:
            feed(1)
            use(packets)
    except mydev.Unplugged:
        assert packets.closed and device.closed and opened() == 1
    assert opened() == 0 and in_maps() == 0


@both_ways("packets can be taken anew when views of the last ones are gone")
def taken_anew(ring):
    with mydev.open() as device:
        with device.packets(ring=ring) as packets:
            counter = next_counter()
            feed(2)
            view = packets.next().data
            with raises(BufferError):
                packets.close()
            assert not packets.closed
        with raises(BufferError):
            device.packets(ring=ring)
        check_bytes(view, counter)
        del view
        with device.packets(ring=ring) as packets:
            feed(1)
            assert isinstance(packets.next(20), mydev.Packet)


@promise("an error within a lease is what is told, and a device may be closed in it")
def ended_lease():
    with mydev.open() as device:
        with raises(KeyError):
            with device.lease():
                plug(False)
                raise KeyError("mine")
    plug(True)
    with mydev.open() as device, device.lease():
        device.close()


@promise("sending: a question and its answer, control requests, the lease")
def sending():
    sim("echo on")
    try:
        with mydev.open() as device, mydev.open() as other:
            device.configure(policy="drop-oldest")
            assert device.transact(b"what is your name?") == b"what is your name?"
            assert device.write(b"abc") == 3
            device.sync()
            assert device.control_in(0x01, 7, device.info()["interface_number"], 5) == bytes(range(7, 12))
            with raises(BrokenPipeError, errno.EPIPE):
                device.control_in(0x05, 0, device.info()["interface_number"], 1)
            with device.lease():
                with raises(OSError, errno.EBUSY):
                    other.write(b"x")
                with raises(TimeoutError, errno.ETIMEDOUT):
                    with other.lease(0.05):
                        pass
            other.write(b"x")
            other.sync()
    finally:
        sim("echo off")


if __name__ == "__main__":
    sim("echo off")
    sys.exit(run(fresh))
