"""Every end is told as it was, in the packet and in the record; and the log holds what was said."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import time
from typing import TYPE_CHECKING

import pytest
from support import small_disk, wait_until

from trainqueue.launch import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from runner.conftest import Launcher

CODES = (0, 1, 2, 3, 42, 77, 100, 126, 127, 128, 129, 130, 137, 139, 143, 254, 255)
SIGNALS = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "XCPU",
    "XFSZ",
    "SYS",
]
MEBI = 1024 * 1024


@pytest.mark.parametrize("code", CODES)
def test_exit_codes(launcher: Launcher, code: int) -> None:
    record = launcher.start("sh", "-c", f"exit {code}").ended()
    assert (record["exit_code"], record["signal"], record["reason"]) == (code, None, None)


def test_a_sample_of_all_exit_codes_side_by_side(launcher: Launcher) -> None:
    codes = range(5, 256, 25)
    runs = [launcher.start("sh", "-c", f"exit {code}") for code in codes]
    assert [run.ended()["exit_code"] for run in runs] == [*codes]


@pytest.mark.parametrize("name", SIGNALS)
def test_deaths_by_signal(launcher: Launcher, name: str) -> None:
    record = launcher.start("sh", "-c", f"ulimit -c 0; kill -{name} $$").ended()
    number = signal.Signals[f"SIG{name}"]
    assert (record["exit_code"], record["signal"], record["reason"]) == (None, number, None)


def test_death_by_a_real_time_signal(launcher: Launcher) -> None:
    number = signal.SIGRTMIN + 5
    assert launcher.start("sh", "-c", f"kill -{int(number)} $$").ended()["signal"] == number


def test_exit_code_137_is_no_signal(launcher: Launcher) -> None:
    record = launcher.start("sh", "-c", "sh -c 'kill -KILL $$'; exit $?").ended()
    assert (record["exit_code"], record["signal"]) == (137, None)


def test_times_and_memory_are_plausible(launcher: Launcher) -> None:
    before = time.time()
    record = launcher.start("sh", "-c", "sleep 0.1").ended()
    assert before <= record["started_at"] <= record["ended_at"] <= time.time()
    assert 0.1 <= record["seconds"] <= time.time() - before + 0.1
    assert 100_000 < record["max_rss"] < 100 * MEBI


def test_the_record_appears_whole_by_rename(launcher: Launcher) -> None:
    run = launcher.arm("true")
    (run.folder / "exit").write_text("of old")
    with (run.folder / "exit").open() as old:
        run.runner.go({})
        run.ended()
        assert old.read() == "of old"
    assert sorted(path.name for path in run.folder.iterdir()) == ["claim", "exit"]
    assert stat.S_IMODE((run.folder / "exit").stat().st_mode) == 0o600


def test_a_full_disk_makes_no_half_record(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "while [ ! -e gate ]; do sleep 0.01; done; exit 7")
    run.job()
    wait_until((run.folder / "claim").read_text)
    resource.prlimit(run.runner.pid, resource.RLIMIT_FSIZE, (100, 100))
    (run.cwd / "gate").touch()
    run.hear("ended")
    run.runner.gone(0.3)  # it may try again until there is space, or give up
    assert run.record() is not None or not (run.folder / "exit").exists()
    run.runner.signal(signal.SIGKILL)
    assert run.runner.gone(5)


def test_the_record_is_written_when_there_is_space_again(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "while [ ! -e gate ]; do sleep 0.01; done; exit 7")
    run.job()
    wait_until((run.folder / "claim").read_text)
    resource.prlimit(run.runner.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    (run.cwd / "gate").touch()
    run.hear("ended")
    assert not run.runner.gone(0.2)
    assert run.record() is None
    resource.prlimit(run.runner.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert run.exit_of_runner() == 0
    record = run.record()
    assert record is not None
    assert record.exit_code == 7


def test_a_full_disk_at_the_start_starts_nothing(launcher: Launcher) -> None:
    """Nobody could say which GPUs the job holds; it is tried again when there is space."""
    run = launcher.arm("sh", "-c", "touch started")
    resource.prlimit(run.runner.pid, resource.RLIMIT_FSIZE, (0, 0))
    run.runner.go({})
    assert run.hear("refused") == os.strerror(errno.EFBIG)
    assert run.exit_of_runner() == 0
    assert verdict.verdict(run.folder) == "void"
    assert not (run.cwd / "started").exists()


def test_no_room_for_the_log_starts_nothing(launcher: Launcher, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "64k,nr_inodes=1") as small:
        run = launcher.start("sh", "-c", "touch started", log=str(small / "log"))
        assert run.hear("refused") == os.strerror(errno.ENOSPC)
        assert run.exit_of_runner() == 0
        assert verdict.verdict(run.folder) == "void"
        assert not (run.cwd / "started").exists()


def test_the_home_may_be_removed_meanwhile(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", f"rm -r {launcher.home}/attempt-1; exit 3")
    assert run.hear("ended")["exit_code"] == 3
    assert run.exit_of_runner() == 0


def test_the_record_follows_a_home_that_is_moved(launcher: Launcher) -> None:
    beside = launcher.home.with_name(f"{launcher.home.name}-beside")
    beside.mkdir()
    os.mkfifo(beside / "gate")
    run = launcher.start("sh", "-c", "echo here; read line < $0; exit 3", str(beside / "gate"))
    run.says("here")
    moved = launcher.home.rename(beside / "moved")
    (beside / "gate").write_text("on\n")
    assert run.hear("ended")["exit_code"] == 3
    assert run.exit_of_runner() == 0
    assert json.loads((moved / "attempt-1" / "exit").read_bytes())["exit_code"] == 3


def test_both_streams_go_to_one_log_in_order(launcher: Launcher) -> None:
    lines = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done"
    run = launcher.start("sh", "-c", lines)
    run.ended()
    assert run.text().split() == [f"{name}{i}" for i in range(1, 6) for name in ("out", "err")]
    assert stat.S_IMODE(run.log.stat().st_mode) == 0o600


def test_what_the_log_already_holds_stays(launcher: Launcher) -> None:
    run = launcher.arm("sh", "-c", "echo new; : > /dev/stdout; echo last")
    run.log.write_text("old\n")
    run.runner.go({})
    run.ended()
    assert run.text().endswith("last\n")
    assert "\0" not in run.text()


def test_a_job_that_reads_ends(launcher: Launcher) -> None:
    run = launcher.start("cat")
    assert (run.ended()["exit_code"], run.text()) == (0, "")


def test_a_flood_of_fifty_megabytes_is_kept_whole(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("floods", 50))
    assert run.ended()["exit_code"] == 0
    size = run.log.stat().st_size
    run.log.unlink()
    assert size == 50 * MEBI


def test_a_death_in_the_middle_of_a_line_keeps_the_half(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("dies_mid_line"))
    assert run.ended()["signal"] == signal.SIGKILL
    assert run.text() == "epoch 1 loss=0.5\nepoch 2 lo"
