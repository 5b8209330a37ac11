# SPDX-License-Identifier: MIT
"""Devices of the mydev driver: find them, open them, read their packets, send to them.

    import mydev

    with mydev.open(vid=0x1209, pid=0x0001) as device:
        with device.packets() as packets:
            for packet in packets:
                if isinstance(packet, mydev.Packet):
                    print(packet.sequence, bytes(packet.data[:8]))

Errors are OSError with an errno, and the words of the library: FileNotFoundError,
PermissionError, TimeoutError and so on, and those defined here. Needs the shared
library libmydev.so.0; the environment variable LIBMYDEV can name it.
"""

from .devices import Device, DeviceInfo, devices, open
from .errors import PacketLost, Revoked, Unplugged
from .packets import Event, Gap, Item, Packet, Packets

__all__ = ["Device", "DeviceInfo", "Event", "Gap", "Item", "Packet", "PacketLost", "Packets", "Revoked", "Unplugged",
           "devices", "open"]
