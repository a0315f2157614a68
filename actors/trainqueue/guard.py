"""The single-instance guard of a home: an exclusive flock, which the kernel frees on any death.

Imports little, since every command line call looks whether a daemon lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

from trainqueue.errors import HomeHeldError

if TYPE_CHECKING:
    from pathlib import Path

LOOKS, PAUSE = 20, 0.005
"""A client that looks whether a daemon lives holds the lock for a moment, too; so it is tried for 0.1 s."""


def take(path: Path) -> int:
    """The descriptor that holds the guard. Raises HomeHeldError naming the holder, OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for look in range(LOOKS):
            if _locked(fd, fcntl.LOCK_EX):
                os.ftruncate(fd, 0)
                with contextlib.suppress(OSError):  # the name is a courtesy; a full disk must not keep us out
                    os.write(fd, json.dumps({"pid": os.getpid(), "started_at": time.time()}).encode())
                return fd
            time.sleep(PAUSE if look < LOOKS - 1 else 0)
        msg = f"{path.parent} is held by {_holder(os.read(fd, 4096))}; it goes on serving it"
        raise HomeHeldError(msg)
    except BaseException:
        os.close(fd)
        raise


def is_held(path: Path) -> bool:
    """Whether a living process holds the guard."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(written: bytes) -> str:
    try:
        return f"process {int(json.loads(written)['pid'])}"
    except (ValueError, KeyError, TypeError):
        return "another process (which has not written its name yet)"
