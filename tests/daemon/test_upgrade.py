"""Homes of older releases, homes of newer ones, and a package that is replaced while jobs run."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from house import gated, job, rows
from support import ACTORS, Daemon, wait_until

from trainqueue.client import Client
from trainqueue.journal import Journal
from trainqueue.launch import local
from trainqueue.launch.nursery import Nursery, known
from trainqueue.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
EACH = pytest.mark.parametrize("old", range(1, len(MIGRATIONS)), indirect=True, ids=lambda schema: f"schema-{schema}")
STATES = ["completed", "failed", "failed", "cancelled", "lost", "queued", "queued", "queued", "queued"]


@pytest.fixture
def old(home: Home, request: pytest.FixtureRequest) -> Home:
    """As `tests/fixtures/make_home.py` has left it: paused, nine jobs. Of the first schema, or that of `param`."""
    home.path.mkdir(mode=0o700)
    with tarfile.open(FIXTURES / f"home-0.1-schema-{getattr(request, 'param', 1)}.tar.xz") as tar:
        tar.extractall(home.path, filter="data")
    return home


@pytest.fixture
def upgraded(old: Home) -> Iterator[Daemon]:
    daemon = Daemon(old)
    daemon.start()
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.stop()


@EACH
def test_all_of_an_older_home_is_there(upgraded: Daemon) -> None:
    with Client(upgraded.home) as client:
        jobs, _ = client.jobs()
        assert [job.state for job in reversed(jobs)] == STATES
        assert [found.id for found in client.jobs(group="g")[0]] == [3, 1]
        assert [found.id for found in client.jobs(tag={"set": "a"})[0]] == [2, 1]
        assert [found.id for found in client.jobs(name="waits", tag={"set": "b"})[0]] == [6]
        assert client.submit([job()], key="first") == [{"id": 1, "state": "pending", "position": None}]
        first = client.status(1)
        assert first.progress is not None
        assert first.progress["metrics"] == {"loss": 0.5}
        logs = [client.log(3, attempt=attempt)["data"] for attempt in (1, 2)]
        assert logs == [b"try 1\n", b"try 2\n"]
        assert [event["seq"] for event in client.events(0)["events"]][:29] == [*range(1, 30)]
        took = sum((found.ended_at or 0) - (found.started_at or 0) for found in jobs if found.started_at)
        stats = client.call("stats")
    assert stats["counts"] == {"completed": 1, "failed": 2, "cancelled": 1, "lost": 1, "queued": 4}
    assert stats["gpu_seconds_used"] == pytest.approx(took, abs=0.01)
    assert 0 < stats["gpu_seconds_lost"] < stats["gpu_seconds_used"]


@EACH
def test_what_waited_in_an_older_home_runs(upgraded: Daemon) -> None:
    with Client(upgraded.home) as client:
        client.call("resume")
        ended = client.wait([6, 8, 9], 20)
        assert [found.state for found in ended] == ["completed"] * 3
        assert client.status(7).why_code == "held"
        client.call("retry", jobs=[4])
        client.cancel([4])
        assert client.wait([4], 20)[0].attempt == 2
        assert client.submit([job()])[0]["id"] == 10


def test_the_older_database_is_kept_beside_it(old: Home) -> None:
    before = rows(old, "SELECT * FROM jobs ORDER BY id")
    Journal(old.database).close()
    with sqlite3.connect(old.path / "trainq.db.schema-1") as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT * FROM jobs ORDER BY id").fetchall() == before
    kept.close()
    assert (old.path / "trainq.db.schema-1").stat().st_mode & 0o777 == 0o600


DIES = """
import os, signal, sqlite3, sys
from pathlib import Path
from trainqueue import schema
path = Path(sys.argv[1])
db = sqlite3.connect(path, isolation_level=None)
db.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
db.execute("PRAGMA cache_size = 10")  # so that much of it lies in the file already
schema.MIGRATIONS = (schema.FIRST, schema.HISTORY + "SELECT die();")
schema.migrate(db, path)
"""


def test_a_migration_that_is_killed_leaves_the_older_schema(old: Home) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
    rows(old, f"{many} INSERT INTO jobs SELECT i, state, name, grp, user, submitted_at, band, rank, attempt, spec,"
         " detail, tags, progress FROM n, jobs WHERE id = 2")  # fmt: skip
    before = rows(old, "SELECT * FROM jobs ORDER BY id")
    env = {**os.environ, "PYTHONPATH": str(ACTORS)}
    ended = subprocess.run([sys.executable, "-c", DIES, old.database], env=env, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert rows(old, "PRAGMA user_version") == [(1,)]
    assert rows(old, "SELECT * FROM jobs ORDER BY id") == before
    journal = Journal(old.database)
    assert journal.ended_counts() == {"completed": 1, "failed": 4903, "cancelled": 1, "lost": 1}
    journal.close()


def test_a_newer_home_is_refused_and_left_alone(old: Home) -> None:
    rows(old, "INSERT INTO settings VALUES ('written_by', '7.5.0')")
    rows(old, "PRAGMA user_version = 99")
    before = hashlib.sha256(old.database.read_bytes()).digest()
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(old.path)]
    env = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_CONFIG": ""}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    for words in (str(old.database), "newer trainq (version 7.5.0, schema 99)", "install that version or a later"):
        assert words in ended.stderr
    assert "Nothing was changed" in ended.stderr
    assert hashlib.sha256(old.database.read_bytes()).digest() == before


def test_each_home_says_which_release_it_takes(home: Home) -> None:
    home.prepare()
    Journal(home.database).close()
    ((writer,),) = rows(home, "SELECT value FROM settings WHERE name = 'written_by'")
    assert writer[0].isdigit()
    assert rows(home, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_package_replaced_under_running_jobs_disturbs_nobody(home: Home, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    shutil.copytree(ACTORS / "trainqueue", installed / "trainqueue")
    daemon = Daemon(home)
    daemon.env["PYTHONPATH"] = str(installed)
    daemon.start()
    gates = [tmp_path / f"gate{number}" for number in (1, 2, 3)]
    with Client(home) as client:
        jobs = [client.submit([job(*gated(gate, "exit 5"))])[0]["id"] for gate in gates]
        wait_until(lambda: client.status(jobs[0]).state == "running")
        shutil.rmtree(installed)
        (installed / "trainqueue").mkdir(parents=True)
        (installed / "trainqueue" / "__init__.py").write_text("raise SystemExit('a package of another kind')\n")
        gates[0].touch()
        assert client.wait([jobs[0]], 20)[0].exit_code == 5
        gates[1].touch()  # by now a runner was needed that the old package had not forked before
        assert client.wait([jobs[1]], 20)[0].exit_code == 5
        for op in ("queue", "stats", "gpus", "jobs"):
            client.call(op)
        wait = client.status(jobs[2])
        assert wait.state in {"pending", "running"}
    assert daemon.stop() == 0
    daemon.env["PYTHONPATH"] = str(ACTORS)
    daemon.start()
    with Client(home) as client:
        gates[2].touch()
        ended = client.wait([jobs[2]], 20)[0]
    assert (ended.exit_code, ended.attempt, ended.started_at is not None) == (5, 1, True)
    assert daemon.stop() == 0


def test_a_runner_of_another_version_is_sent_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(local.RUNNER, tmp_path / "runner")
    script = tmp_path / "runner" / "__main__.py"
    script.write_text(script.read_text(encoding="utf-8").replace("PROTOCOL = 1", "PROTOCOL = 2"), encoding="utf-8")
    monkeypatch.setattr(local, "RUNNER", str(tmp_path / "runner"))
    nursery = Nursery()
    with pytest.raises(OSError, match="replaced by another version: restart the daemon"):
        known(nursery.order())
    nursery.close()


def test_the_command_line_shows_an_older_home(upgraded: Daemon) -> None:
    cli = Cli(upgraded)
    assert cli("history").returncode == 0
    assert cli("logs", "1").stdout == "one\n"
