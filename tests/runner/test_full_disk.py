"""A job that fills the disk of the home: that is its own trouble, and when there is space again all goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import Daemon, small_disk, wait_until

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILL = ["sh", "-c", "head -c 500M /dev/zero | tr '\\0' x; test -e gate || exit 5"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with small_disk(tmp_path / "disk", "24m") as disk:
        yield Home(disk / "home")


@pytest.fixture(params=[0, 4 * 2**20])
def daemon(home: Home, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """Without a cap for logs, and with one."""
    made = Daemon(home)
    (tmp_path / "trainq.toml").write_text(f"[logs]\nmax_bytes = {request.param}\n")
    made.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    made.start()
    yield made
    made.kill()


def test_a_job_that_fills_the_disk(home: Home, daemon: Daemon, tmp_path: Path) -> None:
    """With a cap the space comes back by itself when the job has ended."""
    cap = "= 0" not in (tmp_path / "trainq.toml").read_text()
    with Client(home) as client:
        jobs = [{"command": FILL, "cwd": str(tmp_path)}, {"command": ["sh", "-c", "echo here; exit 6"], "cwd": "/"}]
        filler, behind = (made["id"] for made in client.submit(jobs))
        record = home.attempt(filler, 1) / "exit"
        if not cap:
            assert client.wait([filler], 20)[0].exit_code == 5
            home.log_of(filler, 1).write_bytes(b"")
        ended = client.wait([filler, behind], 20)
        assert [job.exit_code for job in ended] == [5, 6]
        wait_until(record.exists)
        assert client.log(behind)["data"] == b"here\n"
        assert not cap or b"of this log were cut here" in client.log(filler, limit=2**20)["data"]
    assert daemon.stop() == 0
