"""A runner and its job in a cgroup with a limit: on a pretend one, made of plain files, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from trainqueue.launch import local

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
    assert (cell / "cgroup.procs").read_text() == "", "it has not been in there"


def test_a_machine_that_cannot_is_said(launcher: Launcher) -> None:
    fields = {"memory_limit": LIMIT, "cell": {"trouble": "this machine cannot limit a job's memory: it is too old"}}
    record = launcher.start("true", **fields).ended()
    assert record["reason"] == "start-failed"
    assert record["message"] == "cannot start 'true': this machine cannot limit a job's memory: it is too old"


def test_a_program_that_is_none_leaves_no_runner_in_there(launcher: Launcher, cell: Path) -> None:
    assert launcher.start("/no/such/program", **limited(cell)).ended()["reason"] == "start-failed"
    assert (cell.parent / "daemon" / "cgroup.procs").read_text() == "0"


def test_a_runner_that_cannot_go_out_again_ends_the_job_and_itself(launcher: Launcher, cell: Path) -> None:
    """In there it would be killed with the job, and whatever it starts next would be born there."""
    (cell.parent / "daemon" / "cgroup.procs").unlink()
    run = launcher.arm("sh", "-c", "sleep 1000", **limited(cell))
    run.runner.go({}, stay=True)
    record = run.ended()
    outside = cell.parent / "daemon" / "cgroup.procs"
    why = f"its memory cannot be limited: its runner cannot leave its cgroup: {outside}: No such file or directory"
    assert (record["reason"], record["message"]) == ("start-failed", f"cannot start 'sh': {why}")


def test_a_cgroup_that_cannot_be_removed_at_once_delays_no_end(launcher: Launcher, tmp_path: Path) -> None:
    """Its last process may take a moment to be gone from it."""
    for name in ("base", "daemon"):
        (tmp_path / name).mkdir()
        for file in FILES:
            (tmp_path / name / file).touch()
    busy = tmp_path / "base"
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(busy)], capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    try:
        for file in FILES:
            (busy / file).touch()
        run = launcher.start("true", **limited(busy))
        run.hear("ended")
        assert not run.runner.gone(0.3), "it tries to remove what is in use"
        assert run.exit_of_runner() == 0
    finally:
        subprocess.run(["umount", "-l", str(busy)], check=True)


def test_one_that_a_daemon_has_removed_just_then_is_the_machines_trouble_and_tried_again(tmp_path: Path) -> None:
    error = "FileNotFoundError(2, 'No such file or directory')"
    script = "import sys; sys.path.insert(0, sys.argv[1]); import cgroup; "
    script += f"print(cgroup.impossible({error}, sys.argv[2]).errno in cgroup.SHORT)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, local.RUNNER, str(tmp_path / "cell")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_the_cgroup_goes_with_the_job(launcher: Launcher, cell: Path) -> None:
    script = f"rm {' '.join(str(cell / file) for file in FILES if file != 'cgroup.procs')}; rm {cell}/cgroup.procs"
    launcher.start("sh", "-c", script, **limited(cell)).ended()
    assert not os.path.lexists(cell)
