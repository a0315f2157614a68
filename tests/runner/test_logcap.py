"""A log over its cap loses its middle and says so; no offset changes, and the job notices nothing."""

from __future__ import annotations

import os
import re
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from runner.conftest import Launcher, Run

MEBI = 1024 * 1024
CAP = 2 * MEBI
MARK = re.compile(
    rb"\n\[trainq: ([0-9.]+) MiB of this log were cut here; the cap is 2\.0 MiB \(\[logs\] max_bytes\)\] *\n"
)


def used(log: Path) -> int:
    """Bytes of the disk."""
    return log.stat().st_blocks * 512


def is_cut(log: Path, written: int) -> bool:
    return log.exists() and log.stat().st_size > written and used(log) <= CAP


def pieces(log: Path) -> list[bytes]:
    """What is there, without what was cut out."""
    found: list[bytes] = []
    with log.open("rb") as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            found.append(os.pread(file.fileno(), at - begin, begin))
    return found


def check(run: Run, written: int) -> None:
    """It was cut, and says how much."""
    head, tail = pieces(run.log)
    assert head.startswith(b"the first line\n")
    assert tail.endswith(b"\nthe last line\n")
    assert len(head) == CAP // 4
    assert CAP // 2 <= len(tail) <= CAP - len(head)
    [mark] = MARK.findall(head)
    assert MARK.search(head[-128:])
    assert b"\0" not in head + tail
    cut = run.log.stat().st_size - len(head) - len(tail)
    assert abs(float(mark) - cut / MEBI) < 0.1
    assert run.log.stat().st_size == written + len("the first line\n\nthe last line\n")
    assert used(run.log) <= CAP


def test_a_log_within_its_cap_is_whole(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("spews", "lines", 1), log_max_bytes=CAP)
    run.ended()
    [whole] = pieces(run.log)
    assert len(whole) == run.log.stat().st_size > MEBI
    assert b"trainq" not in whole


@pytest.mark.parametrize("kind", ["lines", "long", "returns"])
def test_a_burst_is_cut_at_the_end_of_the_attempt(launcher: Launcher, kind: str) -> None:
    run = launcher.start(*launcher.program("spews", kind, 20), log_max_bytes=CAP)
    assert run.ended()["exit_code"] == 0
    check(run, 20 * MEBI)


def test_a_flood_is_cut_while_it_lasts(launcher: Launcher) -> None:
    """More than once, and with one line that tells of it all."""
    spew = " ".join(f"'{word}'" for word in launcher.program("spews", "lines", 10))
    go_on = "while [ ! -e gate ]; do sleep 0.01; done; rm gate"
    run = launcher.start("sh", "-c", f"{spew}; {go_on}; {spew}; {go_on}; {spew}", log_max_bytes=CAP)
    for size in (10 * MEBI, 20 * MEBI):
        wait_until(partial(is_cut, run.log, size))
        (run.cwd / "gate").touch()
        wait_until(lambda: not (run.cwd / "gate").exists())
    assert run.ended()["exit_code"] == 0
    check(run, 30 * MEBI + 2 * len("the first line\n\nthe last line\n"))


def test_without_a_cap_nothing_is_cut(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("spews", "lines", 20), log_max_bytes=0)
    run.ended()
    assert len(pieces(run.log)) == 1


def test_a_job_may_empty_its_log(launcher: Launcher) -> None:
    spew = " ".join(f"'{word}'" for word in launcher.program("spews", "lines", 10))
    wait = "while [ ! -e gate ]; do sleep 0.01; done"
    run = launcher.start("sh", "-c", f"{spew}; {wait}; : > '{launcher.home}/log-1'; {spew}", log_max_bytes=CAP)
    wait_until(partial(is_cut, run.log, 10 * MEBI))
    (run.cwd / "gate").touch()
    run.ended()
    check(run, 10 * MEBI)


def test_what_a_job_has_put_in_its_place_is_not_cut(launcher: Launcher) -> None:
    precious = launcher.home / "precious"
    precious.write_bytes(b"x" * 10 * MEBI)
    run = launcher.start("ln", "-sf", str(precious), f"{launcher.home}/log-1", log_max_bytes=CAP)
    assert run.ended()["exit_code"] == 0
    assert precious.read_bytes() == b"x" * 10 * MEBI


def test_a_disk_that_cannot_punch_holes_is_named_once(launcher: Launcher, tmp_path: Path) -> None:
    disk = tmp_path / "ramfs"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "none", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a disk")
    try:
        spew = launcher.program("spews", "lines", 5)
        run = launcher.arm("sh", "-c", f"{' '.join(spew)}; sleep 0.8; echo bye", log=f"{disk}/log", log_max_bytes=CAP)
        run.runner.go({})
        assert run.ended()["exit_code"] == 0
        text = (disk / "log").read_text()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    sentence = "\ntrainq: this log is over its cap ([logs] max_bytes) and cannot be cut here; it goes on growing\n"
    assert text.count(sentence) == 1
    assert text.endswith("bye\n")
    assert "\0" not in text
