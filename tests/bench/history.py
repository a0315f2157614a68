"""A daemon whose journal holds a million ended jobs, beside one with none: start, memory, pages, figures.

`python tests/bench/all.py history [JOBS]` builds the journal in a temporary folder (some 600 MB, about a minute), from
schema 1, so that the migration is measured, too. The daemon is a process of its own; pages are measured on the wire.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from bench.idle import resident
from bench.shared import Row, connected, end, environment, exchange, request, show, timed, until

from trainqueue import guard
from trainqueue.client import Client
from trainqueue.core.spec import JobSpec
from trainqueue.errors import TrainqError
from trainqueue.home import Home
from trainqueue.schema import FIRST, migrate

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

JOBS, RUNS = 1_000_000, 9
MOST_START, MOST_MEMORY, MOST_PAGE = 1.5, 1.2, 20.0
ENDED = ("completed", "failed", "cancelled", "lost")
PAGES: dict[str, dict[str, Any]] = {
    "newest": {},
    "from the middle": {"before": 50_000},
    "by a rare state": {"states": ["lost"]},
    "by name (1,000 of it)": {"name": "train 7"},
    "by name (half of all)": {"name": "train"},
    "by tag (half of all)": {"tag": {"set": "a"}},
    "by tag (1 in 5,000)": {"tag": {"seed": "77"}},
    "by group (half of all)": {"group": "g"},
    "by group, failed only": {"group": "g", "states": ["failed"]},
    "by a name that nobody has": {"name": "none"},
}


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Ended jobs as schema 1 has them."""
    now = time.time() - 2 * count
    env = {"PATH": os.defpath, "HOME": "/home/ann", "LANG": "C.UTF-8"}
    for at in range(1, count + 1):
        name = "train" if at % 2 else f"train {at // 2 % 500}"
        tags = {"set": "a"} if at % 2 else {"seed": str(at // 2 % 2500)}
        group = "g" if at % 2 else None
        state = "lost" if at % 1000 == 0 else "failed" if at % 10 == 0 else "completed"
        spec = JobSpec(command=("python", "train.py", str(at)), cwd="/", env=env, name=name, tags=tags, group=group)
        detail: dict[str, Any] = {"ended_at": now + 2 * at + 1, "started_at": now + 2 * at, "gpu_ids": ["cpu:0"]}
        if state != "completed":
            detail |= {"cause": "exit" if state == "failed" else "reboot", "message": ""}
        place = (0, at << 32, 1)
        packed = msgspec.msgpack.encode(spec)
        yield (
            *(at, state, name, group, "ann", now + at, *place, packed),
            *(json.dumps(detail | {"retried": {}, "met": []}), json.dumps(tags), None),
        )


def build(path: Path, count: int) -> None:
    """A journal of schema 1, as an older release would have left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; BEGIN; {FIRST} PRAGMA user_version=1;")
        db.executemany(f"INSERT INTO jobs VALUES ({','.join('?' * 13)})", rows(count))
        db.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?)", ((at, 0.0, f"job.{at}", b"\x80") for at in range(1, 100_001))
        )
        db.execute("COMMIT")


def upgrade(path: Path) -> tuple[float, float]:
    """Seconds of the migration, and of its copy; the logs count as measured, since there are none."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        seconds = timed(lambda: migrate(db, path))
        db.execute("UPDATE jobs SET log_bytes = 0")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return seconds, path.stat().st_size / 1e6


@contextlib.contextmanager
def daemon(home: Path) -> Generator[tuple[int, float], None, None]:
    """Its pid, and the seconds from its start to the first answered ping."""
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home)]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment(home), stdin=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or answers(home))
        yield process.pid, time.perf_counter() - began
    finally:
        end(process, home)


def answers(home: Path) -> bool:
    if not (home / "endpoint").exists() or not guard.is_held(Home(home).lock):
        return False
    with Client(str(home), timeout=5) as client, contextlib.suppress(TrainqError):
        return bool(client.ping())
    return False


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def look(home: Path) -> dict[str, float]:
    """Milliseconds of each page and of `stats`; `start` in seconds (of several), `memory` in MB after all of it."""
    found: dict[str, float] = {}
    starts: list[float] = []
    for _ in range(3):  # the first compiles, and reads from the disk
        with daemon(home) as (_, start):
            starts.append(start)
    found["start"] = median(starts)
    with daemon(home) as (pid, _), connected((home / "endpoint").read_text(encoding="utf-8").strip()) as socket:
        asked = {name: request("jobs", **{"states": ENDED, **fields}) for name, fields in PAGES.items()}
        asked["stats"] = request("stats")
        for name, message in asked.items():
            found[name] = median([1000 * timed(lambda: exchange(socket, message)) for _ in range(RUNS)])  # noqa: B023
        found["memory"] = resident(pid)
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory(prefix="trainq-bench-") as folder:
        full, empty = Path(folder, "full"), Path(folder, "empty")
        for home in (full, empty):
            (home / "jobs").mkdir(parents=True, mode=0o700)
            home.chmod(0o700)
        built = timed(lambda: build(full / "trainq.db", count))
        migrated, size = upgrade(full / "trainq.db")
        without, found = look(empty), look(full)
    result = [
        Row("start to the first answered ping", found["start"], "s", MOST_START, without["start"]),
        Row("memory", found["memory"], "MB", MOST_MEMORY * without["memory"], without["memory"]),
        *(Row(f"history, {name}", found[name], "ms", MOST_PAGE, without[name]) for name in PAGES),
        Row("stats", found["stats"], "ms", MOST_PAGE, without["stats"]),
        Row("migration from schema 1, with a copy", migrated, "s"),
    ]
    notes = (f"{count:,} ended jobs in {size:,.0f} MB, built in {built:.0f} s; pages of 100",)
    show("history", "the same with an empty journal", result, *notes)


if __name__ == "__main__":
    main()
