"""What retention takes from the journal, one small step at a time: SQL only, in the arbiter's thread.

Only ended jobs are touched. What others waited for is settled when it ends (`met`), so no waiting job misses a
record. Files go after the commit that says so, by the janitor, who works off the table `rubbish`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from trainqueue.ages import DAY
from trainqueue.schema import LAST_ID

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from trainqueue.settings import HistorySettings

JOBS, ROWS = 100, 2000
"""Jobs, and events or keys, that one step takes at most: a few milliseconds."""
LINGER = 300.0
"""Seconds for which an ended job is left alone in any case: whoever waits for it or follows its log sees the end."""
ENDS = "SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events)"
"""Apart: for both at once SQLite would read the whole table."""


@dataclass(slots=True)
class Plan:
    """What one step removes; `full` when there may be more."""

    records: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """(id, state)"""
    logs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(id, the newest attempt)"""
    events_to: int = 0
    keys: list[str] = field(default_factory=list[str])
    full: bool = False

    @property
    def removes_files(self) -> bool:
        return bool(self.records or self.logs)


@dataclass(slots=True)
class Work:
    """What is to be done with files: (id, attempt), None for the whole folder; and the ended jobs that are no more."""

    measure: list[tuple[int, int]]
    remove: list[tuple[int, int | None]]
    forgotten: dict[str, int]
    more: bool


def plan(db: sqlite3.Connection, limits: HistorySettings, now: float) -> Plan:
    """`now` by the clock of ages.py."""
    made = Plan()
    made.records = old_records(db, limits, now)
    gone = {job for job, _ in made.records}
    made.logs = [(job, attempt) for job, attempt in excess_logs(db, limits.max_log_bytes, now) if job not in gone]
    made.events_to = old_events(db, limits.max_events)
    oldest = "SELECT key FROM keys WHERE at < ? ORDER BY at LIMIT ?"
    made.keys = [row[0] for row in db.execute(oldest, (now - limits.key_days * DAY, ROWS))]
    made.full = bool(made.records or made.logs or made.events_to or made.keys)
    return made


def old_records(db: sqlite3.Connection, limits: HistorySettings, now: float) -> list[tuple[int, str]]:
    """Too many or too old; those that ended first, first."""
    excess = 0
    if limits.max_jobs:
        count = db.execute("SELECT sum(jobs) FROM totals WHERE state <> 'removed'").fetchone()[0]
        excess = count - limits.max_jobs
    cutoff = now - limits.max_age_days * DAY if limits.max_age_days else float("-inf")
    oldest = "SELECT id, state, ended FROM jobs WHERE ended < ? ORDER BY ended, id LIMIT ?"
    found = enumerate(db.execute(oldest, (now - LINGER, JOBS)))
    return [row[:2] for _, row in takewhile(lambda at: at[0] < excess or at[1][2] < cutoff, found)]


def excess_logs(db: sqlite3.Connection, most: int, now: float) -> list[tuple[int, int]]:
    """Of the jobs that ended first, until the others' logs are small enough; not of the one that ended last."""
    excess = db.execute("SELECT sum(log_bytes) FROM totals").fetchone()[0] - most
    if not most or excess <= 0:
        return []
    newest = db.execute("SELECT id FROM jobs WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT 1").fetchone()
    found: list[tuple[int, int]] = []
    oldest = "SELECT id, attempt, log_bytes FROM jobs WHERE log_bytes > 0 AND ended < ? ORDER BY ended, id LIMIT ?"
    for job, attempt, size in db.execute(oldest, (now - LINGER, JOBS)):
        if excess <= 0 or (job,) == newest:
            break
        found.append((job, attempt))
        excess -= size
    return found


def old_events(db: sqlite3.Connection, most: int) -> int:
    """Up to which event they go; 0: none."""
    first, last = db.execute(ENDS).fetchone()
    if first is None or last - first < most:
        return 0
    return int(min(first + ROWS - 1, last - most))


def write(db: sqlite3.Connection, plan: Plan, measured: Sequence[tuple[int, int, int]], removed: Sequence[int]) -> None:
    """Also what the janitor has done since: `measured` (id, attempt, bytes), `removed` ids. Raises sqlite3.Error."""
    given_up = "log_bytes = 0, detail = json_set(detail, '$.removed', json_array(?, attempt))"
    many: list[tuple[str, Sequence[tuple[Any, ...]]]] = [
        (
            "UPDATE jobs SET log_bytes = ? WHERE id = ? AND attempt = ? AND ended IS NOT NULL",
            [(size, job, attempt) for job, attempt, size in measured],
        ),
        ("DELETE FROM rubbish WHERE job = ?", [(job,) for job in removed]),
        ("DELETE FROM keys WHERE key = ?", [(key,) for key in plan.keys]),
        ("INSERT OR REPLACE INTO rubbish VALUES (?, ?)", plan.logs),
        (
            f"UPDATE jobs SET {given_up} WHERE id = ?",
            [(time.time(), job) for job, _ in plan.logs],
        ),
    ]
    if plan.records:
        keep_last_id(db)
        ids = [(job,) for job, _ in plan.records]
        many += [("INSERT OR REPLACE INTO rubbish VALUES (?, NULL)", ids), ("DELETE FROM jobs WHERE id = ?", ids)]
    for sql, rows in many:
        if rows:
            db.executemany(sql, rows)
    if plan.events_to:
        db.execute("DELETE FROM events WHERE seq <= ?", (plan.events_to,))


def keep_last_id(db: sqlite3.Connection) -> None:
    """Ids are never given twice, also when the newest job's record goes."""
    db.execute(
        "INSERT INTO settings SELECT ?, max(id) FROM jobs WHERE true"
        " ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
        (LAST_ID,),
    )


def work(db: sqlite3.Connection, done: Plan, *, more: bool) -> Work:
    """After the step: what the janitor has to do now."""
    forgotten: dict[str, int] = {}
    for _, state in done.records:
        forgotten[state] = forgotten.get(state, 0) + 1
    unmeasured = "SELECT id, attempt FROM jobs WHERE ended IS NOT NULL AND log_bytes IS NULL ORDER BY id LIMIT ?"
    return Work(
        measure=db.execute(unmeasured, (JOBS,)).fetchall(),
        remove=rubbish(db),
        forgotten=forgotten,
        more=more,
    )


def rubbish(db: sqlite3.Connection, behind: int = 0, most: int = -1) -> list[tuple[int, int | None]]:
    """What has been given up and may still be there, of jobs with higher ids than `behind`.

    Without `most` all of it: what cannot be removed stays among it, and must not bar the rest.
    """
    return db.execute("SELECT job, attempt FROM rubbish WHERE job > ? ORDER BY job LIMIT ?", (behind, most)).fetchall()
