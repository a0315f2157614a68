"""A runner and its job in a cgroup with a limit: on a pretend one, made of plain files, and what becomes of it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from runner.conftest import Launcher

FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "cgroup.procs", "memory.events", "memory.peak")
LIMIT = 512 * 2**20


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """As the kernel makes one; beside it the one that the runner comes from."""
    for name in ("cell", "daemon"):
        (tmp_path / name).mkdir()
        for file in FILES:
            (tmp_path / name / file).touch()
    return tmp_path / "cell"


def limited(cell: Path) -> dict[str, Any]:
    return {"memory_limit": LIMIT, "cell": {"folder": str(cell), "outside": str(cell.parent / "daemon")}}


def test_the_limit_is_set_before_the_job_is_born_in_it_and_the_runner_leaves(launcher: Launcher, cell: Path) -> None:
    script = f"cat {cell}/memory.max; [ -s {cell}/cgroup.procs ] && echo ' inside'; exit 3"
    run = launcher.start("sh", "-c", script, **limited(cell))
    record = run.ended()
    assert (record["reason"], record["exit_code"], run.text()) == (None, 3, f"{LIMIT} inside\n")
    assert ((cell / "memory.swap.max").read_text(), (cell / "memory.oom.group").read_text()) == ("0", "1")
    assert (cell.parent / "daemon" / "cgroup.procs").read_text() == "0"


def test_what_the_kernel_has_killed_in_there_ran_out_of_memory(launcher: Launcher, cell: Path) -> None:
    (cell / "memory.peak").write_text(f"{LIMIT - 2**20}\n")
    script = f"echo 'oom 3\noom_kill 2' > {cell}/memory.events; kill -9 $$"
    record = launcher.start("sh", "-c", script, **limited(cell)).ended()
    assert (record["reason"], record["signal"]) == ("out-of-memory", 9)
    assert record["message"] == (
        "host memory ran out: it used all of its memory_limit of 512 MiB (at its peak 511 MiB); "
        "raise it with --memory, or try a smaller batch"
    )


@pytest.mark.parametrize(
    ("events", "end", "code"), [("oom_kill 0", "kill -9 $$", -9), ("oom_kill 1", "exit 0", 0)], ids=["by hand", "good"]
)
def test_what_only_looks_like_it(launcher: Launcher, cell: Path, events: str, end: str, code: int) -> None:
    record = launcher.start("sh", "-c", f"echo '{events}' > {cell}/memory.events; {end}", **limited(cell)).ended()
    assert record["reason"] is None
    assert (record["exit_code"] if record["signal"] is None else -record["signal"]) == code


def test_a_cancel_is_a_cancel(launcher: Launcher, cell: Path) -> None:
    script = f"trap 'exit 1' TERM; echo 'oom_kill 1' > {cell}/memory.events; echo ready; while :; do sleep 0.05; done"
    run = launcher.start("sh", "-c", script, **limited(cell))
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["reason"] == "cancel"


def test_a_cgroup_that_cannot_be_limited_is_said_and_starts_nothing(launcher: Launcher, cell: Path) -> None:
    (cell / "memory.max").unlink()
    run = launcher.start("sh", "-c", "echo ran", **limited(cell))
    record = run.ended()
    assert (record["reason"], record["pid"]) == ("start-failed", None)
    told = f"cannot start 'sh': its memory cannot be limited: {cell}/memory.max: No such file or directory"
    assert record["message"] == told
    assert run.text().strip().endswith(told)
    assert (cell.parent / "daemon" / "cgroup.procs").read_text() == "0"


def test_a_machine_that_cannot_is_said(launcher: Launcher) -> None:
    fields = {"memory_limit": LIMIT, "cell": {"trouble": "this machine cannot limit a job's memory: it is too old"}}
    record = launcher.start("true", **fields).ended()
    assert record["reason"] == "start-failed"
    assert record["message"] == "cannot start 'true': this machine cannot limit a job's memory: it is too old"


def test_a_program_that_is_none_leaves_no_runner_in_there(launcher: Launcher, cell: Path) -> None:
    assert launcher.start("/no/such/program", **limited(cell)).ended()["reason"] == "start-failed"
    assert (cell.parent / "daemon" / "cgroup.procs").read_text() == "0"


def test_the_cgroup_goes_with_the_job(launcher: Launcher, cell: Path) -> None:
    script = f"rm {' '.join(str(cell / file) for file in FILES if file != 'cgroup.procs')}; rm {cell}/cgroup.procs"
    launcher.start("sh", "-c", script, **limited(cell)).ended()
    assert not os.path.lexists(cell)
