"""Two queues of one machine (two homes) and one GPU: what the driver does not show yet is locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakegpus import GpuDaemon
from lab import lab
from support import wait_until

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_that_holds_no_memory_yet_keeps_the_other_queue_away(home: Home, tmp_path: Path) -> None:
    with lab(home) as on:
        gate = on.folder / "gate"
        waits = ["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done"]
        ours = int(on.client.submit([{"command": waits, "cwd": str(tmp_path)}])[0]["id"])
        on.until(ours, "running")
        other = GpuDaemon(Home(tmp_path / "other"), on.machine)
        other.env["TRAINQ_CONFIG"] = on.daemon.env["TRAINQ_CONFIG"]
        other.start()
        with Client(other.home) as client:
            theirs = int(client.submit([{"command": ["true"], "cwd": str(tmp_path)}])[0]["id"])
            wait_until(lambda: "is in the hands of another queue" in str(client.status(theirs).why))
            gate.touch()
            on.until(ours, "completed")
            wait_until(lambda: client.status(theirs).state == "completed")
        assert other.stop() == 0
