"""What a real daemon expects: in every answer, from earlier runs that outlive it, and while the queue goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

LONG = 4000
"""Waiting jobs: more than are forecast while somebody waits."""


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    made = Daemon(home)
    made.env["TRAINQ_FAKE_GPUS"] = "1x24GiB"
    made.start()
    yield made
    with Client(home) as client:
        client.pause()
        client.cancel([job["id"] for job in client.queue()["running"]], force=True)
    made.stop()


def test_what_is_expected_is_told_everywhere_and_known_from_runs_before_a_restart(daemon: Daemon) -> None:
    short, sweep = [{"command": ["sh", "-c", f"sleep {some}"], "cwd": "/"} for some in (0.2, 30)]
    with Client(daemon.home) as client:
        client.wait([client.submit([short])[0]["id"]], 20)
        first = client.submit([{**sweep, "time_limit": 60.0}])[0]["id"]
        wait_until(lambda: client.status(first).state == "running")
        before = time.time()
        ids = [job["id"] for job in client.submit([short, {**short, "hold": True}, {**sweep, "gpus": 0}, short])]
        job, line = client.status(ids[0]), client.call("line")
        queue = {one["id"]: one for one in client.queue()["queued"]}
        started = client.status(first).started_at
        assert started is not None
        assert job.expected_start_at is not None
        assert before < job.expected_start_at <= started + 61
        assert job.expected_start_range is not None
        earliest, latest = job.expected_start_range
        assert earliest is not None
        assert latest is not None
        assert before < earliest <= job.expected_start_at <= latest
        assert job.expected_gpu_ids == ("GPU-fake-0",)
        assert line["jobs"][:2] == [ids[0], ids[3]]
        for name in ("expected_start_at", "expected_end_at", "expected_gpu_ids", "expected_start_range"):
            assert len(line[name]) == len(line["jobs"])
            column = dict(zip(line["jobs"], line[name], strict=True))
            assert column[ids[1]] is None  # held
            assert queue[ids[0]][name] is not None
        assert queue[ids[3]]["expected_start_at"] == pytest.approx(queue[ids[0]]["expected_end_at"], abs=0.2)
        running = client.status(first)
        assert running.expected_start_at is None
        assert running.expected_end_at == pytest.approx(job.expected_start_at, abs=0.5)
        assert client.status(1).expected_end_at is None
        daemon.kill()
    daemon.start()
    with Client(daemon.home) as client:
        again = client.status(ids[3])
        assert again.expected_start_at == pytest.approx(queue[ids[3]]["expected_start_at"], abs=6.0)
        client.pause()
        assert client.status(ids[3]).expected_start_at is None
        client.resume()
        ranks = client.submit([{**short, "name": str(at)} for at in range(LONG)])
        last = ranks[-1]["id"]
        wait_until(lambda: client.status(last).expected_start_at is not None)  # made meanwhile
        asked = time.monotonic()
        assert client.ping()["server"] == "trainqd"
        assert time.monotonic() - asked < 5
        assert (client.status(last).expected_start_at or 0) > time.time() + 0.15 * LONG
        new = [job["id"] for job in ranks]
        line = client.call("line")  # a long one, made in steps
        assert line["jobs"][-1] == ids[1]  # held
        assert [job for job in line["jobs"] if job in {*new}] == new
        assert {len(line[name]) for name in ("jobs", "expected_start_at", "expected_gpu_ids")} == {len(line["jobs"])}
        assert line["expected_start_at"][-2] is not None
