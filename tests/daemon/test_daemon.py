"""trainqd as a process: one per home, its folder, its end, and homes that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")


def trainqd(daemon: Daemon, *options: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home or daemon.home.path), *options]
    return subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=20, check=False)


def test_a_second_daemon_says_who_holds_the_home(daemon: Daemon) -> None:
    assert daemon.process is not None
    second = trainqd(daemon)
    assert second.returncode == 3
    assert f"process {daemon.process.pid}" in second.stderr
    assert daemon.answers()


def test_the_home_is_private(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.home.path.stat().st_mode) == 0o700
    for name in ("trainqd.sock", "events.sock"):
        assert stat.S_IMODE((daemon.home.path / name).stat().st_mode) == 0o600


def test_sigterm_leaves_running_jobs_running(daemon: Daemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Client(daemon.home) as client:
        command = ["sh", "-c", f"until [ -e {gate} ]; do sleep 0.02; done; exit 5"]
        job = client.submit([{"command": command, "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
    assert daemon.stop() == 0
    assert not daemon.home.endpoint_file.exists()
    gate.touch()
    daemon.start()
    with Client(daemon.home) as client:
        assert client.wait([job], 10)[0].exit_code == 5


def test_only_the_main_thread_takes_the_signals_that_end_it(daemon: Daemon) -> None:
    """One that another thread takes does not wake the main thread, which waits for a lock."""
    assert daemon.process is not None
    pid, ending = daemon.process.pid, 1 << (signal.SIGTERM - 1) | 1 << (signal.SIGINT - 1)
    blocked: dict[int, bool] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text(encoding="utf-8")
        mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:"))
        blocked[int(task.name)] = mask & ending == ending
    assert {task for task, yes in blocked.items() if not yes} == {pid}


def test_a_removed_endpoint_file_does_no_harm(daemon: Daemon) -> None:
    daemon.home.endpoint_file.unlink()
    with Client(daemon.home) as client:
        assert client.ping()["home"] == str(daemon.home.path)


def test_sighup_is_ignored(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    with Client(daemon.home) as client:
        assert client.submit([{"command": ["true"], "cwd": "/"}])
        assert client.ping()["pid"] == daemon.process.pid


def test_a_stale_socket_and_endpoint_do_no_harm(home: Home) -> None:
    home.prepare()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home.socket("trainqd.sock")))
    home.endpoint_file.write_text("ipc:///nowhere\n", encoding="utf-8")
    daemon = Daemon(home)
    daemon.start()
    assert daemon.stop() == 0


def test_a_home_path_of_two_hundred_characters(tmp_path: Path) -> None:
    daemon = Daemon(Home(tmp_path / ("x" * 200)))
    daemon.start()
    with Client(daemon.home) as client:
        job = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
        assert client.wait([job], 10)[0].state == "completed"
    assert daemon.stop() == 0


def test_a_file_in_the_place_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = trainqd(Daemon(Home(tmp_path)), home=tmp_path / "file")
    assert refused.returncode == 1
    assert "cannot use the home folder" in refused.stderr
    assert "Traceback" not in refused.stderr


@ROOT
def test_a_read_only_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused = trainqd(Daemon(Home(tmp_path)), home=tmp_path / "home")
    tmp_path.chmod(0o700)
    assert refused.returncode == 1
    assert "cannot use the home folder" in refused.stderr


def test_a_damaged_database_is_named_and_kept(home: Home) -> None:
    home.prepare()
    home.database.write_bytes(b"this is no database" * 1000)
    before = home.database.read_bytes()
    refused = trainqd(Daemon(home))
    assert refused.returncode == 1
    assert str(home.database) in refused.stderr
    assert home.database.read_bytes() == before


def test_a_newer_database_is_refused(daemon: Daemon) -> None:
    import sqlite3

    assert daemon.stop() == 0
    db = sqlite3.connect(daemon.home.database)
    db.execute("PRAGMA user_version = 999")
    db.close()
    refused = trainqd(daemon)
    assert refused.returncode == 1
    assert "newer trainq" in refused.stderr


def test_bad_settings_name_the_field(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[queue]\ndefault_grce = 3\n", encoding="utf-8")
    refused = trainqd(daemon, "--config", str(tmp_path / "bad.toml"))
    assert refused.returncode == 2
    assert "did you mean 'default_grace'" in refused.stderr


def test_the_lock_file_names_its_holder(daemon: Daemon) -> None:
    assert daemon.process is not None
    assert json.loads(daemon.home.lock.read_bytes())["pid"] == daemon.process.pid


def test_a_full_disk_refuses_submits_and_heals(daemon: Daemon) -> None:
    """RLIMIT_FSIZE stands for the full disk: every file of the daemon stops growing."""
    import resource

    assert daemon.process is not None
    job = {"command": ["true", "x" * 100_000], "cwd": "/"}
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    with Client(daemon.home, timeout=3) as client:
        made: list[int] = []
        wait_until(lambda: refused(client, job, made), 20)
        assert all(client.status(one).id == one for one in made)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert {one.state for one in client.wait(made, 20)} == {"completed"}
        wait_until(lambda: not refused(client, job, made), 10)


def refused(client: Client, job: Mapping[str, object], made: list[int]) -> bool:
    """Whether a submit is refused, or unanswered since it cannot be made durable."""
    from trainqueue.errors import NotAnsweringError, RequestError

    try:
        made += [each["id"] for each in client.submit([dict(job)], key=f"key-{len(made)}")]
    except RequestError as error:
        assert error.code == "unavailable"  # noqa: PT017
        return True
    except NotAnsweringError:
        return True
    return False
