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


def take_folder(path: Path) -> int:
    """The home itself is locked as well: somebody may remove the lock file. As `take`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for look in range(LOOKS):
        try:
            if _locked(fd, fcntl.LOCK_EX):
                return fd
        except OSError:
            return fd  # a file system that locks files only
        time.sleep(PAUSE if look < LOOKS - 1 else 0)
    os.close(fd)
    msg = f"{path} is held by another process, whose lock file was removed; it goes on serving it"
    raise HomeHeldError(msg)


def is_held(path: Path) -> bool:
    """Whether a living process holds the guard."""
    return _is_held(path, os.O_RDWR) or _is_held(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _is_held(path: Path, how: int) -> bool:
    try:
        fd = os.open(path, how | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(fd, fcntl.LOCK_SH)
    except OSError:
        return False
    finally:
        os.close(fd)


def holder(path: Path) -> int | None:
    """The pid that the lock file names, whether or not that process lives."""
    try:
        return int(json.loads(path.read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
