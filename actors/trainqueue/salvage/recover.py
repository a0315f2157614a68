"""`doctor --recover`: what a damaged database still holds, saved into a new one, and the damaged one kept.

Nothing is in the place of the old database before the new one is complete and checked. A death on the way leaves either
the old one, or a new one that waits for the last steps: `finish` takes them, and no daemon starts before.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from trainqueue import damage, environments, guard, older
from trainqueue.anchor import drop_wal, stamp
from trainqueue.errors import TrainqError
from trainqueue.home import Home
from trainqueue.journal import Journal, advice
from trainqueue.runner.record import sync_folder
from trainqueue.salvage import pages
from trainqueue.salvage.reconcile import Reconcile
from trainqueue.salvage.refill import Refill, is_map, loads
from trainqueue.schema import LAST_ID, MIGRATIONS, version_of
from trainqueue.search import COLUMNS, FIRST_COLUMNS

KEPT_APART = 4
"""The schema that began to keep environments in a table of their own."""
LOST_SETTINGS = "the database was recovered and its settings were lost"
REPORT = "recovery"
"""The setting that holds the last recovery's Report."""


class RecoveryError(TrainqError):
    """Nothing could be recovered, and nothing was changed."""


class Report(msgspec.Struct):
    """What `recover` has done."""

    jobs: int = 0
    events: int = 0
    kept: list[str] = []
    """The damaged files, under their new names."""
    missing: list[int] = []
    """Ids of jobs of which something is left, but not the row."""
    held: list[int] = []
    """Waiting jobs that were put on hold: their newest state may be among what was lost."""
    bare: list[int] = []
    """Jobs whose environment is lost: they have a plain one now; those that wait are held."""
    running: list[int] = []
    """Jobs whose attempt has begun: the next start adopts it, or finds out how it ended."""
    unknown: dict[int, int] = {}
    """Processes of jobs whose row is lost: id and pid."""
    paused: bool = False
    """The settings are lost, so nobody can say whether the queue was paused: now it is."""
    damaged_pages: int = 0
    broken_frames: int = 0


# -- whether it is needed


def fault_of(database: Path, *, served: bool = False) -> str | None:
    """What is wrong with the database, found by reading all of it; None for a whole one.

    `served`: by a daemon, at this moment. Raises sqlite3.Error, OSError where the disk does not let us read.
    """
    found = find_fault(database, served=served)
    return None if found is None else found.what


def find_fault(database: Path, *, served: bool = False) -> damage.DamagedError | None:
    """See `fault_of`."""
    try:
        damage.refuse_unsound(database, served=served)
        if not database.exists() or not database.stat().st_size:
            return None
        with closing(damage.glance(database)) as db:
            said = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
            what = _unreadable_row(db) if said == "ok" else said.splitlines()[-1]
            if what:
                return damage.DamagedError(database, what)
            known = 0 < version_of(db) <= len(MIGRATIONS) and not served  # by one that starts jobs at this moment
            unknown = older.begun_unknown(db, Home(database.parent)) if known else None
            return damage.StaleError(database, f"it is older than what lies in jobs/: {unknown}") if unknown else None
    except damage.DamagedError as error:
        return error
    except sqlite3.Error as error:
        if damage.is_damage(error):
            return damage.DamagedError(database, error)
        raise


def _unreadable_row(db: sqlite3.Connection) -> str | None:
    """SQLite knows no checksums: what it reads without complaint may be no row of ours."""
    if 0 < version_of(db) <= len(MIGRATIONS):  # older ones have these columns, too
        for row in db.execute(f"SELECT {FIRST_COLUMNS} FROM jobs"):
            if not loads(row):
                return f"the row of job {row[0]} is unreadable"
        for job, runner in db.execute("SELECT job, runner FROM attempts"):
            if not is_map(runner):
                return f"the row of an attempt of job {job} is unreadable"
        db.execute("SELECT name, value FROM settings").fetchall()  # as text
    return environments.fault(db) if KEPT_APART <= version_of(db) <= len(MIGRATIONS) else None


# -- recovery


def recover(home: Home) -> Report | None:
    """None where nothing is damaged.

    Raises HomeHeldError while a daemon runs; RecoveryError with nothing changed.
    """
    try:
        return _recover(home)
    except (sqlite3.Error, OSError, ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
        msg = f"cannot recover {home.database}: {error}. Nothing was changed{advice(home.path)}"
        raise RecoveryError(msg) from error


def _recover(home: Home) -> Report | None:
    with ExitStack() as held:
        held.callback(os.close, guard.take(home.lock))
        held.callback(os.close, guard.take_folder(home.path))
        ready = damage.recovered(home.database)
        if not ready.exists():
            fault = find_fault(home.database)
            if fault is None:
                return None
            build(home, ready, stale=isinstance(fault, damage.StaleError))
        finish(home, ready)
        with closing(sqlite3.connect(home.database)) as db:
            [(told,)] = db.execute("SELECT value FROM settings WHERE name=?", (REPORT,)).fetchall()
        return msgspec.json.decode(told, type=Report)


def build(home: Home, ready: Path, *, stale: bool) -> None:
    """The new database at `ready`, complete and checked.

    `stale`: changes newer than those that are left are missing.
    """
    unfinished = ready.with_suffix(".recovering")
    drop(unfinished)
    try:
        fill_and_check(home, unfinished, stale=stale)
    except BaseException:
        drop(unfinished)
        raise
    unfinished.rename(ready)


def drop(unfinished: Path) -> None:
    for path in unfinished.parent.glob(f"{unfinished.name}*"):
        path.unlink()


def fill_and_check(home: Home, unfinished: Path, *, stale: bool) -> None:
    unfinished.touch(mode=0o600)
    source = home.database if home.database.exists() else Path(os.devnull)
    report = Report()
    with closing(pages.Image(source, damage.wal_of(home.database))) as image:
        filled = fill(unfinished, image)
        report.damaged_pages, report.broken_frames = len(image.damaged), image.wal.broken
        report.paused = pause_unless_known(unfinished, image)
    Journal(unfinished).close()  # brings it to the schema of this release
    for path in home.path.glob(f"{unfinished.name}.schema-*"):
        path.unlink()
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as db:
        complete(home, db, filled, report, stale=stale)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())


def fill(path: Path, image: pages.Image) -> Refill:
    """A database of the same schema, with all rows that can be read."""
    if image.version > len(MIGRATIONS):
        msg = f"it was written by a newer trainq (schema {image.version}, this one knows {len(MIGRATIONS)})"
        raise RecoveryError(msg)
    version = image.version or len(MIGRATIONS)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(f"BEGIN; {script} COMMIT;")
        db.execute(f"PRAGMA user_version={version}")
        refill = Refill(db)
        refill.fill(image)
    return refill


def pause_unless_known(path: Path, image: pages.Image) -> bool:
    """Whether the queue was paused stands in the settings; where they are lost, in part or all, it is paused."""
    found = (row.values for number in image.damaged for row in image.rows_of(number))
    in_part = any(len(values) == 2 and all(isinstance(value, str) for value in values) for values in found)
    with closing(sqlite3.connect(path)) as db, db:
        if not in_part and db.execute("SELECT 1 FROM settings WHERE name='written_by'").fetchone():  # as by each start
            return False
        settings = {"paused": "1", "pause_reason": LOST_SETTINGS}
        db.executemany("INSERT OR REPLACE INTO settings VALUES (?,?)", settings.items())
    return True


def complete(home: Home, db: sqlite3.Connection, filled: Refill, report: Report, *, stale: bool) -> None:
    """Rows that are none go out, jobs are compared with their folders, all of it is checked, the report put into it."""
    db.execute("BEGIN")
    wrong = [row[:1] for row in db.execute(f"SELECT {COLUMNS} FROM jobs") if not loads(row)]
    db.executemany("DELETE FROM jobs WHERE id=?", wrong)
    found = {int(path.name) for path in (home.path / "jobs").iterdir() if path.name.isdigit()}
    known = filled.known | found
    saved = {row[0] for row in db.execute("SELECT id FROM jobs")}
    if not saved:
        msg = f"no job can be found in {home.database}; {damage.BEGIN_ANEW[0].lower()}{damage.BEGIN_ANEW[1:]}"
        raise RecoveryError(msg)
    reconcile = Reconcile(home, db)
    reconcile.attempts()
    report.running = sorted(reconcile.begun)
    report.bare = environments.forget_lost(db)
    report.held = reconcile.hold(saved if stale or report.broken_frames else filled.doubtful | {*report.bare})
    report.missing = sorted(known - saved)
    report.unknown = reconcile.living(report.missing)
    report.jobs = len(saved)
    report.events = db.execute("SELECT count(*) FROM events").fetchone()[0]
    last = max(known | saved | {older.newest_id(db)})
    settings = {LAST_ID: str(last), REPORT: msgspec.json.encode(report).decode()}
    db.executemany("INSERT OR REPLACE INTO settings VALUES (?,?)", settings.items())
    db.execute("COMMIT")
    said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        msg = f"what was saved is damaged as well ({said}); is the disk broken? Nothing was changed"
        raise RecoveryError(msg)


def finish(home: Home, ready: Path) -> None:
    """The old files under another name, the new one in their place; may be begun again after a death."""
    kept = home.database.with_name(f"{home.database.name}.damaged-{stamp()}")
    old = ((home.database, kept), (damage.wal_of(home.database), damage.wal_of(kept)))
    names = [str(new) for path, new in old if keep(path, new)]
    with closing(sqlite3.connect(ready, isolation_level=None)) as db:
        [(told,)] = db.execute("SELECT value FROM settings WHERE name=?", (REPORT,)).fetchall()
        told = json.dumps({**json.loads(told), "kept": names})
        db.execute("UPDATE settings SET value=? WHERE name=?", (told, REPORT))
    drop_wal(home.database)  # before the rename
    ready.rename(home.database)
    sync_folder(home.path)


def keep(path: Path, new: Path) -> bool:
    """A second name for it."""
    if not path.exists():
        return False
    new.unlink(missing_ok=True)
    os.link(path, new)
    return True
