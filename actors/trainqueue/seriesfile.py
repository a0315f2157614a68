"""The file with an attempt's series, in the job's folder: written by its trainer, read for the op `series`.

It is a comfort, never a reason to fail: on a full disk, or where somebody has removed the folder or put something odd
in its place, it stays as it was, and the run goes on.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.series import Series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOONEST, LATEST = 1.0, 10.0
"""Seconds from a change until it is written: more the longer the run is, whose points lie further apart."""
MAX_BYTES = 2**20
"""Of a file; twenty metrics with long names take a third of it."""
BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Kept(msgspec.Struct):
    """What the file holds; `width` says how much went into each bucket, to go on from there."""

    series: dict[str, list[tuple[float, int | float | None, int | float]]]
    width: dict[str, int] = {}


def path_of(folder: Path, attempt: int) -> Path:
    return folder / f"series.{attempt}.json"


def read(path: Path) -> Kept:
    """Empty where there is none, or what is there is none."""
    with contextlib.suppress(OSError, *BAD):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
                return msgspec.json.decode(os.read(fd, MAX_BYTES), type=Kept)
        finally:
            os.close(fd)
    return Kept({})


class SeriesFile:
    """Owned by the attempt's trainer. Takes up what an earlier daemon has kept of it."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.path = path_of(folder, attempt)
        self._series: Series | None = None
        self._changed = self._waits = False

    def take(self, progress: Mapping[str, Any]) -> float | None:
        """After how many seconds to `keep` what is new; None when that is under way, or nothing is new."""
        if self._series is None:
            kept = read(self.path)
            self._series = Series.restored(kept.series, kept.width)
        self._changed = self._series.take(progress) or self._changed
        if self._waits or not self._changed:
            return None
        self._waits = True
        return min(LATEST, max(SOONEST, self._series.span() / 100))

    def keep(self) -> None:
        """Never raises. What could not be written is tried again with the next change."""
        self._waits = False
        if self._series is None or not self._changed:
            return
        data = msgspec.json.encode({"series": self._series.points(), "width": self._series.widths()})
        temporary = self.path.with_name(f".{self.path.name}")
        try:
            temporary.unlink(missing_ok=True)  # a crash has left it
            write(temporary, data)
            temporary.replace(self.path)
            self._changed = False
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write(path: Path, data: bytes) -> None:
    """A new file, so that nothing is written through a link or waits at a pipe. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) < len(data):
            msg = "the disk is full"
            raise OSError(msg)
    finally:
        os.close(fd)
