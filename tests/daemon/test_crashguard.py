"""The crash guard from outside: by the settings, over a kill, until somebody resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home


def test_it_pauses_says_why_and_stays_paused(home: Home, tmp_path: Path) -> None:
    settings = tmp_path / "trainq.toml"
    settings.write_text("[queue]\ncrash_guard_jobs = 2\n", encoding="utf-8")
    daemon = Daemon(home)
    daemon.env["TRAINQ_CONFIG"] = str(settings)
    daemon.start()
    with Client(home) as client:
        jobs = client.submit([{"command": ["/no/such/program"], "cwd": "/"}] * 2 + [{"command": ["true"], "cwd": "/"}])
        wait_until(lambda: client.queue()["paused"])
    daemon.kill()
    daemon.start()
    with Client(home) as client:
        found = client.queue()
        assert found["paused"]
        assert found["pause_reason"].startswith("2 attempts in a row (the last of jobs 1, 2) failed within 10 s")
        assert client.status(jobs[2]["id"]).why_code == "paused"
        client.call("resume")
        assert client.wait([jobs[2]["id"]], 20)[0].state == "completed"
    assert daemon.stop() == 0


def test_it_counts_on_after_a_kill(home: Home, tmp_path: Path) -> None:
    settings = tmp_path / "trainq.toml"
    settings.write_text("[queue]\ncrash_guard_jobs = 3\n", encoding="utf-8")
    daemon = Daemon(home)
    daemon.env["TRAINQ_CONFIG"] = str(settings)
    fails = {"command": ["/no/such/program"], "cwd": "/"}
    for jobs in (2, 1):
        daemon.start()
        with Client(home) as client:
            assert not client.queue()["paused"]
            client.wait([job["id"] for job in client.submit([fails] * jobs)], 20)
            found = client.queue()
        daemon.kill()
    assert found["pause_reason"].startswith("3 attempts in a row (the last of jobs 1, 2, 3) failed within 10 s")
