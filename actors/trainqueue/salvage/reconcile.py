"""Saved rows may be older than what has happened since: the jobs' folders know better what was started.

What has a claim or a record in its folder gets an attempt's row, so that the next start looks at it: it adopts a runner
that lives, and takes the record of one that has ended. Nothing is started twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue.damage import BOOT
from trainqueue.launch import local, verdict
from trainqueue.launch.processes import look
from trainqueue.schema import ALIVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from trainqueue.home import Home
    from trainqueue.launch.processes import Process

RUNNER = b"trainqueue/runner"
"""In the command line of a runner."""


class Reconcile:
    """Works in the open transaction of a recovery."""

    def __init__(self, home: Home, db: sqlite3.Connection) -> None:
        self.home, self.db = home, db
        self.begun: set[int] = set()

    def attempts(self) -> None:
        rows = self.db.execute(f"SELECT id, attempt FROM jobs WHERE {ALIVE}").fetchall()
        noted = self.db.execute("SELECT value FROM settings WHERE name=?", (BOOT,)).fetchone()
        served = noted[0] if noted else local.boot_id()
        for job, written in rows:
            attempt = max([written, *self._numbers(job)])
            if attempt > written:
                self.db.execute("UPDATE jobs SET attempt=? WHERE id=?", (attempt, job))
            folder = self.home.attempt(job, attempt)
            if not began(folder):
                continue
            self.begun.add(job)
            row = (job, attempt, json.dumps(identity(folder, served)), json.dumps(verdict.gpus_in(folder)))
            self.db.execute("INSERT OR IGNORE INTO attempts VALUES (?,?,?,?)", row)

    def _numbers(self, job: int) -> list[int]:
        folders = self.home.job(job).glob("attempt-*")
        return [int(number) for path in folders if (number := path.name.partition("-")[2]).isdigit()]

    def hold(self, jobs: Iterable[int]) -> list[int]:
        """Those among `jobs` that wait and have not begun: they may have been cancelled, so a person decides."""
        chosen = {*jobs} - self.begun
        held: list[int] = []
        for job, detail in self.db.execute("SELECT id, detail FROM jobs WHERE state='queued'").fetchall():
            fields = json.loads(detail)
            if job in chosen and not fields.get("held"):
                fields["held"] = True
                self.db.execute("UPDATE jobs SET detail=? WHERE id=?", (json.dumps(fields), job))
                held.append(job)
        return held

    def living(self, jobs: Iterable[int]) -> dict[int, int]:
        """The pids of those whose row is lost and whose process lives."""
        found: dict[int, int] = {}
        for job in jobs:
            for number in self._numbers(job):
                folder = self.home.attempt(job, number)
                words = verdict.started_in(folder)
                if "pid" in words and runner_of(words) and verdict.record_in(folder) is None:
                    found[job] = words["pid"]
        return found


def began(folder: Path) -> bool:
    """Whether a runner has made its claim here."""
    claim = folder / "claim"
    return (folder / "exit").exists() or (claim.exists() and not claim.is_symlink())


def identity(folder: Path, served: str) -> dict[str, Any]:
    """Of the attempt's runner where it lives; one that nobody is where it has gone.

    `served` is the boot under which a daemon last served this home, and so that of a runner which has gone.
    A process is known by its start in ticks since boot: the wall clock may have been set since.
    """
    runner = runner_of(verdict.started_in(folder))
    if runner is None:
        return {"pid": 0, "ticks": 0, "boot_id": served}
    return {"pid": runner.pid, "ticks": runner.ticks, "boot_id": local.boot_id()}


def runner_of(words: dict[str, Any]) -> Process | None:
    """The living runner that has written these words into its claim."""
    named = words.get("runner")
    if named is None:  # by an older release: the parent of its job
        job = living(words)
        found = None if job is None else look(job.parent)
    else:
        found = living(named)
    return found if found is not None and is_runner(found.pid) else None


def living(words: dict[str, Any]) -> Process | None:
    """The process of this pid, when it is still the one that started at these ticks."""
    found = look(words["pid"]) if "pid" in words else None
    return found if found is not None and found.ticks == words.get("ticks") else None


def is_runner(pid: int) -> bool:
    try:
        return RUNNER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
