"""Errors that the driver reports of a GPU: remembered over a death of the daemon, and told with the job they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakegpus import gpujob
from lab import lab
from machine import GIB
from support import wait_until

if TYPE_CHECKING:
    from trainqueue.home import Home


def test_a_critical_error_outlives_the_daemon_until_a_person_forgives(home: Home) -> None:
    with lab(home) as on:
        on.machine.xid(on.uuid(), 48)
        wait_until(lambda: not on.gpu()["healthy"])
        on.daemon.kill()
        on.daemon.start()
        waits = on.submit()
        on.until_why(waits, "gpu-count", "uncorrectable memory error (Xid 48)", "trainq-cli gpus --enable 0")
        assert (on.gpu()["use"], len(on.gpu_events())) == ("unhealthy", 1)
        assert on.client.call("enable", gpus=[0])["gpus"][0]["healthy"]
        on.until(waits, "completed")
        on.daemon.kill()
        on.daemon.start()
        wait_until(lambda: on.gpu()["use"] == "free")


def test_an_error_that_is_reported_after_a_failure_is_written_into_its_message(home: Home) -> None:
    with lab(home, settings="release_timeout = 600") as on:
        failing = gpujob(on.machine, GIB, exit=3, kept=on.keeper())
        job = on.client.submit([{"command": failing, "cwd": str(on.folder)}])[0]["id"]
        assert on.until(job, "failed").message is None
        on.machine.xid(on.uuid(), 31)
        wait_until(lambda: on.status(job).message)
        assert on.status(job).message == "the driver reported Xid 31 (GPU memory page fault) on GPU 0"
        assert on.status(job).exit_code == 3
        told = [event for event in on.client.events(0)["events"] if event.get("id") == job]
        assert [event["state"] for event in told[-2:]] == ["failed", "failed"]
