"""SQLite's write-ahead log, read without SQLite: whether it is sound, and the pages that it holds.

SQLite stops at the first frame that does not fit and says nothing: damage in the newest changes would be forgotten in
silence. The format is public (sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"SQLite format 3\0"
"""The first bytes of every database."""
WAL_HEADER, FRAME_HEADER = 32, 24
WAL_MAGIC = (0x377F0682, 0x377F0683)


class Frame(NamedTuple):
    """One page in the WAL. `sound`: its own checksum fits. `commit`: the last of a transaction."""

    offset: int
    page: int
    commit: bool
    sound: bool
    checksum: bytes


@dataclass(slots=True)
class Wal:
    """The newest pages, not yet in the database. `broken` counts frames that cannot be read."""

    frames: dict[int, Frame]
    broken: int = 0


def checksum(data: bytes, seed: tuple[int, int]) -> tuple[int, int]:
    """Of a WAL; its words are little-endian on every machine that runs CUDA."""
    one, two = seed
    words = array("I", data)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return one, two


def header_is_sound(header: bytes) -> bool:
    """Of a WAL."""
    if len(header) < WAL_HEADER:
        return False
    magic, *_, one, two = struct.unpack(">8I", header)
    return magic in WAL_MAGIC and checksum(header[:24], (0, 0)) == (one, two)


def begins_well(wal: Path) -> bool:
    """Whether its header is sound or not written yet, which is when nothing stands behind it."""
    with wal.open("rb") as file:
        header = file.read(WAL_HEADER)
        more = bool(file.read(1))
    return not (more or any(header)) or len(header) < WAL_HEADER or header_is_sound(header)


class Index(NamedTuple):
    """What SQLite's index of the WAL says (sqlite.org/walformat.html): how many frames count, and of the last of them
    its checksum.
    """

    size: int
    frames: int
    checksum: bytes


def index_of(shm: Path) -> Index | None:
    """None where no frame counts, or nobody can say: a death in the middle, or an index from before the last boot,
    which is never synced.
    """
    try:
        with shm.open("rb") as file:
            data, written = file.read(96), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    if len(data) < 96 or data[:48] != data[48:] or not data[12] or written < booted:
        return None
    size, frames, one, two = struct.unpack("<HI4x2I", data[14:32])
    return Index(65536 if size == 1 else size, frames, struct.pack(">2I", one, two)) if frames else None


def has_last(wal: Path, index: Index) -> bool:
    """Whether the last frame that counts is there, and sound; of those before it `lost_after` knows more."""
    try:
        with wal.open("rb") as file:
            found = _frame_in(file.fileno(), index.frames - 1, index.size)
            return found is not None and found.sound and found.checksum == index.checksum
    except FileNotFoundError:
        return False


def lost_after(wal: Path, valid: int) -> bool:
    """Whether a transaction was completed behind a place that cannot be read; SQLite has read the first `valid` frames
    and stopped there.

    A death in the middle of a transaction leaves nothing behind the frame that was being written; one that was rolled
    back may have left frames, none of which completes it.
    """
    with wal.open("rb") as file:
        fd = file.fileno()
        header = os.pread(fd, WAL_HEADER, 0)
        if not header_is_sound(header):
            return False
        size = _page_size(header)
        step = size + FRAME_HEADER
        for number in range(valid, (os.fstat(fd).st_size - WAL_HEADER) // step):
            words = os.pread(fd, FRAME_HEADER, WAL_HEADER + number * step)
            if words[8:16] == header[16:24] and any(words[4:8]):
                found = _frame_in(fd, number, size)
                if found is not None and found.sound:
                    return True
    return False


def _page_size(header: bytes) -> int:
    return int.from_bytes(header[8:12], "big")


def _frame_in(fd: int, number: int, size: int) -> Frame | None:
    """None behind the end."""
    at = WAL_HEADER + number * (size + FRAME_HEADER)
    seed, data = os.pread(fd, 8, _seed_at(at, size)), os.pread(fd, size + FRAME_HEADER, at)
    return _checked(seed, data, at) if len(data) == size + FRAME_HEADER else None


def read_wal(data: bytes, size: int) -> Wal:
    """The newest sound frame of each page, up to the last one that ends a transaction."""
    step = size + FRAME_HEADER
    starts = [*range(WAL_HEADER, len(data) - step + 1, step)]
    salts = _salts(data, starts, size)
    ours = [at for at in starts if data[at + 8 : at + 16] == salts]
    if not ours:
        return Wal({})
    found = [_frame(data, at, size) for at in ours]
    last = max((number for number, frame in enumerate(found, 1) if frame.commit and frame.sound), default=0)
    reach = (ours[last - 1] - WAL_HEADER) // step + 1 if last else 0
    sound = [frame for frame in found[:last] if frame.sound]
    after = sum(frame.commit for frame in found[last:])  # ended a transaction, and cannot be read
    return Wal({frame.page: frame for frame in sound}, reach - len(sound) + after)


def _salts(data: bytes, starts: list[int], size: int) -> bytes:
    """They tell the frames of now from older ones, which may follow; where the header is gone, the first sound frame
    knows them.
    """
    if header_is_sound(data[:WAL_HEADER]):
        return data[16:24]
    return next((data[at + 8 : at + 16] for at in starts if _frame(data, at, size).sound), b"")


def _seed_at(at: int, size: int) -> int:
    """Where the checksum lies that a frame's own goes on from: in the frame before, or in the WAL's header."""
    return at - size - 8 if at > WAL_HEADER else 24


def _frame(data: bytes, at: int, size: int) -> Frame:
    before = _seed_at(at, size)
    return _checked(data[before : before + 8], data[at : at + FRAME_HEADER + size], at)


def _checked(before: bytes, data: bytes, at: int) -> Frame:
    """Checked on its own: its checksum goes on from that of the frame before, as that one wrote it."""
    one, two = struct.unpack(">2I", before)
    page, after = struct.unpack(">2I", data[:8])
    mine = checksum(data[FRAME_HEADER:], checksum(data[:8], (one, two)))
    sound = any(data[8:16]) and data[16:24] == struct.pack(">2I", *mine)
    return Frame(at + FRAME_HEADER, page, after != 0, sound, data[16:24])
