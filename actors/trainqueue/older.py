"""Whether the database is older than what lies in jobs/: a copy that was put back, or its newest changes are lost.

Nothing starts before its attempt's row is on disk, so a job that has begun and is not known to have is proof. Served
even so, it would be run a second time. Looks at the jobs that live, and at the next ids behind the newest one: there
may be a million folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.launch import verdict
from trainqueue.schema import ALIVE, LAST_ID

if TYPE_CHECKING:
    import sqlite3

    from trainqueue.home import Home


def begun_unknown(db: sqlite3.Connection, home: Home) -> str | None:
    """Which job has begun without the database's knowledge, for people. Raises sqlite3.Error, OSError."""
    rows = {(int(job), int(number)) for job, number in db.execute("SELECT job, attempt FROM attempts")}
    for job, attempt in db.execute(f"SELECT id, attempt FROM jobs WHERE {ALIVE} ORDER BY id"):
        if not home.job(job).exists():
            continue
        for number in (attempt, attempt + 1):
            if (job, number) not in rows and _began(home, job, number):
                return f"attempt {number} of job {job} has begun, and it does not say so"
    newest = newest_id(db)
    for job in range(newest + 1, home.next_unused(newest + 1)):
        if _began(home, job, 1):
            return f"job {job} has begun, and the newest that it knows is {newest}"
    return None


def newest_id(db: sqlite3.Connection) -> int:
    """That was ever given, as far as the database knows. Raises sqlite3.Error."""
    [(newest,)] = db.execute("SELECT coalesce(max(id), 0) FROM jobs").fetchall()
    given = db.execute("SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?", (LAST_ID,)).fetchone()
    return max(int(newest), int(given[0]) if given else 0)


def _began(home: Home, job: int, number: int) -> bool:
    """Its runner has said so, or written how it ended; a claim without words is of nothing that was started."""
    folder = home.attempt(job, number)
    return bool(verdict.started_in(folder)) or verdict.record_in(folder) is not None
