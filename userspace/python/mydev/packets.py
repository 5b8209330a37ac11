# SPDX-License-Identifier: MIT
"""Packets, gaps and events, one by one; the packets' bytes without a copy."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import sys
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Iterator, Union

from . import _native
from .errors import PacketLost


@dataclass(frozen=True)
class Gap:
    """Packets were lost here, because this reader was too slow."""

    sequence: int
    packets: int
    bytes: int


@dataclass(frozen=True)
class Event:
    """Something happened to the stream here: "stall", "error", "reset", "resume" or "alternate"."""

    sequence: int
    timestamp_ns: int
    name: str
    status: int


# References to an array of bytes that nobody looks at: the attribute, and the
# argument of getrefcount().
_UNSEEN = 2


class Packet:
    """What one transfer of the device brought.

    data is a read-only view of the very memory that the device's bytes were
    received into. As long as a view of it is in use (a memoryview, a slice of
    one, a NumPy array), the packet is held; then it is given back by the next
    call of its Packets, by release(), or at the end of "with"."""

    __slots__ = ("sequence", "timestamp_ns", "flags", "status", "_native", "_bytes", "_owner")

    def __init__(self, native: _native.Packet, owner: Packets, memory: _native.Owned) -> None:
        self.sequence: int = native.sequence
        self.timestamp_ns: int = native.timestamp_ns
        self.flags: int = native.flags
        self.status: int = native.status
        self._native = native
        self._bytes = None
        if native.length:
            self._bytes = (ctypes.c_ubyte * native.length).from_address(native.data)
            # What is viewed is there as long as a view of it is, whatever else is let go of.
            self._bytes.memory = memory
        self._owner: Packets | None = owner

    def __repr__(self) -> str:
        return f"<mydev.Packet {self.sequence}, {len(self)} bytes>"

    def __len__(self) -> int:
        return self._native.length

    def __enter__(self) -> Packet:
        return self

    def __exit__(self, *_: object) -> None:
        # A view that outlives the block only puts off the release.
        if self._owner and not self.in_use:
            self.release()

    @property
    def data(self) -> memoryview:
        """The bytes, where they are. ValueError once the packet is released."""
        if not self._owner:
            raise ValueError("the packet is released; take a copy with bytes(packet.data) before that")
        if self._bytes is None:
            return memoryview(b"")
        return memoryview(self._bytes).toreadonly().cast("B")

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    @property
    def continues(self) -> bool:
        """The device's message goes on in the next packet."""
        return bool(self.flags & _native.FLAG_CONTINUES)

    @property
    def released(self) -> bool:
        """Whether it has been given back."""
        return self._owner is None

    @property
    def in_use(self) -> bool:
        """Whether there is a view of its data."""
        return self._bytes is not None and sys.getrefcount(self._bytes) > _UNSEEN

    def _forget(self) -> None:
        self._owner = self._bytes = None

    def release(self) -> None:
        """Give it back, and all that came before it.

        BufferError where a view of one of them is in use; PacketLost where one had
        been taken away in the meantime, so that what was read of it is uncertain."""
        if self._owner:
            self._owner._release(self)


Item = Union[Packet, Gap, Event]


class _Note:
    """A gap or an event, which is held like a packet until those before it are released."""

    in_use = False

    def __init__(self, native: _native.Packet) -> None:
        self._native = native

    def _forget(self) -> None:
        pass


class Packets:
    """An iterator over what a device sends: Packet, Gap and Event. Also an asynchronous one.

    It ends with an error: Unplugged, or another OSError. Each packet holds until
    the next one is asked for, and longer where a view of its data is in use.

    The end of "with" closes it in any case, so that nothing hides what ended the
    block. Views that are in use then (also by a frame of a traceback) keep their
    bytes, and with the last of them memory and descriptor go."""

    def __init__(self, client: _native.Owned, path: str) -> None:
        self._client: _native.Owned | None = client
        # Whether somebody still has the memory, once this has let go of it.
        self._memory = weakref.ref(client)
        self._path = path
        self._held: deque[Packet | _Note] = deque()

    def __enter__(self) -> Packets:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    @property
    def _handle(self) -> ctypes.c_void_p:
        if not self._client:
            raise ValueError("no packets are taken any more: it is closed")
        return self._client.handle

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._client is None

    @property
    def has_ring(self) -> bool:
        """Whether packets are used where the kernel has them."""
        return _native.call("client_has_ring", self._handle)

    @property
    def held_max(self) -> int:
        """How many packets can be held at once."""
        return _native.call("client_held_max", self._handle)

    @property
    def held(self) -> int:
        """How many are."""
        return len(self._held)

    def fileno(self) -> int:
        """A descriptor that is readable when next(0) may have something that it had not before."""
        return _native.call("client_fd", self._handle)

    def _check_unused(self, last: Packet | _Note | None) -> None:
        for packet in self._held:
            if packet.in_use:
                raise BufferError(f"a view of packet {packet._native.sequence} is in use: let go of it, or take a copy")
            if packet is last:
                break

    def close(self) -> None:
        """Take no more. BufferError where a view of a packet is still in use, and then it is not closed."""
        if not self._client:
            return
        self._check_unused(None)
        self._let_go()

    def _let_go(self) -> None:
        """Take no more, and leave the memory to the views of it, if there are any."""
        for packet in self._held:
            packet._forget()
        self._held.clear()
        self._client = None

    @property
    def _viewed(self) -> bool:
        """Whether views outlive it."""
        return self._client is None and self._memory() is not None

    def _release(self, last: Packet | _Note) -> None:
        """Give back all from the oldest one to this one."""
        self._check_unused(last)
        while True:
            packet = self._held.popleft()
            packet._forget()
            if packet is last:
                break
        _native.check("client_release", self._handle, ctypes.byref(last._native), what=self._path)

    def _release_unused(self) -> None:
        last = None
        for packet in self._held:
            if packet.in_use:
                break
            last = packet
        if last:
            self._release(last)

    def _rewind(self, to: int, value: int) -> int:
        """See Device.rewind(). What is held is given back; that it was taken away does not matter any more."""
        self._check_unused(None)
        if self._held:
            try:
                self._release(self._held[-1])
            except PacketLost:
                pass
        return _native.rewind("client_rewind", self._handle, to, value, what=self._path)

    def _take(self, milliseconds: int) -> Item:
        self._release_unused()
        while True:
            native = _native.Packet()
            result = _native.again("client_next", self._handle, ctypes.byref(native), milliseconds)
            if result == -errno.ENOSPC:
                raise BufferError(f"views of packets are in use, {len(self._held)} are held: let go of some, or take copies")
            if result < 0:
                raise _native.error(-result, _native.strerror(-result), self._path)
            if native.type == _native.PACKET:
                packet = Packet(native, self, self._client)
                self._held.append(packet)
                return packet
            if self._held:
                self._held.append(_Note(native))
            elif _native.call("client_release", self._handle, ctypes.byref(native)) == -errno.ENOBUFS:
                # More was lost meanwhile: the next gap counts this one as well.
                continue
            return self._note(native)

    @staticmethod
    def _note(native: _native.Packet) -> Gap | Event:
        if native.type == _native.GAP:
            return Gap(native.sequence, native.gap_packets, native.gap_bytes)
        name = _native.text(_native.call("event_name", native.event))
        return Event(native.sequence, native.timestamp_ns, name or str(native.event), native.status)

    def next(self, timeout: float | None = None) -> Item:
        """The next one; TimeoutError when none comes in so many seconds, BlockingIOError for 0 and none there."""
        return self._take(_native.timeout_ms(timeout))

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self.next()

    def __aiter__(self) -> Packets:
        return self

    async def __anext__(self) -> Item:
        while True:
            try:
                return self._take(0)
            except BlockingIOError:
                await self._readable()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self.fileno()
        ready = loop.create_future()
        loop.add_reader(descriptor, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
