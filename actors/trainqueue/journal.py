"""What must survive: jobs, attempts, numbered events and answered keys, in one SQLite file.

WAL with synchronous=FULL: what `commit` returned from is on disk. A batch that promises nothing to anybody (the news
of starts and ends) goes without the fsync: it survives every death of the daemon, and after a power cut the exit
records, which the runners fsync, tell the same again. Written by the arbiter alone, one transaction per batch; ended
jobs are read from here and never kept in memory.
"""

from __future__ import annotations

import json
import os
import sqlite3
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trainqueue import older, prune, search
from trainqueue.ages import Ages
from trainqueue.anchor import Anchor
from trainqueue.chunks import chunks
from trainqueue.damage import DamagedError, StaleError, decoding, is_damage, readable, reason, refuse_unsound
from trainqueue.environments import Environments
from trainqueue.errors import TrainqError
from trainqueue.jobrow import from_row, spec_of, to_row
from trainqueue.launch import local
from trainqueue.past import Earlier, sure
from trainqueue.schema import ALIVE, NotOursError, migrate, refuse_others

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from trainqueue.core.job import Job, StateName
    from trainqueue.home import Home
    from trainqueue.settings import HistorySettings
    from trainqueue.wire import Jobs

ROWS = 64
"""In one statement; every number of them is prepared once and kept."""
OPENING, SERVING = 5000, 20
"""Milliseconds to wait for a foreign lock. Everybody waits with the arbiter, which tries again every second anyway."""
KEPT = f"{search.COLUMNS}, run_key, ended, gpu_seconds, waited, log_bytes, snapshot"
SAVE = f"INSERT INTO jobs ({KEPT})"
AGAIN = f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in KEPT.split(', ')[1:])}"
"""An update and no REPLACE, whose deletes the triggers would not see."""
READ = f"SELECT {search.COLUMNS} FROM jobs"


class JournalError(TrainqError):
    """The database cannot be used; names the file and what is still safe. Raised at start."""


def advice(folder: Path) -> str:
    """What to do first when a disk is full."""
    full = os.path.exists(folder) and os.statvfs(folder).f_bavail == 0  # noqa: PTH110
    return "; the disk is full: make room, and start again" if full else ""


def unusable(path: Path, error: Exception) -> TrainqError:
    if isinstance(error, sqlite3.Error) and is_damage(error):
        return DamagedError(path, error)
    why = reason(error, path)
    return JournalError(f"cannot open the database {path}: {why}. Nothing was changed{advice(path.parent)}.")


class Totals(NamedTuple):
    """Running totals of some ended jobs."""

    jobs: int
    gpu_seconds: float
    waited: float
    log_bytes: int


class Journal:
    """The open database; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._durable = True
        try:
            refuse_unsound(path)
            refuse_others(path)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=4 * ROWS)
        except (sqlite3.Error, OSError, NotOursError) as error:
            raise unusable(path, error) from error
        try:
            self._db.executescript(f"PRAGMA busy_timeout={OPENING}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            migrate(self._db, path)
            self.ages = Ages(self.setting("ages"), local.boot_id())
            self._anchor = Anchor(path)
            self.environments = Environments(self._db)
            self._db.execute(f"PRAGMA busy_timeout={SERVING}")
        except JournalError:
            self._db.close()
            raise
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise unusable(path, error) from error

    def close(self) -> None:
        self._anchor.close()
        self._db.close()

    # -- writing; `begin` opens the batch, `commit` makes it durable

    def begin(self, *, durable: bool = True) -> bool:
        """Unless it is open already, which False tells; `durable=False` spares the fsync."""
        if self._db.in_transaction:
            return False
        if durable != self._durable:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._db.execute("BEGIN IMMEDIATE")
        return True

    def commit(self) -> None:
        """Raises sqlite3.Error when the disk refuses; the batch is then rolled back.

        Raises GoneError when nobody would find it again.
        """
        if self._db.in_transaction:
            self._stay()
            self._db.execute("COMMIT")
            self.environments.written()

    def signs(self) -> int:
        """A descriptor that is readable when `look` should be called; -1 where there is none."""
        return self._anchor.signs

    def look(self) -> None:
        """Raises GoneError when our files are not in the home any more, with all saved that was confirmed."""
        self._anchor.take_signs()
        self._stay()

    def _stay(self) -> None:
        if not self._anchor.holds():
            self.rollback()
            raise self._anchor.rescue(self._db)

    def rollback(self) -> None:
        self.environments.undone()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def save(self, jobs: Collection[Job]) -> None:
        now = self.ages.now()
        with_env = zip(jobs, self.environments.save(jobs), strict=True)
        self._insert(SAVE, [to_row(job, env, now) for job, env in with_env], AGAIN)

    def add_events(self, rows: Sequence[tuple[int, float, str, bytes]]) -> None:
        self._insert("INSERT INTO events", rows)

    def add_keys(self, rows: Sequence[tuple[str, bytes]]) -> None:
        now = self.ages.now()
        self._insert("INSERT OR IGNORE INTO keys", [(*row, now) for row in rows])

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]], end: str = "") -> None:
        """Many rows a statement: each statement gives the interpreter lock away, and under load it comes back late."""
        for some in chunks(rows, ROWS):
            marks = f"({','.join('?' * len(some[0]))})"
            self._db.execute(f"{into} VALUES {','.join([marks] * len(some))}{end}", [*chain.from_iterable(some)])

    def save_attempt(self, job: int, attempt: int, runner: dict[str, Any], gpu_ids: tuple[str, ...]) -> None:
        row = (job, attempt, json.dumps(runner), json.dumps(gpu_ids))
        self._db.execute("INSERT OR REPLACE INTO attempts VALUES (?,?,?,?)", row)

    def end_attempt(self, job: int, attempt: int) -> None:
        self._db.execute("DELETE FROM attempts WHERE job=? AND attempt=?", (job, attempt))

    def set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value))

    def plan(self, limits: HistorySettings) -> prune.Plan:
        """What one step of retention would remove. Raises sqlite3.Error."""
        return prune.plan(self._db, limits, self.ages.now())

    def tidy(self, plan: prune.Plan, measured: Sequence[tuple[int, int, int]], removed: Sequence[int]) -> prune.Work:
        """One step of retention, a transaction of its own. Raises sqlite3.Error, nothing changed."""
        assert not self._db.in_transaction
        try:
            self.begin(durable=plan.removes_files)  # the record must say so before the files go
            prune.write(self._db, plan, measured, removed)
            if plan.records:
                self.environments.remove_unused()
            self.set("ages", self.ages.text())
            self.commit()
        except sqlite3.Error:
            self.rollback()
            raise
        return prune.work(self._db, plan, more=plan.full or bool(measured))

    def rubbish(self, behind: int) -> list[tuple[int, int | None]]:
        """See prune.py. Raises sqlite3.Error."""
        return prune.rubbish(self._db, behind, prune.JOBS)

    # -- reading

    def uses(self, snapshot: str) -> bool:
        """Whether a job runs in it. Raises sqlite3.Error."""
        return bool(self._db.execute("SELECT 1 FROM jobs WHERE snapshot=? LIMIT 1", (snapshot,)).fetchone())

    @readable
    def setting(self, name: str, default: str = "") -> str:
        row = self._db.execute("SELECT value FROM settings WHERE name=?", (name,)).fetchone()
        return str(row[0]) if row else default

    @readable
    def answer_to(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT answer FROM keys WHERE key=?", (key,)).fetchone()
        return row[0] if row else None

    @readable
    def next_id(self) -> int:
        """Behind all that were ever given, those that retention has removed among them."""
        with decoding(self.path):
            return 1 + older.newest_id(self._db)

    @readable
    def refuse_older(self, home: Home) -> None:
        """Raises StaleError when jobs have begun of which nothing is written here; OSError."""
        found = older.begun_unknown(self._db, home)
        if found is not None:
            raise StaleError(self.path, f"it is older than what lies in jobs/: {found}")

    @readable
    def first_seq(self) -> int:
        """Of the oldest event kept; 1 while there is none."""
        return int(self._db.execute("SELECT coalesce(min(seq), 1) FROM events").fetchone()[0])

    @readable
    def last_seq(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])

    @readable
    def alive(self) -> Iterator[Job]:
        return iter(self._jobs(f"{READ} WHERE {ALIVE} ORDER BY id"))

    @readable
    def attempts(self) -> list[tuple[int, int, dict[str, Any], tuple[str, ...]]]:
        rows = self._db.execute("SELECT job, attempt, runner, gpu_ids FROM attempts ORDER BY job, attempt")
        with decoding(self.path):
            return [(job, n, json.loads(runner), tuple(json.loads(gpus))) for job, n, runner, gpus in rows]

    @readable
    def job(self, job: int) -> Job | None:
        found = self._jobs(f"{READ} WHERE id=?", (job,))
        return found[0] if found else None

    def _jobs(self, sql: str, given: Sequence[Any] = ()) -> list[Job]:
        rows = self._db.execute(sql, given).fetchall()
        with decoding(self.path):
            return [self._job(row) for row in rows]

    def _job(self, row: tuple[Any, ...]) -> Job:
        """With the environment that other jobs have as well. Raises what is no row of ours as `decoding` wants it."""
        job, digest = from_row(row), row[-1]
        if digest is not None:
            msgspec.structs.force_setattr(job.spec, "env", self.environments.load(digest))
        elif job.spec.env is not None:
            self.environments.share([job.spec])
        return job

    @readable
    def states_of(self, jobs: Iterable[int]) -> dict[int, StateName]:
        """The states of those among `jobs` that have ended."""
        found: dict[int, StateName] = {}
        for job in jobs:
            row = self._db.execute(f"SELECT state FROM jobs WHERE id=? AND NOT {ALIVE}", (job,)).fetchone()
            if row:
                found[job] = row[0]
        return found

    @readable
    def group_end(self, group: str, without: int | None, below: int = 2**62) -> tuple[int, StateName] | None:
        """An ended job of the group but this one, with its state: one that has not completed, if there is one.

        Only of those with ids `below` this.
        """
        for state in ("failed", "lost", "cancelled", "completed"):
            of_group = "SELECT id, state FROM jobs WHERE grp=? AND state=? AND id IS NOT ? AND id<? LIMIT 1"
            row = self._db.execute(of_group, (group, state, without, below)).fetchone()
            if row:
                return row[0], row[1]
        return None

    @readable
    def ended_counts(self) -> dict[str, int]:
        return {state: found.jobs for state, found in self.totals().items() if found.jobs and state != "removed"}

    @readable
    def totals(self) -> dict[str, Totals]:
        """Of the ended jobs of each state, and of the `removed` ones; kept by triggers, so nothing is counted here."""
        rows = self._db.execute("SELECT state, jobs, gpu_seconds, waited, log_bytes FROM totals")
        return {row[0]: Totals(*row[1:]) for row in rows}

    @readable
    def find(self, wanted: Jobs, limit: int) -> list[Job]:
        """Newest first, at most `limit`."""
        return self._jobs(*search.query(wanted, limit))

    @readable
    def runs(self, key: int, limit: int) -> list[tuple[float | None, int | None]]:
        """(run time, peak memory where it is sure) of the last completed runs with this key, the newest first."""
        of_key = "SELECT detail, peak_memory FROM jobs WHERE run_key=? ORDER BY ended DESC LIMIT ?"
        rows = self._db.execute(of_key, (key, limit)).fetchall()
        with decoding(self.path):
            found = [(json.loads(detail), peak) for detail, peak in rows]
            return [(detail.get("run_time"), sure(peak, detail.get("samples", 0))) for detail, peak in found]

    @readable
    def ended(self, before: tuple[float, int], limit: int) -> list[Earlier]:
        """Those that ended before then, the last one first."""
        with decoding(self.path):
            return [
                Earlier((at, job), state, spec_of(spec), json.loads(detail).get("run_time"))
                for at, job, state, spec, detail in self._db.execute(search.ENDED_BEFORE, (*before, limit))
            ]

    @readable
    def events_after(self, seq: int, limit: int) -> list[bytes]:
        rows = self._db.execute("SELECT body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [row[0] for row in rows]
