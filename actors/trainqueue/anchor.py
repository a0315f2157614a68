"""Whether what we have open is still what lies in the home: a deleted file can be written to, and is never found again.

Looked at before each commit (5 µs), so that nothing is confirmed that would be gone with this process, and whenever
the kernel says that something was deleted or moved there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from trainqueue.damage import wal_of
from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from pathlib import Path

Identity = tuple[int, int]
MOVED_FROM, DELETE, DELETE_SELF, MOVE_SELF = 0x40, 0x200, 0x400, 0x800
"""What inotify is asked to tell of the home."""


class GoneError(TrainqError):
    """The home, or its database, was moved, deleted or replaced while it was served. Ends the daemon."""


def identity(path: Path) -> Identity | None:
    """None when there is nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116  (in the way of every commit)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Anchor:
    """Of one open database; holds a descriptor of its folder, to know where that went."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._folder = os.open(database.parent, os.O_PATH | os.O_CLOEXEC)
        self._known = [(path, identity(path)) for path in (database, wal_of(database))]
        self.signs = inotify(database.parent)
        """Readable when it is time to look; -1 where the kernel has no more of these."""

    def close(self) -> None:
        if self.signs >= 0:
            os.close(self.signs)
            self.signs = -1
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def take_signs(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.signs, 65536):
                pass

    def holds(self) -> bool:
        return all(identity(path) == known for path, known in self._known)

    def rescue(self, db: sqlite3.Connection) -> GoneError:
        """Put what was confirmed where it can be found again, if that can be done; what to say."""
        home, here = self.database.parent, os.fstat(self._folder)
        if identity(home) != (here.st_dev, here.st_ino):
            return self._home_gone(home)
        now = identity(self.database)
        try:
            if now == self._known[0][1]:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return GoneError(_again(f"{wal_of(self.database)} was deleted", f"is in {self.database}"))
            place = self.database if now is None else self.database.with_name(f"trainq.db.served-{stamp()}")
            put_back(db, place)
            if now is not None:  # SQLite would lay the old one's newest pages over the new one
                wal_of(self.database).unlink(missing_ok=True)
        except (sqlite3.Error, OSError) as error:
            return GoneError(
                f"{self.database} was deleted or replaced while it was served, and cannot be saved: {error}"
            )
        if now is None:
            return GoneError(_again(f"{self.database} was deleted", "has been put back there"))
        return GoneError(_again(f"{self.database} was replaced by another file", f"is kept in {place}"))

    def _home_gone(self, home: Path) -> GoneError:
        where = os.readlink(f"/proc/self/fd/{self._folder}")  # noqa: PTH115
        if where.endswith(" (deleted)"):
            return GoneError(f"the home folder {home} was deleted while it was served, and the queue with it")
        then = "move it back, or name its new place with TRAINQ_HOME, and start again"
        return GoneError(f"the home folder {home} was moved while it was served, and is at {where} now; {then}")


def inotify(folder: Path) -> int:
    """A descriptor that becomes readable when something in the folder, or itself, is deleted or moved away."""
    import ctypes

    libc = ctypes.CDLL(None)
    fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd >= 0:
        libc.inotify_add_watch(fd, os.fsencode(folder), MOVED_FROM | DELETE | DELETE_SELF | MOVE_SELF)
    return fd


def _again(what: str, saved: str) -> str:
    return f"{what} while it was served. All that was confirmed {saved}. Start again: trainq-cli daemon start"


def stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")


def put_back(db: sqlite3.Connection, place: Path) -> None:
    """A copy of the open database, at a place where nothing is. Raises sqlite3.Error, OSError."""
    temporary = place.with_name(f"{place.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(temporary)) as copy:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
    wal_of(place).unlink(missing_ok=True)  # of the deleted one; SQLite would lay it over the copy
    os.link(temporary, place)
    temporary.unlink()
