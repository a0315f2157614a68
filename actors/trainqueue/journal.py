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
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.anchor import Anchor
from trainqueue.core.job import STATES, Job, Queued, data_of
from trainqueue.core.spec import JobSpec, title
from trainqueue.damage import DamagedError, is_damage, readable, refuse_unsound
from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from trainqueue.core.job import State, StateName

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, grp TEXT, user TEXT NOT NULL,
        submitted_at REAL NOT NULL, band INTEGER NOT NULL, rank INTEGER NOT NULL, attempt INTEGER NOT NULL,
        spec BLOB NOT NULL, detail TEXT NOT NULL,
        tags TEXT NOT NULL, progress TEXT);
    CREATE INDEX jobs_state ON jobs (state, id);
    CREATE TABLE attempts (
        job INTEGER NOT NULL, attempt INTEGER NOT NULL, runner TEXT NOT NULL, gpu_ids TEXT NOT NULL,
        PRIMARY KEY (job, attempt)) WITHOUT ROWID;
    CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE keys (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
)
ROWS = 64
"""In one statement; every number of them is prepared once and kept."""
ALIVE = "state IN ('queued', 'pending', 'running')"


class JournalError(TrainqError):
    """The database cannot be used; names the file and what is still safe. Raised at start."""


def advice(folder: Path) -> str:
    """What to do first when a disk is full."""
    full = os.path.exists(folder) and os.statvfs(folder).f_bavail == 0  # noqa: PTH110
    return "; the disk is full: make room, and start again" if full else ""


class Journal:
    """The open database; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._durable = True
        try:
            refuse_unsound(path)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=4 * ROWS)
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;")
            self._migrate()
            self._anchor = Anchor(path)
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "_db"):
                self._db.close()
            if isinstance(error, sqlite3.Error) and is_damage(error):
                raise DamagedError(path, error) from error
            msg = f"cannot open the database {path}: {error}. Nothing was changed{advice(path.parent)}."
            raise JournalError(msg) from error

    def _migrate(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0 and self._db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            msg = (
                f"{self.path} is a database of another program; it was left as it is. Move it away, or use another home"
            )
            raise JournalError(msg)
        if version > len(MIGRATIONS):
            msg = f"{self.path} was written by a newer trainq (schema {version}, this one knows {len(MIGRATIONS)})"
            raise JournalError(msg)
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def close(self) -> None:
        self._anchor.close()
        self._db.close()

    # -- writing; `begin` opens the batch, `commit` makes it durable

    def begin(self, *, durable: bool = True) -> None:
        """Unless it is open already; `durable=False` spares the fsync."""
        if self._db.in_transaction:
            return
        if durable != self._durable:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Raises sqlite3.Error when the disk refuses; the batch is then rolled back.

        Raises GoneError when nobody would find it again.
        """
        if self._db.in_transaction:
            self._stay()
            self._db.execute("COMMIT")

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
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def save(self, jobs: Iterable[Job]) -> None:
        self._insert("INSERT OR REPLACE INTO jobs", [to_row(job) for job in jobs])

    def add_events(self, rows: Sequence[tuple[int, float, str, bytes]]) -> None:
        self._insert("INSERT INTO events", rows)

    def add_keys(self, rows: Sequence[tuple[str, bytes]]) -> None:
        self._insert("INSERT OR IGNORE INTO keys", rows)

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Many rows a statement: each statement gives the interpreter lock away, and under load it comes back late."""
        for at in range(0, len(rows), ROWS):
            some = rows[at : at + ROWS]
            marks = f"({','.join('?' * len(some[0]))})"
            self._db.execute(f"{into} VALUES {','.join([marks] * len(some))}", [*chain.from_iterable(some)])

    def save_attempt(self, job: int, attempt: int, runner: dict[str, Any], gpu_ids: tuple[str, ...]) -> None:
        row = (job, attempt, json.dumps(runner), json.dumps(gpu_ids))
        self._db.execute("INSERT OR REPLACE INTO attempts VALUES (?,?,?,?)", row)

    def end_attempt(self, job: int, attempt: int) -> None:
        self._db.execute("DELETE FROM attempts WHERE job=? AND attempt=?", (job, attempt))

    def set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value))

    # -- reading

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
        return int(self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM jobs").fetchone()[0])

    @readable
    def last_seq(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])

    @readable
    def alive(self) -> Iterator[Job]:
        return iter([from_row(row) for row in self._db.execute(f"SELECT * FROM jobs WHERE {ALIVE} ORDER BY id")])

    @readable
    def attempts(self) -> list[tuple[int, int, dict[str, Any], tuple[str, ...]]]:
        rows = self._db.execute("SELECT job, attempt, runner, gpu_ids FROM attempts ORDER BY job, attempt")
        return [(job, n, json.loads(runner), tuple(json.loads(gpus))) for job, n, runner, gpus in rows]

    @readable
    def job(self, job: int) -> Job | None:
        row = self._db.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()
        return from_row(row) if row else None

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
    def ended_counts(self) -> dict[str, int]:
        return dict(self._db.execute(f"SELECT state, count(*) FROM jobs WHERE NOT {ALIVE} GROUP BY state"))

    @readable
    def stats(self) -> dict[str, float]:
        """Seconds: GPU seconds used by what has ended, waited before the start, lost. The clock may have been set."""
        used = "json_extract(detail, '$.started_at')"
        by_clock = f"max(0, json_extract(detail, '$.ended_at') - {used})"
        took = f"coalesce(json_extract(detail, '$.run_time'), {by_clock})"
        gpus = "coalesce(json_array_length(detail, '$.gpu_ids'), 0)"
        row = self._db.execute(
            f"SELECT sum({took} * {gpus}), sum(max(0, {used} - submitted_at)),"
            f" sum(CASE WHEN state = 'lost' THEN {took} * {gpus} ELSE 0 END) FROM jobs WHERE {used} IS NOT NULL"
        ).fetchone()
        names = ("gpu_seconds_used", "seconds_waited", "gpu_seconds_lost")
        return {name: value or 0.0 for name, value in zip(names, row, strict=True)}

    @readable
    def find(self, where: list[tuple[str, list[Any]]], limit: int) -> list[Job]:
        """Newest first; `where` holds SQL conditions of ours with their values."""
        clause = " AND ".join(sql for sql, _ in where) or "1"
        values = [value for _, some in where for value in some]
        query = f"SELECT * FROM jobs WHERE {clause} ORDER BY id DESC LIMIT ?"
        return [from_row(row) for row in self._db.execute(query, [*values, limit])]

    @readable
    def events_after(self, seq: int, limit: int) -> list[bytes]:
        rows = self._db.execute("SELECT body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [row[0] for row in rows]


_spec_encoder = msgspec.msgpack.Encoder()
_spec_decoder: msgspec.msgpack.Decoder[JobSpec] = msgspec.msgpack.Decoder(JobSpec)
_json = json.JSONEncoder(separators=(",", ":")).encode


def to_row(job: Job) -> tuple[Any, ...]:
    state = job.state
    if isinstance(state, Queued) and not job.retried and not job.met:
        detail = '{"held":true}' if state.held else "{}"
    else:
        detail = _json({**data_of(state), "retried": job.retried, "met": [*job.met]})
    spec = _spec_encoder.encode(job.spec)
    place = (job.band, job.rank, job.attempt)
    return (
        job.id,
        state.name,
        title(job.spec),
        job.spec.group,
        job.user,
        job.submitted_at,
        *place,
        spec,
        detail,
        _json(job.spec.tags) if job.spec.tags else "{}",
        None if job.progress is None else _json(job.progress),
    )


def from_row(row: tuple[Any, ...]) -> Job:
    job_id, state, _, _, user, submitted_at, band, rank, attempt, spec, detail, _, progress = row
    fields = json.loads(detail)
    retried, met = fields.pop("retried", {}), frozenset[int](fields.pop("met", ()))
    if "gpu_ids" in fields:
        fields["gpu_ids"] = tuple(fields["gpu_ids"])
    made: State = STATES[state](**fields)
    job = Job(
        job_id, _spec_decoder.decode(spec), user, submitted_at, band, rank, attempt, made, retried=retried, met=met
    )
    job.progress = json.loads(progress) if progress else None
    return job
