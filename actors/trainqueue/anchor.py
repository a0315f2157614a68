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

from trainqueue import inotify
from trainqueue.damage import wal_of
from trainqueue.errors import TrainqError
from trainqueue.runner.record import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

Identity = tuple[int, int]
SIGNS = inotify.MOVED_FROM | inotify.DELETE | inotify.DELETE_SELF | inotify.MOVE_SELF
"""What inotify is asked to tell of the home."""


class GoneError(TrainqError):
    """The home, or its database, was moved, deleted or replaced while it was served. Ends the daemon."""


def identity(path: Path) -> Identity | None:
    """None when there is nothing. Raises OSError where nobody can say, as on a file server that does not answer."""
    try:
        found = os.stat(path)  # noqa: PTH116  (in the way of every commit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


class Anchor:
    """Of one open database; holds a descriptor of its folder, to know where that went."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._folder = os.open(database.parent, os.O_PATH | os.O_CLOEXEC)
        self._known = [(path, identity(path)) for path in (database, wal_of(database))]
        self.signs = signs_of(database.parent)
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
        try:
            return all(identity(path) == known for path, known in self._known)
        except OSError:
            return True  # nothing says that they are gone; whether the disk still takes a write, the write will tell

    def rescue(self, db: sqlite3.Connection) -> GoneError:
        """Put what was confirmed where it can be found again, if that can be done; what to say."""
        home, here = self.database.parent, os.fstat(self._folder)
        try:
            if identity(home) != (here.st_dev, here.st_ino):
                return self._home_gone(home)
            return GoneError(self._save(db))
        except (sqlite3.Error, OSError) as error:
            return GoneError(
                f"{self.database} was deleted or replaced while it was served, and cannot be saved: {error}"
            )

    def _save(self, db: sqlite3.Connection) -> str:
        """Raises sqlite3.Error, OSError."""
        now = identity(self.database)
        if now == self._known[0][1]:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:  # somebody reads: a part of the newest pages is there, and the database makes no sense without all
                put_back(db, self.database, instead=True)
            return _again(f"{wal_of(self.database)} was deleted", f"is in {self.database}")
        if now is None:
            put_back(db, self.database)
            return _again(f"{self.database} was deleted", "has been put back there")
        place = self.database.with_name(f"trainq.db.served-{stamp()}")
        put_back(db, place)
        drop_wal(self.database)
        return _again(f"{self.database} was replaced by another file", f"is kept in {place}")

    def _home_gone(self, home: Path) -> GoneError:
        where = os.readlink(f"/proc/self/fd/{self._folder}")  # noqa: PTH115
        if where.endswith(" (deleted)"):
            return GoneError(f"the home folder {home} was deleted while it was served, and the queue with it")
        then = "move it back, or name its new place with TRAINQ_HOME, and start again"
        return GoneError(f"the home folder {home} was moved while it was served, and is at {where} now; {then}")


def signs_of(folder: Path) -> int:
    """A descriptor that becomes readable when something in the folder, or itself, is deleted or moved away; or -1."""
    try:
        return inotify.watch(folder, SIGNS)
    except OSError:
        return -1


def _again(what: str, saved: str) -> str:
    return f"{what} while it was served. All that was confirmed {saved}. Start again: trainq-cli daemon start"


def stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")


def put_back(db: sqlite3.Connection, place: Path, *, instead: bool = False) -> None:
    """A copy of the open database at a place where nothing is, or `instead` of what is there.

    Raises sqlite3.Error, OSError.
    """
    temporary = place.with_name(f"{place.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(temporary)) as copy:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
    drop_wal(place)
    if instead:
        temporary.rename(place)
    else:
        os.link(temporary, place)
        temporary.unlink()
    sync_folder(place.parent)


def drop_wal(database: Path) -> None:
    """Of a file that is not there any more: SQLite would lay its newest pages over the one that has taken its place."""
    for path in (wal_of(database), database.with_name(f"{database.name}-shm")):
        path.unlink(missing_ok=True)
