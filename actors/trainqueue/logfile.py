"""Reading a job's log, which may have lost its middle to its cap (runner/logcap.py): a hole is no output."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

TRIES = 3
"""A hole may grow between two looks at the file, but not often."""


@contextlib.contextmanager
def opened(path: str) -> Generator[int | None, None, None]:
    """A descriptor; None for what is no file, such as a pipe that a job has put there. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def read(fd: int, start: int, limit: int) -> tuple[int, bytes]:
    """Up to `limit` bytes from `start` on, or from behind the hole that `start` lies in; and where they begin.

    A search for the end of the data takes long on some file systems, so it is made only where zeros were read.
    """
    begin = start
    for _ in range(TRIES):
        begin = _data_from(fd, start)
        data = os.pread(fd, limit, begin)
        if not data:
            break  # the end
        if b"\0" in data:
            data = data[: _hole_from(fd, begin) - begin]
        if data:
            return begin, data
    return begin, b""


def _data_from(fd: int, start: int) -> int:
    """Where there is data from `start` on; the end of the file where there is none."""
    try:
        return os.lseek(fd, start, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return max(start, os.fstat(fd).st_size)


def _hole_from(fd: int, begin: int) -> int:
    try:
        return os.lseek(fd, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return begin  # the file was emptied meanwhile
