# SPDX-License-Identifier: MIT
"""libmydev.so and its structures, by ctypes. Nothing here is for programs."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import (POINTER, Structure, byref, c_bool, c_char_p, c_int, c_int32, c_size_t, c_ssize_t, c_uint, c_uint8,
                    c_uint16, c_uint32, c_uint64, c_void_p, sizeof)

from .errors import error


def _fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class Info(Structure):
    _fields_ = [("size", c_uint32), ("abi_version", c_uint32), ("features", c_uint64),
                *_fields(c_uint16, "id_vendor id_product bcd_device"),
                *_fields(c_uint8, "interface_number alternate_setting interface_class interface_subclass"
                                  " interface_protocol speed ep_in ep_out"),
                *_fields(c_uint16, "ep_in_max_packet ep_out_max_packet bus_number"),
                *_fields(c_uint32, "device_number index transfer_size transfers pool_buffers queue_depth max_clients"
                                   " max_queue_depth block_timeout_ms client_id send_size send_room reserved"),
                *_fields(c_uint8, "ep_in_type ep_out_type pipe first_pipe"),
                *_fields(c_uint32, "ep_in_interval_us ep_out_interval_us carried uncarried reserved2")]


class Stats(Structure):
    _fields_ = [*_fields(c_uint32, "size flags state clients in_flight free_buffers"),
                *_fields(c_uint64, "packets bytes zero_packets errors stalls ring_stops client_packets client_bytes"
                                   " client_read_packets client_read_bytes client_lost_packets client_lost_bytes"
                                   " client_queued_packets client_queued_bytes sent_transfers sent_bytes send_errors"
                                   " client_written_bytes client_sent_bytes client_failed_bytes client_unsent_bytes"
                                   " unread_packets unread_bytes")]


class Config(Structure):
    _fields_ = _fields(c_uint32, "size flags mode policy clock watermark latency_us queue_depth")


class Geometry(Structure):
    _fields_ = [*_fields(c_uint32, "size transfers transfer_size max_transfers max_transfer_size log_entries"),
                *_fields(c_uint64, "pool_bytes max_pool_bytes"), *_fields(c_uint32, "max_log_entries reserved")]


class Recovery(Structure):
    _fields_ = _fields(c_uint32, "size clear_halt tries delay_ms max_delay_ms reserved")


class Packet(Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t), ("sequence", c_uint64), ("timestamp_ns", c_uint64),
                ("type", c_uint32), ("flags", c_uint32), ("status", c_int32), ("event", c_uint32),
                ("gap_packets", c_uint64), ("gap_bytes", c_uint64), ("number", c_uint64), ("reserved", c_uint64 * 2)]


PACKET, GAP, EVENT = 0, 1, 2
CLIENT_RING, CLIENT_COPY = 1, 2
REWIND_OLDEST, REWIND_SEQUENCE, REWIND_TIME = 0, 1, 2
FLAG_CONTINUES, FLAG_PARTIAL = 1, 2
ANY_ID = -1

# function: what it returns, and what it takes
_Handle = POINTER(c_void_p)
_PROTOTYPES: dict[str, tuple[type | None, list]] = {
    "open": (c_int, [c_char_p, c_int, _Handle]),
    "open_match": (c_int, [c_int, c_int, c_char_p, c_uint, c_int, _Handle]),
    "open_fd": (c_int, [c_int, _Handle]),
    "close": (None, [c_void_p]),
    "fd": (c_int, [c_void_p]),
    "path": (c_char_p, [c_void_p]),
    "get_info": (c_int, [c_void_p, POINTER(Info), c_size_t]),
    "get_stats": (c_int, [c_void_p, POINTER(Stats), c_size_t]),
    "get_config": (c_int, [c_void_p, POINTER(Config), c_size_t]),
    "set_config": (c_int, [c_void_p, POINTER(Config), c_size_t]),
    "get_geometry": (c_int, [c_void_p, POINTER(Geometry), c_size_t]),
    "get_recovery": (c_int, [c_void_p, POINTER(Recovery), c_size_t]),
    "set_recovery": (c_int, [c_void_p, POINTER(Recovery), c_size_t]),
    "restart": (c_int, [c_void_p]),
    "rewind": (c_int, [c_void_p, c_uint, c_uint64, POINTER(c_uint64)]),
    "read": (c_ssize_t, [c_void_p, c_void_p, c_size_t]),
    "write": (c_ssize_t, [c_void_p, c_char_p, c_size_t]),
    "sync": (c_int, [c_void_p]),
    "control": (c_ssize_t, [c_void_p, c_uint, c_uint, c_uint, c_uint, c_void_p, c_size_t, c_uint]),
    "transact": (c_ssize_t, [c_void_p, c_char_p, c_size_t, c_void_p, c_size_t, c_uint, POINTER(c_bool)]),
    "lease_acquire": (c_int, [c_void_p, c_uint]),
    "lease_release": (c_int, [c_void_p]),
    "client_new": (c_int, [c_void_p, c_uint, _Handle]),
    "client_free": (None, [c_void_p]),
    "client_fd": (c_int, [c_void_p]),
    "client_has_ring": (c_bool, [c_void_p]),
    "client_held_max": (c_uint, [c_void_p]),
    "client_next": (c_int, [c_void_p, POINTER(Packet), c_int]),
    "client_release": (c_int, [c_void_p, POINTER(Packet)]),
    "client_rewind": (c_int, [c_void_p, c_uint, c_uint64, POINTER(c_uint64)]),
    "list_new": (c_int, [_Handle]),
    "list_free": (None, [c_void_p]),
    "list_count": (c_size_t, [c_void_p]),
    "list_get": (c_void_p, [c_void_p, c_size_t]),
    "entry_name": (c_char_p, [c_void_p]),
    "entry_path": (c_char_p, [c_void_p]),
    "entry_index": (c_uint, [c_void_p]),
    "entry_pipe": (c_uint, [c_void_p]),
    "entry_is_first": (c_bool, [c_void_p]),
    "entry_id_vendor": (c_uint, [c_void_p]),
    "entry_id_product": (c_uint, [c_void_p]),
    "entry_interface": (c_uint, [c_void_p]),
    "entry_manufacturer": (c_char_p, [c_void_p]),
    "entry_product": (c_char_p, [c_void_p]),
    "entry_serial": (c_char_p, [c_void_p]),
    "entry_usb_device": (c_char_p, [c_void_p]),
    "entry_siblings": (c_char_p, [c_void_p]),
    "entry_readable": (c_bool, [c_void_p]),
    "state_name": (c_char_p, [c_uint]),
    "policy_name": (c_char_p, [c_uint]),
    "policy_value": (c_int, [c_char_p]),
    "clock_name": (c_char_p, [c_uint]),
    "clock_value": (c_int, [c_char_p]),
    "event_name": (c_char_p, [c_uint]),
    "clear_halt_name": (c_char_p, [c_uint]),
    "clear_halt_value": (c_int, [c_char_p]),
    "strerror": (c_char_p, [c_int]),
}


def _load() -> ctypes.CDLL:
    """The library: the one that LIBMYDEV names, or the installed one."""
    library = ctypes.CDLL(os.environ.get("LIBMYDEV", "libmydev.so.0"))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, "mydev_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def call(name: str, *args):
    """A function that gives something, and cannot fail."""
    return getattr(_library, "mydev_" + name)(*args)


def again(name: str, *args) -> int:
    """As call(), but that a signal whose handler raises nothing does not end it."""
    while (result := call(name, *args)) == -errno.EINTR:
        pass
    return result


def check(name: str, *args, what: str | None = None) -> int:
    """A function that gives a number, or a negative errno, which is raised."""
    result = getattr(_library, "mydev_" + name)(*args)
    if result < 0:
        raise error(-result, strerror(-result), what)
    return result


def create(name: str, *args, what: str | None = None) -> c_void_p:
    """A function whose last argument is where a new object goes."""
    handle = c_void_p()
    check(name, *args, byref(handle), what=what)
    return handle


class Owned:
    """An object of the library, which is freed with the last reference to this one.

    One may be made of another, which it keeps for as long as it is there itself."""

    __slots__ = ("handle", "_free", "_base", "__weakref__")

    def __init__(self, free: str, handle: c_void_p, base: Owned | None = None) -> None:
        self.handle = handle
        # Looked up now: at the end of the interpreter nothing may be left to look in.
        self._free = getattr(_library, "mydev_" + free)
        self._base = base

    def __del__(self) -> None:
        self._free(self.handle)


def rewind(name: str, handle: c_void_p, to: int, value: int, what: str) -> int:
    """One of the two functions that go back; the number of the packet that is next."""
    sequence = c_uint64()
    check(name, handle, to, value, byref(sequence), what=what)
    return sequence.value


def ask(name: str, handle: c_void_p, kind: type):
    """A function that fills in a structure."""
    result = kind()
    check(name, handle, byref(result), sizeof(result))
    return result


def strerror(number: int) -> str:
    """An errno in the words of the library."""
    return call("strerror", -number).decode()


def text(data: bytes | None) -> str:
    """A string of a device, which may be anything."""
    return (data or b"").decode(errors="replace")


def timeout_ms(seconds: float | None) -> int:
    """Seconds, or None for ever, as the library wants it; never less than was asked for."""
    if seconds is None:
        return -1
    if seconds < 0:
        raise ValueError("a timeout is not negative")
    return min(int(seconds * 1000 + 0.999999), 0x7fffffff)
