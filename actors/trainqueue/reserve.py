"""A file that holds some space of the disk, given up when the disk is full.

With it, what was accepted before can still be written down; from then on new jobs are refused, with nothing changed,
until there is enough space to fill it again. Where something else keeps it from being made, there is just none.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 2**20
"""Bytes; a batch of a thousand jobs needs less."""
FULL = (errno.ENOSPC, errno.EDQUOT)
VAGUE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def is_full(error: BaseException | None, folder: Path) -> bool:
    """Whether a write failed for want of space; SQLite has vaguer words for an exhausted quota, so there we look."""
    if isinstance(error, OSError):
        return error.errno in FULL
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_FULL or (code in VAGUE and has_no_room(folder))


def has_no_room(folder: Path) -> bool:
    """For as much as the reserve holds."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, SIZE)
    except OSError as error:
        return error.errno in FULL
    return False


class Reserve:
    """Owned by the arbiter. `held` tells whether the space is ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = self._is_whole()  # an earlier daemon's
        self.error: OSError | None = None
        """Why it is not held, once that is known."""

    @property
    def disk_is_full(self) -> bool:
        """What little is left is for what was accepted before."""
        return self.error is not None and self.error.errno in FULL

    def _is_whole(self) -> bool:
        """Space that is really taken: a death while it was filled leaves an empty file."""
        try:
            return self.path.stat().st_blocks * 512 >= SIZE
        except OSError:
            return False

    def fill(self) -> bool:
        """Whether it is held now."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SIZE)
            finally:
                os.close(fd)
        except OSError as error:
            self._remove()
            self.held, self.error = False, error
            return False
        self.held, self.error = True, None
        return True

    def spend(self) -> bool:
        """Give the space back to the disk; False when there was none to give."""
        spent, self.held = self.held, False
        if spent:
            self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._remove()
        return spent

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return  # a read-only disk: nothing can be written anyway
