"""What a damaged SQLite file still holds, read page by page without SQLite, which gives up at the first bad page.

SQLite's own `.recover` is not in the `sqlite3` of Debian 12 (it is built without the page tables that it needs), nor
in Python's module. The format is stable and public (sqlite.org/fileformat2.html): a page is a leaf of some table and
says where its rows begin, so rows are found even where what leads to them is gone. Read only by `salvage`.
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.wal import MAGIC, WAL_HEADER, header_is_sound, read_wal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
USUAL_PAGE = 4096
Value = int | float | str | bytes | None
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Serial types of whole numbers, and their bytes."""


class Row(NamedTuple):
    """`rowid` is None in tables without. `certain`: as its page says; else found by looking for anything like a row."""

    rowid: int | None
    values: tuple[Value, ...]
    certain: bool


class UnreadableError(ValueError):
    """Here is nothing that can be read; never leaves this module."""


class Image:
    """The database with its WAL laid over it, as it was after the last transaction that can be read."""

    def __init__(self, database: Path, wal: Path) -> None:
        """Raises OSError."""
        self._file = database.open("rb")
        self._wal = wal.read_bytes() if wal.exists() else b""
        self.size = self._page_size()
        self.wal = read_wal(self._wal, self.size)
        on_disk = -(-os.fstat(self._file.fileno()).st_size // self.size)
        self.count = max([on_disk, *self.wal.frames])
        self.damaged: list[int] = []
        """Pages that hold what no page holds, so far."""

    def close(self) -> None:
        self._file.close()

    def _page_size(self) -> int:
        header, wal = os.pread(self._file.fileno(), 100, 0), self._wal[:WAL_HEADER]
        size = USUAL_PAGE
        if header.startswith(MAGIC):
            size = int.from_bytes(header[16:18], "big")
        elif len(wal) == WAL_HEADER and header_is_sound(wal):
            size = int.from_bytes(wal[8:12], "big")
        size = 65536 if size == 1 else size
        return size if size >= 512 and not size & (size - 1) else USUAL_PAGE

    def page(self, number: int) -> bytes:
        """Zeros where the file has been cut short."""
        frame = self.wal.frames.get(number)
        if frame is not None:
            return self._wal[frame.offset : frame.offset + self.size]
        return os.pread(self._file.fileno(), self.size, (number - 1) * self.size).ljust(self.size, b"\0")

    @property
    def header(self) -> bytes | None:
        """None when it is damaged."""
        first = self.page(1)[:100]
        return first if first.startswith(MAGIC) else None

    @property
    def version(self) -> int:
        """The schema's number; 0 when nobody knows."""
        return 0 if self.header is None else int.from_bytes(self.header[60:64], "big")

    def free(self) -> set[int]:
        """Pages that are not in use; what they hold has been deleted."""
        found: set[int] = set()
        trunk = 0 if self.header is None else int.from_bytes(self.header[32:36], "big")
        while 0 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self.page(trunk)
            trunk, count = struct.unpack(">2I", page[:8])
            leaves = page[8 : 8 + 4 * min(count, self.size // 4 - 2)]
            found.update(struct.unpack(f">{len(leaves) // 4}I", leaves))
        return found

    def rows(self) -> Iterator[Row]:
        """Of all tables and indexes: the certain ones first."""
        free = self.free()
        for number in range(1, self.count + 1):
            if number in free:
                continue
            whole = True
            for row in self._rows_of(number):
                if row is None:
                    whole = False
                else:
                    yield row
            if not whole:
                self.damaged.append(number)
        for number in self.damaged:
            yield from self._anything(number)

    def rows_of(self, number: int) -> list[Row]:
        """Of one page, as far as they can be read."""
        return [row for row in self._rows_of(number) if row is not None]

    def _rows_of(self, number: int) -> Iterator[Row | None]:
        """None stands for what cannot be read."""
        page = self.page(number)
        start = 100 if number == 1 else 0
        kind = page[start]
        if kind == 0 and number > 1:
            return  # the rest of a long row, or never used
        if kind not in (INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF):
            yield None
            return
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + (8 if kind in (INDEX_LEAF, TABLE_LEAF) else 12)
        if first + 2 * cells > self.size:
            yield None
            return
        pointers = struct.unpack(f">{cells}H", page[first : first + 2 * cells])
        if not all(first + 2 * cells <= pointer < self.size for pointer in pointers):
            yield None
        if kind != TABLE_INNER:  # that one holds numbers only
            yield from (self._row_at(page, pointer, kind) for pointer in pointers)

    def _row_at(self, page: bytes, at: int, kind: int, *, certain: bool = True) -> Row | None:
        try:
            rowid = None
            length, at = varint(page, at + 4 if kind == INDEX_INNER else at)
            if kind == TABLE_LEAF:
                rowid, at = varint(page, at)
            return Row(rowid, record(self._payload(page, at, length, table=kind == TABLE_LEAF)), certain)
        except (IndexError, ValueError, struct.error):
            return None

    def _payload(self, page: bytes, at: int, length: int, *, table: bool) -> bytes:
        """A row's bytes, the rest of a long one gathered from its further pages."""
        if not 0 < length <= self.count * self.size:
            raise UnreadableError
        usable = self.size
        most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
        here = length
        if length > most:
            least = (usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (usable - 4)
            here = here if here <= most else least
        data = bytearray(page[at : at + here])
        follow = int.from_bytes(page[at + here : at + here + 4], "big") if here < length else 0
        while len(data) < length:
            if not 1 < follow <= self.count:
                raise UnreadableError
            rest = self.page(follow)
            data += rest[4 : 4 + length - len(data)]
            follow = int.from_bytes(rest[:4], "big")
        return bytes(data)

    def _anything(self, number: int) -> Iterator[Row]:
        """What looks like a row of a table, at whatever place of a damaged page; the caller knows its tables."""
        page = self.page(number)
        for at in range(self.size - 4):
            row = self._row_at(page, at, TABLE_LEAF, certain=False)
            if row is not None:
                yield row


def varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's number of one to nine bytes, and where it ends. Raises IndexError."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def record(data: bytes) -> tuple[Value, ...]:
    """The values of one row. Raises IndexError, ValueError, struct.error for what is none."""
    length, at = varint(data, 0)
    if length > len(data):
        raise UnreadableError
    kinds: list[int] = []
    while at < length:
        kind, at = varint(data, at)
        kinds.append(kind)
    ends = [length]
    for kind in kinds:
        ends.append(ends[-1] + width(kind))
    if at != length or ends[-1] != len(data):
        raise UnreadableError
    return tuple(value(kind, data[start:end]) for kind, (start, end) in zip(kinds, pairwise(ends), strict=True))


def width(kind: int) -> int:
    """Bytes of a value of this serial type."""
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (10, 11) or kind < 0:
        raise UnreadableError
    return INTEGERS.get(kind, 8 if kind == 7 else 0)


def value(kind: int, data: bytes) -> Value:
    if kind >= 12:
        return data.decode() if kind % 2 else data
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    return None if kind == 0 else int.from_bytes(data, "big", signed=True)
