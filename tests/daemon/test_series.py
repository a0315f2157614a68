"""The op `series`, with a real daemon: over its death, retries, and whatever lies in the job's folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from house import gated
from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home


def says(home: Home, job: int, **facts: object) -> None:
    """What the job would do."""
    path = home.progress_of(job)
    beside = path.with_name("beside")
    beside.write_text(json.dumps(facts), encoding="utf-8")
    beside.replace(path)


def values(client: Client, job: int, metric: str, attempt: int | None = None) -> list[float | None]:
    return [value for _, _, value in client.series(job, attempt).get(metric, [])]


def refused(client: Client, job: int, attempt: int | None = None) -> tuple[str, str]:
    with pytest.raises(RequestError) as refusal:
        client.series(job, attempt)
    return refusal.value.code, str(refusal.value)


def test_series_outlive_the_daemon_and_each_attempt_has_its_own(home: Home, tmp_path: Path) -> None:
    daemon = Daemon(home)
    daemon.start()
    with Client(home) as client:
        first, again = tmp_path / "first", tmp_path / "again"
        script = f"if [ $TRAINQ_ATTEMPT = 1 ]; then {gated(first, 'exit 3')[-1]}; else {gated(again, 'true')[-1]}; fi"
        client.submit([{"command": ["sh", "-c", script], "cwd": "/", "retries": {"exit": 1}}])
        client.submit([{"command": ["true"], "cwd": "/", "hold": True}])
        wait_until(lambda: client.status(1).state == "running")
        assert client.call("series", job=1) == {"attempt": 1, "series": {}}
        says(home, 1, step=1, total=4, loss=0.9)
        wait_until(lambda: values(client, 1, "loss") == [0.9])
        daemon.kill()
        daemon.start()
        says(home, 1, step=2, total=4, loss=0.7, note="no number")
        wait_until(lambda: (client.status(1).progress or {}).get("step") == 2)
        first.touch()
        wait_until(lambda: client.status(1).attempt == 2 and client.status(1).state == "running")
        wait_until(lambda: values(client, 1, "loss", 1)[-1] == 0.7)
        told = client.call("series", job=1, attempt=1)["series"]
        assert told.keys() == {"fraction", "loss"}
        assert [(step, value) for _, step, value in told["loss"]][:: len(told["loss"]) - 1] == [(1, 0.9), (2, 0.7)]
        assert values(client, 1, "fraction", 1)[-1] == 0.5
        assert client.call("series", job=1) == {"attempt": 2, "series": {}}
        says(home, 1, step=4, total=4)
        again.touch()
        assert client.wait([1], 20)[0].state == "completed"
        wait_until(lambda: values(client, 1, "fraction") == [1.0])

        assert client.call("series", job=2) == {"attempt": 1, "series": {}}
        assert refused(client, 3) == ("not-found", "there is no job 3")
        assert refused(client, 1, 3) == ("not-found", "$.attempt: job 1 has had 2 attempts, not 3")
        (home.job(1) / "series.2.json").write_text("{", encoding="ascii")
        assert client.series(1) == {}
        (home.job(1) / "series.1.json").unlink()
        assert client.series(1, 1) == {}
    assert daemon.stop() == 0
