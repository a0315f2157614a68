"""The kernel's word that something in a folder has changed."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, DELETE, DELETE_SELF, MOVE_SELF = 0x2, 0x8, 0x40, 0x80, 0x200, 0x400, 0x800
ONESHOT = 0x80000000
"""Once, and then never again until it is added anew."""
EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


def watch(folder: Path, events: int) -> int:
    """A descriptor that becomes readable when one of `events` has happened there.

    Raises OSError: the kernel has no more of these, or the folder is not there.
    """
    fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "cannot watch a folder")
    if _libc.inotify_add_watch(fd, os.fsencode(folder), events) < 0:
        error = OSError(ctypes.get_errno(), f"cannot watch {folder}")
        os.close(fd)
        raise error
    return fd


def add(fd: int, path: str, events: int) -> int:
    """Watch one more with the same descriptor; the number that its events carry. Raises OSError."""
    mark = int(_libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(events)))
    if mark < 0:
        raise OSError(ctypes.get_errno(), f"cannot watch {path}")
    return mark


def events(data: bytes) -> set[tuple[int, bytes]]:
    """What has changed, by what was read from a descriptor: a mark, and a name where it was a folder's."""
    found: set[tuple[int, bytes]] = set()
    at = 0
    while at + EVENT.size <= len(data):
        mark, _, _, length = EVENT.unpack_from(data, at)
        at += EVENT.size
        found.add((mark, data[at : at + length].rstrip(b"\0")))
        at += length
    return found
