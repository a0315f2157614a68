"""Saved rows may be older than what has happened since: the jobs' folders know better what was started.

What has a claim or a record in its folder gets an attempt's row, so that the next start looks at it: it adopts a runner
that lives, and takes the record of one that has ended. Nothing is started twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue.launch import local, verdict
from trainqueue.schema import ALIVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from trainqueue.home import Home

RUNNER = b"trainqueue/runner"
"""In the command line of a runner."""


class Reconcile:
    """Works in the open transaction of a recovery."""

    def __init__(self, home: Home, db: sqlite3.Connection) -> None:
        self.home, self.db = home, db
        self.begun: set[int] = set()

    def attempts(self) -> None:
        rows = self.db.execute(f"SELECT id, attempt FROM jobs WHERE {ALIVE}").fetchall()
        for job, written in rows:
            attempt = max([written, *self._numbers(job)])
            if attempt > written:
                self.db.execute("UPDATE jobs SET attempt=? WHERE id=?", (attempt, job))
            folder = self.home.attempt(job, attempt)
            if not began(folder):
                continue
            self.begun.add(job)
            row = (job, attempt, json.dumps(identity(folder)), json.dumps(verdict.gpus_in(folder)))
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
                pid = verdict.started_in(folder).get("pid")
                if pid and runner_of(pid) and verdict.record_in(folder) is None:
                    found[job] = pid
        return found


def began(folder: Path) -> bool:
    """Whether a runner has made its claim here."""
    claim = folder / "claim"
    return (folder / "exit").exists() or (claim.exists() and not claim.is_symlink())


def identity(folder: Path) -> dict[str, Any]:
    """Of the runner, found through its job; one that nobody is where it has gone."""
    words = verdict.started_in(folder)
    runner = runner_of(words["pid"]) if words.get("pid") else None
    boot = local.boot_id() if float(words.get("at") or 0) >= booted_at() else ""
    return {"pid": runner or 0, "ticks": local.start_ticks(runner) if runner else 0, "boot_id": boot}


def runner_of(pid: int) -> int | None:
    """The parent of a job's process, when it is a runner."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        parent = int(stat.rpartition(b")")[2].split()[1])
        command = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return None
    return parent if RUNNER in command else None


def booted_at() -> float:
    with Path("/proc/stat").open(encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("btime"))
