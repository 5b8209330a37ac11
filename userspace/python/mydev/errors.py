# SPDX-License-Identifier: MIT
"""What can go wrong: OSError, with the errno, and the library's words for it."""

from __future__ import annotations

import errno


class Unplugged(OSError):
    """The device is unplugged, and all that it had sent was taken (ENODEV)."""


class PacketLost(OSError):
    """A packet was taken away while it was in use: what it was is uncertain (ENOBUFS).

    Also raised by reading bytes, at the place where some are missing."""


class Revoked(OSError):
    """An administrator has revoked the descriptor (ESTALE)."""


_CLASSES = {errno.ENODEV: Unplugged, errno.ENOBUFS: PacketLost, errno.ESTALE: Revoked}


def error(number: int, words: str, what: str | None = None) -> OSError:
    """The exception for an errno; Python has classes for most (FileNotFoundError, TimeoutError...)."""
    kind = _CLASSES.get(number, OSError)
    return kind(number, words, what) if what else kind(number, words)
