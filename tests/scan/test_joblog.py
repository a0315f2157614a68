"""A log as a file: floods, holes, emptied ones, no text, none at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from scan.playing import bar

from trainqueue.joblog import MOST, PIECE, JobLog
from trainqueue.scan import Scanner

if TYPE_CHECKING:
    from pathlib import Path


class Read:
    """A log and what was made of it."""

    def __init__(self, path: Path, *, grown: bool = False) -> None:
        self.path, self.scanner = path, Scanner()
        self.log = JobLog(str(path), self.scanner, grown=grown)
        self.now = 0.0

    def all(self) -> int:
        """One round; how many pieces it took."""
        pieces = 1
        self.now += 10
        while self.log.step(self.now):
            pieces += 1
        return pieces

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    @property
    def step(self) -> float | None:
        return self.scanner.place(self.now, ended=True).step


@pytest.fixture
def log(tmp_path: Path) -> Read:
    return Read(tmp_path / "output.log")


def frame(step: int) -> bytes:
    return bar("", step, 1000, 10.0 * step).encode()


def test_what_is_new_is_read_once(log: Read) -> None:
    assert log.all() == 1, "there is none yet"
    log.write(frame(1))
    log.all()
    assert (log.step, log.log.fresh) == (1, True)
    log.log.fresh = False
    assert not log.log.grew()
    log.all()
    assert not log.log.fresh
    log.write(frame(2)[:-20])
    assert log.log.grew()
    log.all()
    assert log.step == 1, "a frame that is not whole says nothing"
    log.write(frame(2)[-20:] + frame(3))
    log.all()
    assert log.step == 3


def test_of_a_flood_the_end_is_read(log: Read) -> None:
    log.write(frame(1) + b"\n" + b"x" * 80 + b"\n" + os.urandom(4 * MOST) + b"\n" + frame(700) + b"\n")
    assert log.all() <= MOST // PIECE + 1
    assert log.step == 700
    log.write(b"y" * 10_000_000)
    log.all()
    log.write(b"\n" + frame(800) + b"\n")
    log.all()
    assert log.step == 800


def test_a_log_that_its_job_has_emptied_begins_anew(log: Read) -> None:
    log.write(b"x" * 5000 + b"\n" + frame(1) + b"\n")
    log.all()
    log.path.write_bytes(frame(5) + b"\n")
    assert log.log.grew()
    log.all()
    assert log.step == 5


def test_its_middle_may_be_cut_out_meanwhile(log: Read) -> None:
    log.write(frame(1) + b"\n")
    log.all()
    with log.path.open("r+b") as file:
        file.truncate(2**20)  # a hole, as the cap leaves one
    log.write(frame(9) + b"\n")
    log.all()
    log.all()
    assert log.step == 9


def test_one_that_has_grown_says_how_it_began_and_how_it_goes(tmp_path: Path) -> None:
    log = Read(tmp_path / "output.log", grown=True)
    log.write(b"  Total optimization steps = 2000\n" + b"x\n" * 500_000 + b"iter 700: loss 0.3\n")
    assert log.all() <= 6
    place = log.scanner.place(log.now)
    assert (place.step, place.total, place.fraction) == (700, 2000, 0.35)


def test_what_is_no_file_says_nothing(log: Read) -> None:
    os.mkfifo(log.path)
    assert log.all() == 1
    log.path.unlink()
    log.path.mkdir()
    assert log.all() == 1
    log.path.rmdir()
    log.path.symlink_to("/dev/zero")
    assert log.all() == 1
    assert log.step is None


def test_a_fault_of_ours_ends_the_reading_and_nothing_else(log: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(log.scanner, "feed", fault)
    log.write(frame(1))
    assert log.all() == 1
    assert log.all() == 1
    assert not log.log.grew()
