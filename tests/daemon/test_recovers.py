"""A real trainqd and a death at a bad moment, or a date in a far year."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import zmq
from house import gated, rows
from support import Daemon, packed, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home


def test_a_job_for_the_day_after_tomorrow(home: Home) -> None:
    daemon = Daemon(home)
    daemon.start()
    with Client(home) as client:
        jobs = [{"command": ["true"], "cwd": "/", "not_before": at} for at in (time.time() + 60 * 86400, 1e11)]
        waiting = [each["id"] for each in client.submit(jobs)]
        done = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
        assert client.wait([done], 10)[0].state == "completed"
    daemon.kill()
    daemon.start()
    with Client(home) as client:
        assert [client.status(job).why_code for job in waiting] == ["not-before"] * 2
        done = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
        assert client.wait([done], 10)[0].state == "completed"
    assert daemon.stop() == 0


def test_daemon_and_runner_killed(home: Home, tmp_path: Path) -> None:
    """The child that has left its session dies before the next job starts."""
    daemon, lock = Daemon(home), tmp_path / "lock"
    daemon.start()
    child = f"exec 9>{lock}; flock 9; touch {tmp_path}/held; exec sleep 1000"
    with Client(home) as client:
        lost = client.submit([{"command": ["sh", "-c", f"setsid sh -c '{child}' & sleep 1000"], "cwd": "/"}])[0]["id"]
        follows = f"exec 9>{lock}; flock -n 9 || exit 9"
        behind = client.submit([{"command": ["sh", "-c", follows], "cwd": "/"}])[0]["id"]
        wait_until((tmp_path / "held").exists)
        wait_until(lambda: client.status(lost).state == "running")
    daemon.kill()
    [(runner,)] = rows(home, f"SELECT runner FROM attempts WHERE job={lost}")
    os.kill(json.loads(runner)["pid"], signal.SIGKILL)
    daemon.start()
    with Client(home) as client:
        ended = client.wait([lost, behind], 10)
        assert [(job.state, job.cause) for job in ended] == [("lost", "runner-died"), ("completed", None)]
    assert daemon.stop() == 0


def test_a_drain_goes_on_over_a_death(home: Home, tmp_path: Path) -> None:
    daemon = Daemon(home)
    daemon.start()
    with Client(home) as client:
        running = client.submit([{"command": gated(tmp_path / "gate"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(running).state == "running")
        client.call("drain")
    daemon.kill()
    daemon.start()
    (tmp_path / "gate").touch()
    assert daemon.process is not None
    assert daemon.process.wait(10) == 0
    daemon.start()
    with Client(home) as client:
        assert client.queue()["draining"] is False
        assert client.status(running).state == "completed"
    assert daemon.stop() == 0


def test_a_stranger_does_not_end_the_daemon(home: Home) -> None:
    daemon = Daemon(home)
    daemon.start()
    assert daemon.process is not None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stranger = context.socket(zmq.DEALER)
    stranger.connect(home.endpoint_file.read_text(encoding="utf-8").strip())
    stranger.send_multipart([b"no delimiter", packed({"op": "ping"})])
    lives = True
    for _ in range(20):
        lives = lives and daemon.process.poll() is None and answers(home)
    context.destroy(0)
    code = daemon.stop() if lives else daemon.process.wait(20)
    assert code == 0


def answers(home: Home) -> bool:
    try:
        with Client(home, timeout=2) as client:
            return bool(client.ping()["pid"])
    except Exception:  # noqa: BLE001  (any sort of no)
        return False
