"""The watchdog and GPUs: one that works keeps its job from counting as stalled; and what people see of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commands import Cli
from lab import lab
from support import wait_until

if TYPE_CHECKING:
    from trainqueue.home import Home


def said(cli: Cli, *words: str) -> str:
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_gpu_that_works_keeps_its_job_from_stalling(home: Home) -> None:
    with lab(home, started=False) as on:
        on.sooner({"trainqueue.stall:OFTEN": 0.2})
        on.machine.gpu(0, utilization=97)
        on.daemon.start()
        spec = {"command": ["sleep", "1000"], "cwd": "/", "grace": 0.5, "stall_timeout": 1.0}
        [made] = on.client.submit([spec])
        job = int(made["id"])
        on.until(job, "running")
        on.until_looked_at(job, 8)  # for longer than its time
        assert on.status(job).stalled_since is None
        on.machine.gpu(0, utilization=3)  # as a desktop uses it
        wait_until(lambda: on.status(job).stalled_since is not None)
        assert on.status(job).quiet == "no output, no progress, GPU and processor idle"
        on.machine.gpu(0, utilization=100)
        wait_until(lambda: on.status(job).stalled_since is None)
        kinds = [event["type"] for event in on.client.events(0)["events"] if event["type"] in {"stalled", "stirred"}]
        assert kinds == ["stalled", "stirred"]


def test_what_people_see(home: Home) -> None:
    with lab(home, started=False) as on:
        on.sooner({"trainqueue.stall:OFTEN": 0.2})
        on.daemon.start()
        cli = Cli(on.daemon)
        job = int(said(cli, "submit", "--stall-timeout", "1s", "--gpus", "0", "--", "sleep", "1000"))
        wait_until(lambda: on.status(job).stalled_since is not None)
        for words in (["queue"], ["status"], ["status", str(job)]):
            assert re.search(r"stalled for \d+ s: no output, no progress, processor idle", said(cli, *words))
        assert "stall_timeout\t1s" in said(cli, "status", str(job))
        assert f"job {job} has stalled: no output, no progress, processor idle" in said(cli, "events")
        other = said(cli, "submit", "--hold", "--", "true").strip()
        said(cli, "edit", other, "--set", "stall_timeout=30m", "--set", "stall_action=stop")
        assert (on.status(int(other)).stall_timeout, on.status(int(other)).stall_action) == (1800.0, "stop")
