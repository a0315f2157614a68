"""Others on the GPU: foreign processes, and jobs that share it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hardware.rig import GIB, MIB, Rig, hold, on
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(600)]
CUDA_ITSELF = 1.5 * GIB
"""A context takes a few hundred MiB, on large GPUs more."""
SEEN = 12
"""Seconds that a job must hold its memory for its peak to count: three looks, the first within 5 s, then every 2 s."""


def sees_our_pids() -> bool:
    """Whether the driver's process ids are ours, too; not so in most containers."""
    return Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC


def test_a_foreign_process_keeps_jobs_away(rig: Rig, tmp_path: Path, record: Callable[[str, str, str], None]) -> None:
    gate, stamped = tmp_path / "gate", tmp_path / "stamp"
    with subprocess.Popen(hold(mib=1024, until=gate), env=on(rig.device), stdout=subprocess.PIPE) as foreign:
        try:
            assert foreign.stdout is not None
            assert foreign.stdout.readline().startswith(b"holding")
            job = rig.submit(hold(mib=64, stamp=stamped))
            waiting = rig.until(job, lambda job: job.why_code == "gpu-foreign", 30)
            assert waiting.why is not None
            if sees_our_pids():
                assert f"pid {foreign.pid}" in waiting.why
                assert foreign.pid in [process["pid"] for process in rig.gpu()["foreign"]]
            assert rig.gpu()["foreign"]
            assert rig.client.status(job).state == "queued"
        finally:
            gate.touch()
        foreign.wait(60)
        gone = time.monotonic()
    rig.completed(job)
    assert rig.gpu()["foreign"] == []
    started = time.monotonic() - gone
    record("a foreign process has ended: until the job has ended", f"{started:.1f} s", "it takes well under 1 s itself")


def test_two_jobs_share_and_a_third_waits(rig: Rig, tmp_path: Path, record: Callable[[str, str, str], None]) -> None:
    """Each takes a quarter, and CUDA itself a little; each asks for four tenths."""
    gate, total = tmp_path / "gate", rig.device.total
    first, second, third = rig.submit_all([hold(fraction=0.25, until=gate)] * 3, gpu_memory=int(0.4 * total))
    try:
        rig.until(second, lambda job: job.state == "running")
        peaks = [seen(rig, job, 0.25 * total) for job in (first, second)]
        assert rig.client.status(first).state == "running"
        assert sorted(rig.gpu()["jobs"]) == [first, second]
        waiting = rig.client.status(third)
        assert waiting.state == "queued", "all three do not fit"
    finally:
        gate.touch()
    ends = [rig.completed(job) for job in (first, second, third)]
    earliest = min(ended.ended_at or 0.0 for ended in ends[:2])
    assert ends[2].started_at is not None
    assert ends[2].started_at >= earliest - 0.05
    for name, peak in zip(("first", "second"), peaks, strict=True):
        assert 0.25 * total <= peak <= 0.25 * total + CUDA_ITSELF
        record(f"peak of the {name} of two that share", f"{peak // MIB} MiB", f"it took {0.25 * total / MIB:.0f} MiB")


def seen(rig: Rig, job: int, least: float) -> int:
    """The peak of a running job, once it has been seen."""
    found = rig.until(job, lambda job: (job.peak_memory or 0) >= least, 60).peak_memory
    assert found is not None
    return found


def test_auto_uses_the_peak_of_the_last_run(rig: Rig, record: Callable[[str, str, str], None]) -> None:
    command = hold(mib=1024, seconds=SEEN)
    peak = rig.completed(rig.submit(command)).peak_memory
    assert peak is not None
    assert GIB <= peak <= GIB + CUDA_ITSELF
    again = rig.submit(command, gpu_memory="auto")
    share = rig.until(again, lambda job: job.state == "running").gpu_share
    assert share is not None
    assert peak <= share <= 1.5 * peak
    rig.completed(again)
    record("gpu_memory auto, after a run that took 1024 MiB", f"{share // MIB} MiB", f"its peak: {peak // MIB} MiB")


def test_a_disabled_gpu_is_left_alone(rig: Rig) -> None:
    rig.client.call("disable", gpus=[rig.device.uuid])
    job = rig.submit(hold(mib=64))
    wait_until(lambda: (rig.client.status(job).why_code or "").startswith("gpu-"), 30)
    assert rig.gpu()["enabled"] is False
    rig.client.call("enable", gpus=[rig.device.index])
    rig.completed(job)
