"""The kernel's word that something in a folder has changed."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CLOSE_WRITE, MOVED_FROM, MOVED_TO, DELETE, DELETE_SELF, MOVE_SELF = 0x8, 0x40, 0x80, 0x200, 0x400, 0x800
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
