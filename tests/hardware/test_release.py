"""A GPU goes to the next job when its memory is back, and not before; what that costs, and what the calls cost."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hardware.rig import GIB, MIB, Device, Rig, hold, on, program, stamp
from support import ACTORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]
LARGE = 0.6
"""Of all memory: two such jobs cannot be there at the same time."""
TOLERANCE = 320 * MIB
"""The setting `release_tolerance`, and a little."""


def test_the_memory_is_back_before_the_next_start(
    rig: Rig, tmp_path: Path, record: Callable[[str, str, str], None]
) -> None:
    commands = [hold(fraction=LARGE, seconds=1, stamp=tmp_path / f"{at}") for at in range(6)]
    for job in rig.submit_all(commands):
        rig.completed(job)
    stamps = [stamp(tmp_path / f"{at}") for at in range(6)]
    for before, after in pairwise(stamps):
        assert before["last"] < after["first"], "two jobs were on it at the same time"
        assert after["free_before"] >= stamps[0]["free_before"] - TOLERANCE
    gaps = [1000 * (after["first"] - before["last"]) for before, after in pairwise(stamps)]
    most = max(stamps[0]["free_before"] - after["free_before"] for after in stamps[1:])
    size = f"{stamps[0]['taken'] / GIB:.1f} GiB"
    record(f"from the end of a job with {size} to the next start", f"{statistics.median(gaps):.0f} ms", "median of 5")
    record("    the longest", f"{max(gaps):.0f} ms", "")
    record("    memory not yet back at the next start", f"{max(0, most) / MIB:.0f} MiB", "tolerance: 256 MiB")


def test_how_long_the_driver_takes(device: Device, record: Callable[[str, str, str], None]) -> None:
    told = subprocess.run(
        program("memory_back.py", device.uuid, LARGE), capture_output=True, text=True, timeout=300, check=False
    )
    assert told.returncode == 0, told.stderr
    for way, took in json.loads(told.stdout).items():
        for what, seconds in took.items():
            assert seconds is not None, f"{what} was not back half a minute after a process has {way}"
            record(f"without a queue, {way}: until the {what} is right", f"{1000 * seconds:.1f} ms", "")


def chained(stamps: list[dict[str, float]]) -> list[float]:
    """Milliseconds from each last instruction to the next first one."""
    return [1000 * (after["first"] - before["last"]) for before, after in pairwise(stamps)]


def test_the_hand_over(rig: Rig, tmp_path: Path, record: Callable[[str, str, str], None]) -> None:
    names = [f"{at}" for at in range(12)]
    for name in names:
        command = hold(mib=64, stamp=tmp_path / f"bare-{name}")
        subprocess.run(command, env=on(rig.device), check=True, stdout=subprocess.DEVNULL, timeout=120)
    for job in rig.submit_all([hold(mib=64, stamp=tmp_path / f"queued-{name}") for name in names]):
        rig.completed(job)
    bare = [stamp(tmp_path / f"bare-{name}") for name in names]
    ours = [stamp(tmp_path / f"queued-{name}") for name in names]
    assert min(chained(ours)) > 0, "two jobs were on it at the same time"
    usual = f"one after the other without a queue: {statistics.median(chained(bare)):.0f} ms"
    record("hand-over of CUDA jobs of 64 MiB, median of 11", f"{statistics.median(chained(ours)):.0f} ms", usual)
    record("    the longest", f"{max(chained(ours)):.0f} ms", f"{max(chained(bare)):.0f} ms")
    begin = statistics.median(1000 * (one["ready"] - one["first"]) for one in ours)
    record("    from a job's first instruction to its memory", f"{begin:.0f} ms", "")


def test_what_the_calls_cost(device: Device, tmp_path: Path, record: Callable[[str, str, str], None]) -> None:
    """While a process is on it, since an empty list is cheaper than one with an entry."""
    gate = tmp_path / "gate"
    with subprocess.Popen(hold(mib=64, until=gate), env=on(device), stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline().startswith(b"holding")
            environment = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_HOME": str(tmp_path / "home")}
            costs = program("nvml_costs.py", device.uuid)
            told = subprocess.run(costs, env=environment, capture_output=True, text=True, timeout=300, check=False)
        finally:
            gate.touch()
    assert told.returncode == 0, told.stderr
    for name, (median, highest) in json.loads(told.stdout).items():
        what = f"NVML: {name}" if not name.startswith("look") else f"a {name} at all GPUs"
        record(what, f"{median:.0f} us", f"highest: {highest:.0f} us")
