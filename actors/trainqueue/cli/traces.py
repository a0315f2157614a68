"""What `doctor` reads from the journal and from /proc, with no daemon's help."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue import guard
from trainqueue.damage import glance, refuse_unsound
from trainqueue.errors import TrainqError
from trainqueue.launch import local
from trainqueue.schema import ALIVE

if TYPE_CHECKING:
    from trainqueue.home import Home


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    """None where the database cannot be read: that has its own finding.

    SQLite would throw the WAL of an empty one away, whatever it is opened for.
    """
    if not home.database.exists():
        return []
    try:
        refuse_unsound(home.database, served=guard.is_held(home.lock))
        with closing(glance(home.database)) as db:
            return db.execute(query).fetchall()
    except (sqlite3.Error, OSError, TrainqError):
        return []


def newest(home: Home) -> list[dict[str, Any]]:
    """What the states of the newest jobs carry."""
    found: list[dict[str, Any]] = []
    for (detail,) in rows(home, "SELECT detail FROM jobs ORDER BY id DESC LIMIT 1000"):
        try:
            found.append(dict(json.loads(detail)))
        except (ValueError, TypeError):
            continue
    return found


def running(home: Home) -> int:
    """Attempts whose runner lives."""
    boot, count = local.boot_id(), 0
    query = "SELECT runner FROM attempts JOIN jobs ON id = job WHERE state IN ('pending', 'running')"
    for (identity,) in rows(home, query):
        try:
            runner = local.find(json.loads(identity), boot)
        except (ValueError, KeyError, TypeError):
            continue
        if runner is not None:
            count += 1
            runner.close()
    return count


def of_ended(home: Home) -> list[tuple[int, int]]:
    """(job, pid) of the processes that bear the mark of a job of this home which has ended."""
    marked = [(job, int(entry)) for entry in os.listdir("/proc") if entry.isdigit() and (job := job_of(home, entry))]  # noqa: PTH208
    ended = {row[0] for row in rows(home, f"SELECT id FROM jobs WHERE id IN ({ids(marked)}) AND NOT {ALIVE}")}
    return sorted((job, pid) for job, pid in marked if job in ended and job_of(home, str(pid)) == job)


def ids(marked: list[tuple[int, int]]) -> str:
    return ",".join(str(job) for job, _ in marked)


def job_of(home: Home, pid: str) -> int | None:
    """By the mark that each job finds in its environment; a daemon that was started from within one does not count."""
    prefix = b"TRAINQ_JOB_DIR=" + os.fsencode(home.path / "jobs") + b"/"
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    named = next((word[len(prefix) :] for word in words if word.startswith(prefix)), b"")
    return int(named) if named.isdigit() else None
