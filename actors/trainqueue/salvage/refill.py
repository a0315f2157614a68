"""The part of a recovery that fills the new database with the rows that the old one still holds.

Rows are told apart by their shape (how many values, of which types), so that nothing has to be left of the old schema.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.core.job import STATES
from trainqueue.environments import is_one
from trainqueue.jobrow import from_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainqueue.salvage.pages import Image, Row, Value

KINDS: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,), "BLOB": (bytes,)}
BATCH = 1000
"""Rows that are written at a time."""
JOB_TOPIC = "job."
TOPICS = ("queue", "gpu")
SAVED = ("jobs", "environments", "events", "attempts", "keys", "settings")
"""The tables that say something of their own; the others follow from them."""
ROWS_OWN = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)
"""Errors of SQLite that a row is to blame for, and not the disk."""
JOB = 13
"""Columns of the jobs table that a Job is made of; the tags are the last but one, the progress is the last of them."""
BY_LOOKS = ("jobs", "events", "environments")
"""Those whose rows look like nothing else, wherever they are found."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kinds: tuple[type, ...]
    optional: bool
    """A row may have null here, or end before it: the column was added later."""

    def holds(self, value: Value) -> bool:
        return self.optional if value is None else isinstance(value, self.kinds)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as in the file. `keyed`: a table without rowid; else `alias` is the column that is the rowid."""

    name: str
    columns: tuple[Column, ...]
    keyed: bool
    alias: int | None

    def fits(self, row: Row) -> bool:
        if (row.rowid is None) is not self.keyed or len(row.values) > len(self.columns):
            return False
        if not all(column.optional for column in self.columns[len(row.values) :]):
            return False
        pairs = enumerate(zip(self.columns, row.values))  # noqa: B905  (the rest is optional)
        return all(value is None if at == self.alias else column.holds(value) for at, (column, value) in pairs)

    def full(self, row: Row) -> tuple[Value, ...]:
        return tuple(row.rowid if at == self.alias else value for at, value in enumerate(row.values))

    def insert(self, width: int) -> str:
        names = ",".join(column.name for column in self.columns[:width])
        return f"INSERT OR IGNORE INTO {self.name} ({names}) VALUES ({','.join('?' * width)})"


def tables_of(db: sqlite3.Connection) -> list[Table]:
    named = "SELECT name, wr FROM pragma_table_list WHERE schema='main' AND type='table' AND name NOT LIKE 'sqlite%'"
    return [_table(db, name, keyed=bool(keyed)) for name, keyed in db.execute(named).fetchall()]


def _table(db: sqlite3.Connection, name: str, *, keyed: bool) -> Table:
    told = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)'
    rows = db.execute(told, (name,)).fetchall()
    if keyed:
        rows.sort(key=lambda row: (row[4] == 0, row[4]))  # its key comes first in the file
    alias = next((at for at, row in enumerate(rows) if row[4] and row[1] == "INTEGER" and not keyed), None)
    columns = [
        Column(column, KINDS[kind], not pk and (not needed or default is not None))
        for column, kind, needed, default, pk in rows
    ]
    return Table(name, tuple(columns), keyed, alias)


@dataclass(slots=True)
class Refill:
    """Fills `db`, an empty database of the right schema."""

    db: sqlite3.Connection
    known: set[int] = field(default_factory=set[int])
    """Ids of jobs, wherever they stand."""
    doubtful: set[int] = field(default_factory=set[int])
    """Ids of jobs whose row was found in a damaged page, where older ones may lie as well."""
    _certain: set[int] = field(default_factory=set[int])

    def fill(self, image: Image) -> None:
        """Raises sqlite3.Error, OSError."""
        tables = [table for table in tables_of(self.db) if table.name in SAVED]
        waiting: dict[tuple[Table, int], list[tuple[Value, ...]]] = defaultdict(list)
        self.db.execute("BEGIN")
        for row in image.rows():
            table = next((table for table in tables if table.fits(row)), None)
            if table is None:
                self._from_index(row.values)
            elif self._accept(table, row) and (full := sound(table.name, table.full(row))) is not None:
                key = table, len(row.values)
                waiting[key].append(full)
                if len(waiting[key]) >= BATCH:
                    self._write(key, waiting.pop(key))
        for key, rows in waiting.items():
            self._write(key, rows)
        self.db.execute("COMMIT")

    def _write(self, key: tuple[Table, int], rows: Iterable[tuple[Value, ...]]) -> None:
        """All at once, or one by one where a trigger or a constraint does not take one of them."""
        insert, rows = key[0].insert(key[1]), [*rows]
        self.db.execute("SAVEPOINT batch")
        try:
            self.db.executemany(insert, rows)
        except sqlite3.Error as error:
            self.db.execute("ROLLBACK TO batch")
            refuse_other(error)
            for row in rows:
                try:
                    self.db.execute(insert, row)
                except sqlite3.Error as own:
                    refuse_other(own)
        self.db.execute("RELEASE batch")

    def _accept(self, table: Table, row: Row) -> bool:
        """Not only the shape of a row of ours, but also its words."""
        if not row.certain and table.name not in BY_LOOKS:
            return False
        if table.name == "jobs":
            if row.rowid is None or row.rowid < 1 or row.values[1] not in STATES:
                return False
            if row.certain:
                self._certain.add(row.rowid)
            elif row.rowid not in self._certain:
                self.doubtful.add(row.rowid)
            self.known.add(row.rowid)
        elif table.name == "environments":
            return is_one(*row.values)
        elif table.name == "events":
            topic = str(row.values[2])
            if topic.startswith(JOB_TOPIC) and topic[len(JOB_TOPIC) :].isdigit():
                self.known.add(int(topic[len(JOB_TOPIC) :]))
            elif topic not in TOPICS:
                return False
        return True

    def _from_index(self, values: tuple[Value, ...]) -> None:
        """The index of states names jobs whose rows may be gone."""
        if len(values) in (2, 3) and values[0] in STATES and isinstance(values[1], int):
            self.known.add(values[1])


def refuse_other(error: sqlite3.Error) -> None:
    """Raises the error when no row is to blame for it."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF not in ROWS_OWN:
        raise error


def loads(row: tuple[Any, ...]) -> bool:
    """Whether a row of jobs, its first columns, is a Job's."""
    try:
        from_row(row)
    except (ValueError, LookupError, TypeError, msgspec.MsgspecError):
        return False
    return True


def is_map(text: Value) -> bool:
    try:
        return isinstance(json.loads(str(text)), dict)
    except ValueError:
        return False


def sound(table: str, row: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """The row as a daemon can read it, without a progress or tags that nobody can; None where it is none."""
    if table == "attempts":  # what cannot be read is made anew, from the job's folder
        return row if is_map(row[2]) else None
    if table != "jobs":
        return row
    head, rest = [*row[:JOB]], row[JOB:]
    width = len(head)
    head += [None] * (JOB - width)
    if head[-1] is not None and not is_map(head[-1]):
        head[-1] = None
    if not is_map(head[-2]):
        head[-2] = "{}"
    return (*head[:width], *rest) if loads(tuple(head)) else None


def digits(ids: Iterable[int]) -> str:
    """1-3, 7."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in chain(runs))
