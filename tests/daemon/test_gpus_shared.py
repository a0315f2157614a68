"""Several GPUs and shared ones, through a real daemon: wide jobs, guards, switches, and what a death leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import lab
from machine import GIB
from support import wait_until

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from lab import Lab

    from trainqueue.home import Home


def test_a_wide_job_gets_its_turn_and_only_short_ones_pass_it(home: Home) -> None:
    with lab(home, gpus=2) as on:
        gate, other = on.gate(), on.gate()
        first = on.submit(until=gate, time_limit=600.0)
        on.until(first, "running")
        wide = on.submit(gpus=2)
        long = on.submit(until=other)
        short = on.submit(time_limit=60.0)
        assert on.until(short, "completed").gpu_ids == (on.uuid(1),)
        assert [on.status(job).state for job in (wide, long)] == ["queued", "queued"]
        wait_until(lambda: on.gpu(1)["kept_for"] == wide)
        assert on.gpu(1)["use"] == "reserved"
        wait_until(lambda: on.client.call("stats")["gpus"][1]["idle"].get("reserved", 0) > 0)
        gate.touch()
        assert on.until(wide, "completed").gpu_ids == (on.uuid(0), on.uuid(1))
        other.touch()
        on.until(long, "completed")
        assert (on.status(long).started_at or 0) >= (on.status(wide).ended_at or 0)


def test_jobs_share_a_gpu_and_the_next_comes_when_the_first_has_its_memory(home: Home) -> None:
    with lab(home, settings="settle_time = 3600") as on:
        gate = on.gate()
        slow = on.submit(GIB, until=gate, gpu_memory=10 * GIB)  # never near its share
        on.until_on_gpu(slow)
        second = on.submit(8 * GIB, until=gate, gpu_memory=8 * GIB)
        on.until_why(second, "position", f"waits until job {slow} on GPU 0 has its full memory")
        on.client.cancel([slow])
        on.until(second, "running")
        third = on.submit(4 * GIB, until=gate, gpu_memory=4 * GIB)
        on.until(third, "running")
        assert sorted(on.gpu()["jobs"]) == [second, third]
        assert (on.status(third).gpu_share, on.status(third).gpu_memory) == (4 * GIB, 4 * GIB)
        whole, large = on.submit(), on.submit(gpu_memory=16 * GIB)
        gate.touch()
        on.until(whole, "completed")
        on.until(large, "completed")
        ended = on.status(second)
        assert (ended.peak_memory, ended.gpu_share) == (8 * GIB, None)
        assert (on.status(whole).started_at or 0) >= max(on.status(job).ended_at or 0 for job in (second, third))


def test_auto_takes_the_peak_of_the_last_run_of_the_same_command(home: Home) -> None:
    with lab(home) as on:
        gate = on.gate()
        first = on.submit(6 * GIB, until=gate, gpu_memory="auto")
        on.until_on_gpu(first)
        assert on.status(first).gpu_share is None
        wait_until(lambda: on.status(first).peak_memory == 6 * GIB)
        on.until_looked_at(first, 3)
        gate.touch()
        on.until(first, "completed")
        gate.unlink()
        again = on.submit(6 * GIB, until=gate, gpu_memory="auto")
        on.until_on_gpu(again)
        found = on.status(again)
        assert found.gpu_memory == "auto"
        assert 6 * GIB <= (found.gpu_share or 0) <= 7 * GIB  # and a little more
        waiting = on.submit(6 * GIB, until=gate, gpu_memory="auto", hold=True)
        assert on.status(waiting).gpu_share == found.gpu_share, "it is known before it starts"
        gate.touch()
        on.until(again, "completed")


def switch(on: Lab, op: str, *names: int | str) -> list[bool]:
    return [gpu["enabled"] for gpu in on.client.call(op, gpus=[*names])["gpus"]]


def test_gpus_are_disabled_and_enabled_while_jobs_run_and_over_restarts(home: Home) -> None:
    with lab(home, gpus=2) as on:
        gate = on.gate()
        running = on.submit(until=gate)
        on.until_on_gpu(running)
        assert switch(on, "disable", 0, on.uuid(1)) == [False, False]
        waits = on.submit()
        on.until_why(waits, "gpu-count", "GPU 1 is disabled: trainq-cli gpus --enable 1")
        on.daemon.kill()
        on.daemon.start()
        assert [on.gpu(at)["enabled"] for at in (0, 1)] == [False, False]
        assert on.status(running).state == "running"
        assert switch(on, "enable", on.uuid(1)[:12]) == [True]
        assert on.until(waits, "completed").gpu_ids == (on.uuid(1),)
        assert on.status(running).state == "running"
        gate.touch()
        on.until(running, "completed")
        told = [(event["index"], event["enabled"]) for event in on.gpu_events()]
        assert told == [(0, False), (1, False), (1, True)]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [(7, "not-found", "7"), ("GPU-nobody", "not-found", "GPU-nobody"), ("GPU-", "bad-request", "several")],
    ids=str,
)
def test_a_gpu_that_is_not_meant_changes_nothing(home: Home, name: int | str, code: str, words: str) -> None:
    with lab(home, gpus=2) as on:
        with pytest.raises(RequestError, match=words) as refused:
            switch(on, "disable", 0, name)
        assert refused.value.code == code
        assert on.gpu(0)["enabled"]


def test_a_death_of_the_daemon_leaves_shares_and_baselines(home: Home) -> None:
    with lab(home, settings="release_timeout = 600") as on:
        on.machine.gpu(0, base=3 * GIB)  # in use by nobody, before and after
        gate, keeper = on.gate(), on.keeper()
        shared = [on.submit(size * GIB, until=gate, gpu_memory=size * GIB, kept=keeper) for size in (4, 6)]
        on.until_why(shared[0], "gpu-memory", "3 GiB of GPU 0 are in use by nobody that the driver lists")
        assert on.gpu()["use"] == "memory"
        switch(on, "enable", 0)
        for job in shared:
            on.until_on_gpu(job)
        on.daemon.kill()
        on.daemon.start()
        wait_until(lambda: sorted(on.gpu()["jobs"]) == shared)
        assert [on.status(job).gpu_share for job in shared] == [4 * GIB, 6 * GIB]
        assert [process["job"] for process in on.gpu()["processes"]] != []
        assert on.gpu()["foreign"] == []
        third = on.submit(gpu_memory=20 * GIB)  # beside them there is no room
        assert on.until_why(third, "position", "GPU 0 has 14 GiB to give")
        gate.touch()
        sentence = on.until_why(third, "gpu-memory", "to come back")
        assert sentence.startswith("GPU 0 waits for the memory of job")
        keeper.unlink()
        on.until(third, "completed")  # it does not wait for the 3 GiB that were there before
        assert all(on.status(job).state == "completed" for job in shared)
        assert on.client.call("stats")["gpus"][0]["held"] > 0
