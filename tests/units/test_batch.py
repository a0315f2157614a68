"""A batch that was shown to queries, and whose transaction the full disk then threw away, is written whole later."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from trainqueue.batch import Batch
from trainqueue.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_shown_is_written_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trainq.db")
    batch = Batch(events=[(1, 1.0, "queue", b"one")])
    batch.show(journal)
    batch.events.append((2, 1.0, "queue", bytes(10**6)))
    journal._db.execute("PRAGMA max_page_count = 30")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        batch.show(journal)
    journal._db.execute("PRAGMA max_page_count = 100000")  # pyright: ignore[reportPrivateUsage]
    batch.commit(journal)
    journal.close()
    with closing(sqlite3.connect(tmp_path / "trainq.db")) as db:
        assert db.execute("SELECT seq FROM events").fetchall() == [(1,), (2,)]
