"""SQLite's write-ahead log, read without SQLite: whether it is sound, and the pages that it holds.

SQLite stops at the first frame that does not fit and says nothing: damage in the newest changes would be forgotten in
silence. The format is public (sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

import os
import struct
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
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
    """Of a WAL; one of zeros has been made and not written yet."""
    if len(header) < WAL_HEADER or not any(header):
        return True
    magic, *_, one, two = struct.unpack(">8I", header)
    return magic in WAL_MAGIC and checksum(header[:24], (0, 0)) == (one, two)


def lost_after(wal: Path, valid: int) -> bool:
    """Whether frames were written behind one that cannot be read; SQLite has read the first `valid` and stopped there.

    A death in the middle of a transaction leaves nothing behind the frame that was being written.
    """
    with wal.open("rb") as file:
        header = os.pread(file.fileno(), WAL_HEADER, 0)
        if len(header) < WAL_HEADER or not any(header):
            return False
        size = int.from_bytes(header[8:12], "big")
        before = WAL_HEADER + (valid - 1) * (size + FRAME_HEADER) if valid else 0
        data = os.pread(file.fileno(), 2**26, before)
    starts = range(
        size + FRAME_HEADER if valid else WAL_HEADER, len(data) - size - FRAME_HEADER + 1, size + FRAME_HEADER
    )
    ours = [*takewhile(lambda at: data[at + 8 : at + 16] == header[16:24], starts)]
    return not all(_frame(data, at, size).sound for at in ours[:-1])


def read_wal(data: bytes, size: int) -> Wal:
    """The newest sound frame of each page, up to the last one that ends a transaction."""
    step = size + FRAME_HEADER
    starts = [*range(WAL_HEADER, len(data) - step + 1, step)]
    salts = _salts(data, starts)
    ours = [at for at in starts if data[at + 8 : at + 16] == salts]
    if not ours:
        return Wal({})
    found = [_frame(data, at, size) for at in ours]
    last = max((number for number, frame in enumerate(found, 1) if frame.commit and frame.sound), default=0)
    reach = (ours[last - 1] - WAL_HEADER) // step + 1 if last else 0
    sound = [frame for frame in found[:last] if frame.sound]
    after = sum(frame.commit for frame in found[last:])  # ended a transaction, and cannot be read
    return Wal({frame.page: frame for frame in sound}, reach - len(sound) + after)


def _salts(data: bytes, starts: list[int]) -> bytes:
    """They tell the frames of now from older ones; where the header is gone, most frames know them."""
    if header_is_sound(data[:WAL_HEADER]):
        return data[16:24]
    return Counter(data[at + 8 : at + 16] for at in starts).most_common(1)[0][0] if starts else b""


def _frame(data: bytes, at: int, size: int) -> Frame:
    """Checked on its own: its checksum goes on from that of the frame before, as that one wrote it."""
    before = at - size - 8 if at > WAL_HEADER else 24  # the end of the frame header before, or of the WAL's own
    seed = struct.unpack(">2I", data[before : before + 8])
    page, after, _, _, one, two = struct.unpack(">6I", data[at : at + FRAME_HEADER])
    mine = checksum(data[at : at + 8], (seed[0], seed[1]))
    sound = checksum(data[at + FRAME_HEADER : at + FRAME_HEADER + size], mine) == (one, two)
    return Frame(at + FRAME_HEADER, page, after != 0, sound)
