# SPDX-License-Identifier: MIT
"""Which devices there are, and one that is open."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

from . import _native
from .packets import Packets

_MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
_FOREVER = 0xffffffff


@dataclass(frozen=True)
class DeviceInfo:
    """A node of a device that is plugged in. The texts are the device's own, and may be anything.

    An interface has a node for each pair of endpoints; the pipe is the address of one of
    them, and the first node is the one with the short name."""

    name: str
    path: str
    index: int
    pipe: int
    is_first: bool
    id_vendor: int
    id_product: int
    interface: int
    manufacturer: str
    product: str
    serial: str
    readable: bool
    usb_device: str
    """Its name, such as "1-2.3"; the same for all interfaces of one."""
    siblings: tuple[str, ...]
    """The names of the others that are interfaces of it."""

    def open(self, mode: str = "rw") -> Device:
        """Open it; see mydev.open()."""
        return open(self.path, mode=mode)


def _device_info(entry: int) -> DeviceInfo:
    texts = {key: _native.text(_native.call("entry_" + key, entry))
             for key in ("name", "path", "manufacturer", "product", "serial", "usb_device")}
    numbers = {key: _native.call("entry_" + key, entry)
               for key in ("index", "pipe", "is_first", "id_vendor", "id_product", "interface", "readable")}
    siblings = tuple(_native.text(_native.call("entry_siblings", entry)).split())
    return DeviceInfo(**texts, **numbers, siblings=siblings)


def devices() -> list[DeviceInfo]:
    """The nodes of the devices that are plugged in, in the order of their numbers. Opens none, and needs no permission."""
    handle = _native.create("list_new")
    try:
        return [_device_info(_native.call("list_get", handle, i)) for i in range(_native.call("list_count", handle))]
    finally:
        _native.call("list_free", handle)


def open(name: str | int | None = None, *, vid: int | None = None, pid: int | None = None,
         serial: str | None = None, endpoint: int | None = None, mode: str = "rw") -> Device:
    """Open a device by its name (0, "mydev0", "/dev/mydev0", "0.83"), or by what it is.

    With neither it is the only one there is; the endpoint, such as 0x83, says which of
    its nodes, the first one where it is not given. The mode is "r", "w" or "rw"; only
    with the last are packets used where the kernel has them."""
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(_MODES)}, not {mode!r}")
    if name is not None:
        if (vid, pid, serial, endpoint) != (None, None, None, None):
            raise ValueError("a name, or vid, pid, serial and endpoint, but not both")
        return Device(_native.create("open", os.fsencode(str(name)), _MODES[mode], what=str(name)))
    what = ":".join("*" if number is None else f"{number:04x}" for number in (vid, pid))
    return Device(_native.create("open_match", _native.ANY_ID if vid is None else vid, _native.ANY_ID if pid is None else pid,
                                 None if serial is None else serial.encode(), endpoint or 0, _MODES[mode],
                                 what=f"{what} {serial}" if serial else what))


class Device:
    """An open device. Close it, or use it with "with"; one thread at a time.

    One that can read is a member of the stream from its opening on: whatever the
    device sends from then on is kept for it.

    The end of "with" closes it in any case. Where views of packets are in use then,
    they keep their bytes, and the descriptor goes with the last of them. Until then
    nothing more is kept for it, and it holds up nobody."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._device: _native.Owned | None = _native.Owned("close", handle)
        self._packets: Packets | None = None

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def __repr__(self) -> str:
        return f"<mydev.Device {self.path}>" if self._device else "<mydev.Device, closed>"

    @property
    def _handle(self) -> ctypes.c_void_p:
        if not self._device:
            raise ValueError("the device is closed")
        return self._device.handle

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._device is None

    def close(self) -> None:
        """Close it, and its packets; BufferError where a view of a packet is still in use, and then it stays open."""
        if self._packets:
            self._packets.close()
        self._let_go()

    def _let_go(self) -> None:
        """Close it, and leave the descriptor to the views of its memory, if there are any."""
        if not self._device:
            return
        if self._packets:
            self._packets._let_go()
            if self._packets._viewed:
                self._keep_no_more()
        self._device = None

    def _keep_no_more(self) -> None:
        """Nobody reads it any more, and others do not wait for it; what is viewed stays."""
        try:
            self.configure(policy="drop-newest")
        except OSError:
            # Unplugged or revoked, and then it holds up nobody.
            pass

    def fileno(self) -> int:
        """The descriptor, for select and its like."""
        return _native.call("fd", self._handle)

    @property
    def path(self) -> str:
        """Path of the node, as it was opened."""
        return os.fsdecode(_native.call("path", self._handle))

    def _structure(self, name: str, kind: type) -> dict[str, int]:
        answer = _native.ask(name, self._handle, kind)
        return {field[0]: getattr(answer, field[0]) for field in kind._fields_ if field[0] not in ("size", "reserved", "reserved2")}

    def info(self) -> dict[str, int]:
        """What the device is: the members of struct mydev_info."""
        return self._structure("get_info", _native.Info)

    def stats(self) -> dict[str, int]:
        """Counters of the device and of this descriptor: the members of struct mydev_stats."""
        return self._structure("get_stats", _native.Stats)

    def geometry(self) -> dict[str, int]:
        """The receive ring of the device, and its limits: the members of struct mydev_geometry."""
        return self._structure("get_geometry", _native.Geometry)

    def config(self) -> dict[str, Any]:
        """How this descriptor reads: policy, clock, watermark, latency_us, queue_depth."""
        config = _native.ask("get_config", self._handle, _native.Config)
        return {"policy": _native.text(_native.call("policy_name", config.policy)),
                "clock": _native.text(_native.call("clock_name", config.clock)),
                "watermark": config.watermark, "latency_us": config.latency_us, "queue_depth": config.queue_depth}

    def configure(self, **settings: Any) -> None:
        """Change some of what config() says; policy and clock by their names, such as "drop-oldest"."""
        config = _native.ask("get_config", self._handle, _native.Config)
        for key, value in settings.items():
            if key not in ("policy", "clock", "watermark", "latency_us", "queue_depth"):
                raise TypeError(f"there is no setting {key!r}")
            if key in ("policy", "clock"):
                number = _native.call(key + "_value", value.encode())
                if number < 0:
                    raise ValueError(f"there is no {key} {value!r}")
                value = number
            setattr(config, key, value)
        _native.check("set_config", self._handle, ctypes.byref(config), ctypes.sizeof(config))

    def recovery(self) -> dict[str, Any]:
        """What is done after an error: clear_halt ("halt", "error" or "never"), tries, delay_ms, max_delay_ms."""
        recovery = _native.ask("get_recovery", self._handle, _native.Recovery)
        return {"clear_halt": _native.text(_native.call("clear_halt_name", recovery.clear_halt)),
                "tries": recovery.tries, "delay_ms": recovery.delay_ms, "max_delay_ms": recovery.max_delay_ms}

    def recover(self, **settings: Any) -> None:
        """Change some of what recovery() says, for everybody."""
        recovery = _native.ask("get_recovery", self._handle, _native.Recovery)
        for key, value in settings.items():
            if key not in ("clear_halt", "tries", "delay_ms", "max_delay_ms"):
                raise TypeError(f"there is no setting {key!r}")
            if key == "clear_halt":
                number = _native.call("clear_halt_value", value.encode())
                if number < 0:
                    raise ValueError(f"there is no clear_halt {value!r}")
                value = number
            setattr(recovery, key, value)
        _native.check("set_recovery", self._handle, ctypes.byref(recovery), ctypes.sizeof(recovery))

    def restart(self) -> None:
        """Set a stream that has failed going again, for everybody."""
        _native.check("restart", self._handle)

    def read(self, count: int = 65536) -> bytes:
        """The next bytes of the stream, at most count of them; waits until there are some."""
        buffer = bytearray(count)
        return bytes(memoryview(buffer)[:self.readinto(buffer)])

    def readinto(self, buffer: Any) -> int:
        """As read(), into a buffer that can be written to; returns how many."""
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        memory = (ctypes.c_char * len(view)).from_buffer(view)
        while True:
            try:
                return _native.check("read", self._handle, memory, len(view), what=self.path)
            except InterruptedError:
                continue  # nothing was read, and the handler has not raised anything

    def rewind(self, *, sequence: int | None = None, time_ns: int | None = None) -> int:
        """Go back to what the driver still has, and return the number of the packet that is next.

        With neither it is the oldest one; else the packet with that number, or the
        first since that time (time.monotonic_ns()), or the nearest that there is.
        Also while packets are taken: BufferError where a view of one is in use."""
        if sequence is not None and time_ns is not None:
            raise ValueError("a sequence number, or a time, but not both")
        if sequence is not None:
            where = _native.REWIND_SEQUENCE, sequence
        elif time_ns is not None:
            where = _native.REWIND_TIME, time_ns
        else:
            where = _native.REWIND_OLDEST, 0
        if not 0 <= where[1] < 1 << 64:
            raise ValueError("neither is negative, or more than 64 bits")
        if self._packets and not self._packets.closed:
            return self._packets._rewind(*where)
        return _native.rewind("rewind", self._handle, *where, what=self.path)

    def write(self, data: bytes) -> int:
        """Send bytes as one message; returns when the driver has them, with how many it took."""
        data = bytes(data)
        return _native.check("write", self._handle, data, len(data))

    def sync(self) -> None:
        """Wait until the device has taken what was written."""
        _native.check("sync", self._handle)

    def transact(self, data: bytes, length: int = 65536, timeout: float = 5.0) -> bytes:
        """Send bytes and return the device's answer, at most length bytes of it.

        The answer is also in the stream. Who does not read that lets it not fill
        up: configure(policy="drop-oldest")."""
        data = bytes(data)
        answer = ctypes.create_string_buffer(length)
        truncated = ctypes.c_bool()
        count = _native.check("transact", self._handle, data, len(data), answer, length, _native.timeout_ms(timeout),
                              ctypes.byref(truncated))
        return answer.raw[:count]

    def control_in(self, request: int, value: int = 0, index: int = 0, length: int = 0, *,
                   request_type: int = 0xc1, timeout: float = 5.0) -> bytes:
        """A control request that brings data; to the interface, of type vendor, unless said otherwise."""
        answer = ctypes.create_string_buffer(max(length, 1))
        count = _native.check("control", self._handle, request_type | 0x80, request, value, index, answer, length,
                              _native.timeout_ms(timeout))
        return answer.raw[:count]

    def control_out(self, request: int, value: int = 0, index: int = 0, data: bytes = b"", *,
                    request_type: int = 0x41, timeout: float = 5.0) -> int:
        """A control request that sends data, or none; returns how many bytes were sent."""
        data = bytes(data)
        return _native.check("control", self._handle, request_type & 0x7f, request, value, index, data, len(data),
                             _native.timeout_ms(timeout))

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[None]:
        """While in it, nobody else can send to the device or control it."""
        _native.check("lease_acquire", self._handle, _FOREVER if timeout is None else _native.timeout_ms(timeout))
        try:
            yield
        except BaseException:
            # That is what is to be told: not that, for instance, no lease is left of what was unplugged.
            if self._device:
                _native.call("lease_release", self._handle)
            raise
        if self._device:
            _native.check("lease_release", self._handle)

    def packets(self, *, ring: bool | None = None) -> Packets:
        """What the device sends, packet by packet, where the kernel has it.

        With ring=True it has to be there, with ring=False it is copied; otherwise
        the ring is used where that is possible. read() is not for use meanwhile."""
        if self._packets and not self._packets.closed:
            raise ValueError("the packets of this device are being taken already")
        if self._packets and self._packets._viewed:
            raise BufferError("views of packets that were taken before are in use: let go of them, or take copies")
        flags = 0 if ring is None else _native.CLIENT_RING if ring else _native.CLIENT_COPY
        client = _native.create("client_new", self._handle, flags)
        self._packets = Packets(_native.Owned("client_free", client, self._device), self.path)
        return self._packets
