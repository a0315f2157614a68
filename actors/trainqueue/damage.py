"""When a database is damaged, and what is said then. It is never written to, and never replaced by a new one.

SQLite finds damage where it reads; what it would overlook, and take for an empty database, is looked for at the start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec

from trainqueue import wal as log
from trainqueue.errors import RequestError
from trainqueue.launch import local

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

logger = logging.getLogger(__name__)
BOOT = "boot_id"
"""The setting that says under which boot of the machine a daemon last served this home."""
READ_FRAMES = slice(16, 20)
"""Where SQLite's index of the WAL says how many of its frames count (sqlite.org/walformat.html, mxFrame)."""
RECOVER = "Save what it holds, without a daemon: trainq-cli doctor --recover"
BEGIN_ANEW = "Put your copy of it there; to begin anew instead, move what is in jobs/ away"


class DamagedError(RequestError):
    """The database cannot be read, in part or at all.

    To those who ask it is a refusal; at start, and where something is written, it is the end of the daemon.
    """

    def __init__(self, path: Path, what: object, then: str = RECOVER) -> None:
        self.what, self.then = str(what), then
        super().__init__("internal", f"{path} is damaged: {what}. It is left as it is, and running jobs run on. {then}")


class StaleError(DamagedError):
    """What can be read is older than what was confirmed."""


class HasPath(Protocol):
    path: Path


Self = TypeVar("Self", bound=HasPath)
Given = ParamSpec("Given")
Result = TypeVar("Result")


def is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python's own: what was read is no text
        return str(error).startswith("Could not decode")
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def reason(error: Exception, path: Path) -> str:
    """For people: why the database could not be written."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return f"another process has locked {path} for itself, and must end what it does there: fuser {path}"
    return str(error)


def is_unreadable(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def readable(method: Callable[Concatenate[Self, Given], Result]) -> Callable[Concatenate[Self, Given], Result]:
    """For what reads the database: raises DamagedError, or RequestError where the disk does not let us read."""

    @wraps(method)
    def read(self: Self, /, *args: Given.args, **fields: Given.kwargs) -> Result:
        try:
            return method(self, *args, **fields)
        except sqlite3.Error as error:
            if is_damage(error):
                raise DamagedError(self.path, error) from error
            if is_unreadable(error):
                raise RequestError("unavailable", f"cannot read {self.path}: {error}; is the disk there?") from error
            raise

    return read


@contextlib.contextmanager
def decoding(database: Path) -> Generator[None, None, None]:
    """Around what makes something of rows, and nothing else: SQLite reads without complaint what is no row of ours.

    Raises DamagedError.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
        raise DamagedError(database, f"a row is unreadable ({error})") from error


def recovered(database: Path) -> Path:
    """What `doctor --recover` has saved, on its way into its place."""
    return database.with_name(f"{database.name}.recovered")


def wal_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def glance(database: Path) -> sqlite3.Connection:
    """Open it to read only, and make no file: SQLite would make a WAL where there is none, and leave it there."""
    alone = "" if wal_of(database).exists() else "&immutable=1"
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro{alone}", uri=True)


def refuse_unsound(database: Path, *, served: bool = False) -> None:
    """Before SQLite opens it, which begins anew on an empty file and forgets what follows a bad place in the WAL.

    `served`: a daemon writes to it, so that its WAL cannot be looked at from outside. Raises DamagedError, OSError,
    sqlite3.Error.
    """
    if recovered(database).exists():
        raise DamagedError(database, "a recovery of it was interrupted, and can be finished")
    wal = wal_of(database)
    has_wal = wal.exists() and wal.stat().st_size > 0
    start = b""
    if database.exists():
        with database.open("rb") as file:
            start = file.read(len(log.MAGIC))
    if not start:
        _refuse_lost(database, has_wal=has_wal)
    elif start != log.MAGIC:
        raise DamagedError(database, "it does not begin as a database does")
    elif not served:
        _refuse_unsound_wal(database, wal)


def _refuse_lost(database: Path, *, has_wal: bool) -> None:
    """No database, or an empty file, is a new one only where nothing else is."""
    what = "it is empty" if database.exists() else "it is missing"
    if has_wal:
        raise StaleError(database, f"{what}, and its newest changes are there ({wal_of(database).name})")
    if _has_jobs(database.parent / "jobs"):
        raise DamagedError(database, f"{what}, and jobs have run here (jobs/)", BEGIN_ANEW)


def _has_jobs(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        return any(entry.name.isdigit() for entry in found)
    return False


def _refuse_unsound_wal(database: Path, wal: Path) -> None:
    """What the last process left in SQLite's index is compared first, since to open the database writes it anew.

    What goes without an fsync (see journal.py) reaches the disk in any order: after a power cut a frame may be missing
    with others behind it. All that was confirmed is before it, and that is what SQLite reads.
    """
    shm = database.with_name(f"{database.name}-shm")
    index = log.index_of(shm)
    if index is not None and not log.has_last(wal, index):
        raise StaleError(database, f"the last of its newest changes ({wal.name}) are missing")
    if not wal.exists() or not wal.stat().st_size:
        return
    if not log.begins_well(wal):
        raise StaleError(database, f"its newest changes ({wal.name}) do not begin as they should")
    # Read-only: a connection that may write would throw the rest of the WAL away when it closes.
    db = glance(database)
    try:
        db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        valid = int.from_bytes(shm.read_bytes()[READ_FRAMES], "little")
        boot = _boot_of(db)
    finally:
        db.close()
    if not log.lost_after(wal, valid):
        return
    if boot in (None, local.boot_id()):
        raise StaleError(database, f"a part of its newest changes ({wal.name}) cannot be read")
    logger.warning("%s: the machine went down before the newest, unconfirmed changes were all on disk", wal)


def _boot_of(db: sqlite3.Connection) -> str | None:
    """None where nobody can say."""
    try:
        found = db.execute("SELECT value FROM settings WHERE name = ?", (BOOT,)).fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if found else None
