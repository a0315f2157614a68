"""Whose process a claim names: told by its start in ticks since boot, whatever the wall clock shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from trainqueue.launch import local
from trainqueue.salvage import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "import subprocess, sys; subprocess.Popen(['cat'], stdout=subprocess.DEVNULL).wait()"
BEFORE = "the boot before"


@pytest.fixture
def runner() -> Iterator[subprocess.Popen[bytes]]:
    """Looks like a runner, by its command line; its job is a `cat`, which ends with its input."""
    command = [sys.executable, "-c", PROGRAM, "trainqueue/runner"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process


def child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(children.read_bytes)
    return int(children.read_text(encoding="ascii").split()[0])


def claim(folder: Path, *words: dict[str, Any]) -> None:
    (folder / "claim").write_text("".join(json.dumps(line) + "\n" for line in words), encoding="ascii")


def test_a_clock_that_was_set_does_not_hide_a_living_runner(runner: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The job began, by the wall clock, long before the machine was booted."""
    ticks = local.start_ticks(runner.pid)
    known = {"pid": runner.pid, "ticks": ticks, "boot_id": local.boot_id()}
    job = child_of(runner.pid)
    life = {"pid": job, "at": 1.0, "ticks": local.start_ticks(job)}
    claim(tmp_path, {"env": {}, "runner": {"pid": runner.pid, "ticks": ticks, "nursery": 1}}, life)
    assert reconcile.identity(tmp_path, BEFORE) == known
    claim(tmp_path, {"env": {}}, life)  # of an older release
    assert reconcile.identity(tmp_path, BEFORE) == known


def test_a_reused_pid_leads_to_nobody(runner: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Neither the runner's nor that of its job, which another runner's job may have by now."""
    nobody = {"pid": 0, "ticks": 0, "boot_id": BEFORE}
    job = child_of(runner.pid)
    ticks = local.start_ticks(runner.pid)
    life = {"pid": job, "at": 4e9, "ticks": local.start_ticks(job) - 1}
    claim(tmp_path, {"env": {}, "runner": {"pid": runner.pid, "ticks": ticks - 1, "nursery": 1}}, life)
    assert reconcile.identity(tmp_path, BEFORE) == nobody
    claim(tmp_path, {"env": {}}, life)
    assert reconcile.identity(tmp_path, BEFORE) == nobody
