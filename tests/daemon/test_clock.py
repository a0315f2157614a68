"""A real trainqd and real runners whose wall clock is set by a day, there and back, while jobs wait and run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house import gated
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from trainqueue.home import Home

DAY = 86_400.0
STEPPED = str(Path(__file__).resolve().parent.parent / "programs" / "stepped.py")


class Machine(Daemon):
    """A daemon that reads the clock through a file."""

    def __init__(self, home: Home, folder: Path) -> None:
        super().__init__(home)
        self.ahead = folder / "ahead"
        self.program = [sys.executable, STEPPED, str(self.ahead)]
        self.step(0.0)

    def step(self, ahead: float) -> None:
        """The clock shows this many seconds more than the true time."""
        fresh = self.ahead.with_name("ahead.new")
        fresh.write_text(str(ahead), encoding="ascii")
        fresh.rename(self.ahead)


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Machine:
    made = Machine(home, tmp_path)
    made.start()
    return made


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["forwards", "back"])
def test_the_clock_is_set_while_jobs_wait_and_run(machine: Machine, tmp_path: Path, step: float) -> None:
    def job(*command: str, **fields: object) -> int:
        return int(client.submit([{"command": [*command], "cwd": "/", **fields}])[0]["id"])

    with Client(machine.home) as client:
        first = job(*gated(tmp_path / "gate"))
        limited = job("sleep", "1000", time_limit=0.5, grace=1)
        stubborn = job("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", time_limit=0.3, grace=0.3)
        later = job("true", not_before=time.time() + DAY / 2)
        wait_until(lambda: client.status(first).state == "running")
        machine.step(step)
        follows = job("true")
        (tmp_path / "gate").touch()
        began = time.monotonic()
        ended = client.wait([first, limited, stubborn, follows], 30)
        assert time.monotonic() - began < 15, "a limit or a grace was counted on the wall clock"
        assert [one.cause for one in ended] == [None, "time-limit", "time-limit", None]
        assert ended[1].run_time is not None
        assert 0.5 <= ended[1].run_time < 5
        for one in ended:
            assert one.started_at is not None
            assert one.ended_at is not None
            assert one.ended_at >= one.started_at
            assert one.run_time is not None
            assert 0 <= one.run_time < 20
        starts = [event["id"] for event in client.events(0)["events"] if event.get("state") == "pending"]
        assert [one for one in starts if one != later] == [first, limited, stubborn, follows]
        assert client.status(later).state == ("completed" if step > 0 else "queued")
        stats = client.call("stats")
        assert 0 < stats["gpu_seconds_used"] < 40
        machine.step(DAY)
        assert client.wait([later], 10)[0].state == "completed"
    assert machine.stop() == 0


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["forwards", "back"])
def test_the_clock_is_set_while_no_daemon_lives(machine: Machine, tmp_path: Path, step: float) -> None:
    with Client(machine.home) as client:
        gate = [*gated(tmp_path / "gate")]
        running, waiting = [each["id"] for each in client.submit([{"command": gate, "cwd": "/"}] * 2)]
        wait_until(lambda: client.status(running).state == "running")
    machine.kill()
    machine.step(step)
    machine.start()
    with Client(machine.home) as client:
        adopted = client.status(running)
        assert adopted.run_time is not None
        assert 0 < adopted.run_time < 20
        (tmp_path / "gate").touch()
        for one in client.wait([running, waiting], 10):
            assert one.started_at is not None
            assert one.ended_at is not None
            assert one.ended_at >= one.started_at
            assert one.run_time is not None
            assert 0 <= one.run_time < 20
    assert machine.stop() == 0
