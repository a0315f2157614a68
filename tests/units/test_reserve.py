"""The reserve: space that is really taken, really given back, and never half taken."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
from support import small_disk

from trainqueue.reserve import SIZE, Reserve, is_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 3 MiB."""
    with small_disk(tmp_path / "small", "3m") as folder:
        yield folder


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_bsize


def test_it_takes_space_and_gives_it_back(small: Path) -> None:
    reserve, before = Reserve(small / "reserve"), free(small)
    assert not reserve.held
    assert reserve.fill()
    assert reserve.held
    assert free(small) <= before - SIZE
    assert reserve.spend()
    assert not reserve.held
    assert free(small) == before


def test_it_is_spent_once(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert not reserve.spend()
    assert reserve.fill()
    assert reserve.spend()
    assert not reserve.spend()
    assert not (tmp_path / "reserve").exists()


def test_what_does_not_fit_is_not_kept_by_half(small: Path) -> None:
    reserve = Reserve(small / "reserve")
    (small / "ballast").write_bytes(bytes(5 * 2**19))
    before = free(small)
    assert not reserve.fill()
    assert not reserve.held
    assert free(small) == before
    assert not (small / "reserve").exists()
    (small / "ballast").unlink()
    assert reserve.fill()


def test_one_that_is_there_is_taken_over(tmp_path: Path) -> None:
    assert Reserve(tmp_path / "reserve").fill()
    again = Reserve(tmp_path / "reserve")
    assert again.fill()
    assert (tmp_path / "reserve").stat().st_size == SIZE


def test_no_folder_no_reserve_and_no_error(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "gone" / "reserve")
    assert not reserve.fill()
    assert not reserve.spend()


def test_an_empty_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "reserve").touch()
    assert not Reserve(tmp_path / "reserve").held
    os.truncate(tmp_path / "reserve", SIZE)
    assert not Reserve(tmp_path / "reserve").held, "a hole takes no space"


def test_only_a_want_of_space_is_a_full_disk(small: Path) -> None:
    reserve = Reserve(small / "gone" / "reserve")
    assert not reserve.fill()
    assert not reserve.disk_is_full
    fault = sqlite3.OperationalError("disk I/O error")
    fault.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert not is_full(fault, small)
    (small / "ballast").write_bytes(bytes(5 * 2**19))
    reserve = Reserve(small / "reserve")
    assert not reserve.fill()
    assert reserve.disk_is_full
    assert is_full(fault, small)
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    assert not is_full(busy, small)
