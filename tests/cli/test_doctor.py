"""What `doctor` finds, and what it says is to be done; and the recovery, on a home with real daemons and jobs."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from house import gated
from support import Daemon, small_disk, wait_until

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from pathlib import Path

CHECKS = {
    "settings",
    "home",
    "database",
    "log",
    "disk",
    "clock",
    "daemon",
    "jobs",
    "socket",
    "files",
    "session",
    "gpu",
    "memory",
}


class Findings:
    """One look, by check."""

    def __init__(self, cli: Cli) -> None:
        done = cli("doctor", "--json")
        self.code = done.returncode
        self.rows = {row["check"]: row for row in json.loads(done.stdout)}

    def __getitem__(self, check: str) -> tuple[str, str, str]:
        row = self.rows[check]
        return row["result"], row["what"], row["advice"]


def test_where_all_is_well(cli: Cli) -> None:
    found = Findings(cli)
    assert {name: row for name, row in found.rows.items() if row["result"] != "ok"} == {}
    assert found.rows.keys() == CHECKS
    assert found.code == 0


def test_it_speaks_in_sentences(cli: Cli, daemon: Daemon) -> None:
    assert daemon.stop() == 0
    said = cli("doctor")
    assert said.returncode == 0, "a warning is no problem"
    assert "warning  daemon    none runs" in said.stdout
    assert "-> a submit starts one, or: trainq-cli daemon start" in said.stdout
    assert max(map(len, cli.on_a_terminal("doctor").splitlines())) > 80, "what to do is not cut"


def test_bad_settings(cli: Cli, tmp_path: Path) -> None:
    cli.env |= {"TRAINQ_CONFIG": str(tmp_path / "none.toml"), "TRAINQ_HOME": str(tmp_path / "new")}
    found = Findings(cli)
    assert found["settings"][0] == "problem"
    assert found["daemon"][0] == "problem"
    assert "start one" not in found["daemon"][2]
    assert found.code == 1


def test_a_home_that_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cli.env["TRAINQ_HOME"] = str(tmp_path / "file")
    assert Findings(cli)["home"][0] == "problem"


def test_a_home_that_is_open_to_others(cli: Cli, daemon: Daemon) -> None:
    daemon.home.path.chmod(0o755)
    result, _, advice = Findings(cli)["home"]
    assert (result, advice) == ("warning", f"chmod 700 {daemon.home.path}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_a_file_of_somebody_else(cli: Cli, daemon: Daemon) -> None:
    os.chown(daemon.home.log, 12345, 12345)
    result, what, advice = Findings(cli)["home"]
    assert (result, "chown" in advice) == ("problem", True)
    assert str(daemon.home.log) in what


def test_a_clock_that_went_back(cli: Cli, daemon: Daemon) -> None:
    os.utime(daemon.home.log, (4e9, 4e9))
    assert Findings(cli)["clock"][0] == "problem"


def test_a_job_that_ended_in_the_future(cli: Cli, daemon: Daemon) -> None:
    assert cli("run", "--", "true").returncode == 0
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.home.database)) as db, db:
        db.execute("UPDATE jobs SET detail = json_set(detail, '$.ended_at', 4e9)")
    assert Findings(cli)["clock"][0] == "problem"


def test_a_daemon_that_was_stopped_by_a_signal(cli: Cli, daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        result, what, advice = Findings(cli)["daemon"]
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert (result, advice) == ("problem", f"kill -CONT {daemon.process.pid}")
    assert "stopped" in what


def test_a_removed_socket_and_a_removed_log(cli: Cli, daemon: Daemon) -> None:
    daemon.home.socket("trainqd.sock").unlink()
    daemon.home.log.unlink()
    found = Findings(cli)
    assert daemon.process is not None
    result, what, advice = found["daemon"]
    assert (result, "removed its socket" in what) == ("problem", True)
    assert advice.startswith(f"kill {daemon.process.pid}")
    assert found["log"][0] == "warning"
    assert daemon.stop() == 0
    assert daemon.home.log.exists(), "it was made anew"


def test_a_daemon_of_another_release(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    from trainqueue.cli import checks

    monkeypatch.setattr(checks, "__version__", "999")
    found = checks.daemon(home, startable=True)
    assert (found.result, "trainq-cli 999" in found.what) == ("warning", True)
    assert cli("doctor").returncode == 0


def test_a_low_limit_of_open_files(cli: Cli, daemon: Daemon) -> None:
    assert daemon.process is not None
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (512, 512))
    assert Findings(cli)["files"][:2] == (
        "warning",
        "the daemon may open only 512 files: some hundred clients and no more",
    )


def test_jobs_run_on_without_a_daemon(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    with Client(daemon.home) as client:
        job = client.submit([{"command": gated(tmp_path / "gate"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
    assert daemon.stop() == 0
    assert Findings(cli)["jobs"][:2] == ("ok", "1 run on without a daemon; the next one adopts them")
    (tmp_path / "gate").touch()
    daemon.start()
    with Client(daemon.home) as client:
        client.wait([job], 20)


def test_a_process_of_a_job_that_has_ended(cli: Cli, daemon: Daemon) -> None:
    """As an older release, or somebody who attaches to a job's environment, may leave one."""
    import subprocess

    assert cli("run", "--", "true").returncode == 0
    marked = {**os.environ, "TRAINQ_JOB_DIR": str(daemon.home.job(1))}
    with subprocess.Popen(["sleep", "100"], env=marked) as left:
        wait_until(
            lambda: (
                Findings(cli)["jobs"]
                == ("warning", f"processes of jobs that have ended still live: {left.pid} (job 1)", f"kill {left.pid}")
            )
        )
        left.kill()


def test_a_full_and_a_read_only_disk(tmp_path: Path) -> None:
    import subprocess

    with small_disk(tmp_path / "small", "3m") as folder:
        home = Home(folder / "home")
        home.prepare()
        cli = Cli(Daemon(home))
        assert "new jobs are refused" in Findings(cli)["disk"][1]
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        found = Findings(cli)
        assert found["disk"][:2] == ("problem", f"{home.path} is read-only")
        assert found.code == 1


# -- a damaged database


def damage(home: Home) -> None:
    """The first page: without it SQLite sees no database."""
    with home.database.open("r+b") as file:
        file.write(os.urandom(4096))


def test_a_damaged_database_is_recovered(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    """Nothing is lost; the job that ran all the time is adopted, and runs once."""
    with Client(daemon.home) as client:
        done = client.submit([{"command": ["sh", "-c", "exit 7"], "cwd": "/"}])[0]["id"]
        client.wait([done], 20)
        script = f"echo once >> {tmp_path}/runs; while [ ! -e {tmp_path}/gate ]; do sleep 0.01; done; exit 5"
        runs = client.submit([{"command": ["sh", "-c", script], "cwd": "/"}])[0]["id"]
        waits = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
        wait_until((tmp_path / "runs").exists)
        wait_until(lambda: client.status(runs).state == "running")
    assert cli("doctor", "--recover").returncode == 3, "a daemon serves it"
    assert daemon.stop() == 0
    assert cli("doctor", "--recover").stdout == f"{daemon.home.database} is whole; nothing was changed\n"
    damage(daemon.home)
    refused = cli("submit", "--", "true")
    assert refused.returncode == 3
    assert "trainq-cli doctor --recover" in refused.stderr
    found = Findings(cli)
    assert (found["database"][0], found["daemon"][0], found.code) == ("problem", "problem", 1)
    assert "doctor --recover" in found["database"][2]
    saved = cli("doctor", "--recover")
    assert saved.returncode == 0
    assert "saved 3 jobs" in saved.stdout
    assert f"kept the damaged {daemon.home.database}.damaged-" in saved.stdout
    daemon.start()
    with Client(daemon.home) as client:
        assert client.status(done).exit_code == 7
        assert client.status(runs).state == "running"
        (tmp_path / "gate").touch()
        assert [job.state for job in client.wait([runs, waits], 20)] == ["failed", "completed"]
        assert client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"] == waits + 1
    assert (tmp_path / "runs").read_text(encoding="ascii") == "once\n"
    assert Findings(cli)["database"][0] == "ok"


def test_a_runner_whose_row_is_lost_is_found_again(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    """The attempts' page is gone; the job's folder and its process say who runs it."""
    with Client(daemon.home) as client:
        job = client.submit([{"command": gated(tmp_path / "gate", "exit 6"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.home.database)) as db:
        [(root,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name='attempts'").fetchall()
    with daemon.home.database.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(os.urandom(4096))
    assert f"begun: {job};" in cli("doctor", "--recover").stdout
    daemon.start()
    with Client(daemon.home) as client:
        assert client.status(job).state == "running"
        (tmp_path / "gate").touch()
        assert client.wait([job], 20)[0].exit_code == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("PRAGMA user_version=99", "newer trainq"),
        ("PRAGMA user_version=0", "another program"),
        ("PRAGMA user_version=-1", "another program"),
    ],
)
def test_a_database_that_is_not_ours(cli: Cli, daemon: Daemon, change: str, words: str) -> None:
    """No daemon can start, doctor says so, and neither leaves a trace."""
    wait_until(daemon.home.reserve.exists)
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.home.database)) as db, db:
        db.execute(change)
    before = contents(daemon.home)
    refused = cli("daemon", "start")
    assert refused.returncode != 0
    assert words in refused.stderr
    found = Findings(cli)
    result, what, advice = found["database"]
    assert (result, words in what, "use another home" in advice) == ("problem", True, True)
    assert (found["daemon"][0], found.code) == ("problem", 1)
    assert contents(daemon.home) == before


def contents(home: Home) -> dict[str, bytes]:
    files = [path for path in home.path.iterdir() if path.is_file() and path not in (home.log, home.lock)]
    return {path.name: path.read_bytes() for path in files}


def test_pretended_gpus_that_nobody_can_read(cli: Cli, daemon: Daemon) -> None:
    assert daemon.stop() == 0
    cli.env["TRAINQ_FAKE_GPUS"] = "lots"
    found = Findings(cli)
    assert found["gpu"][0] == found["daemon"][0] == "problem"
    assert found.code == 1


NO_TEXT, NO_JSON = "CAST(x'ff' AS TEXT)", "'{'"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("jobs SET detail", NO_JSON),
        ("jobs SET user", NO_TEXT),
        ("attempts SET runner", NO_JSON),
        ("settings SET value", NO_TEXT),
        ("jobs SET progress", NO_JSON),
        pytest.param("jobs SET detail", NO_TEXT, marks=pytest.mark.soak),
        pytest.param("jobs SET user", NO_JSON, marks=pytest.mark.soak),
        pytest.param("attempts SET runner", NO_TEXT, marks=pytest.mark.soak),
        pytest.param("settings SET value", NO_JSON, marks=pytest.mark.soak),
        pytest.param("jobs SET progress", NO_TEXT, marks=pytest.mark.soak),
    ],
)
def test_words_that_nobody_can_read(cli: Cli, daemon: Daemon, tmp_path: Path, where: str, value: str) -> None:
    """A start that they end says which file it is about, and what to do."""
    with Client(daemon.home) as client:
        job = client.submit([{"command": gated(tmp_path / "gate"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
        client.submit([{"command": ["true"], "cwd": "/", "hold": True}])
    assert daemon.stop() == 0
    (tmp_path / "gate").touch()
    with closing(sqlite3.connect(daemon.home.database)) as db, db:
        one = "id=1" if "jobs" in where else "true"
        db.execute(f"UPDATE {where} = {value} WHERE {one}")
    start = cli("daemon", "start")
    if start.returncode:
        assert f"{daemon.home.database} is damaged" in start.stderr
        assert "trainq-cli doctor --recover" in start.stderr
        assert Findings(cli)["database"][0] == "problem"
        assert cli("doctor", "--recover").returncode == 0
        assert cli("daemon", "start").returncode == 0
    assert cli("daemon", "stop").returncode == 0
