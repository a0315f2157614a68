"""The journal on a real SQLite file."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

import pytest

from trainqueue.anchor import GoneError
from trainqueue.core.job import Failed, Job, Pending, Running, State
from trainqueue.core.spec import JobSpec
from trainqueue.damage import DamagedError, wal_of
from trainqueue.journal import Journal, JournalError
from trainqueue.wire import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = JobSpec(command=("a", "b"), cwd="/x", env={"K": "v"}, tags={"t": "1"}, after=(3,), retries={"exit": 2})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "trainq.db")
    yield made
    made.close()


def jobs() -> list[Job]:
    states: tuple[State, ...] = (
        Pending(("g",), 1.0),
        Running(("g", "h"), 7, 2.0, stopping=True),
        Failed(3.0, "exit", exit_code=4),
    )
    return [Job(at, SPEC, "me", 0.5, 0, at << 32, 2, state) for at, state in enumerate(states, 1)]


def test_jobs_come_back_as_they_went(journal: Journal) -> None:
    kept = jobs()
    kept[2].progress = {"fraction": 0.5}
    kept[2].retried = {"exit": 1}
    journal.begin()
    journal.save(kept)
    journal.commit()
    assert [journal.job(job.id) for job in kept] == kept
    assert [job.id for job in journal.alive()] == [1, 2]
    assert journal.ended_counts() == {"failed": 1}
    assert journal.states_of([1, 3, 9]) == {3: "failed"}


def test_what_was_not_committed_is_not_there(journal: Journal) -> None:
    journal.begin()
    journal.save(jobs())
    journal.rollback()
    assert journal.job(1) is None
    assert journal.next_id() == 1


def test_it_is_durable_and_versioned(journal: Journal) -> None:
    db = sqlite3.connect(journal.path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA user_version").fetchone()[0] >= 1
    db.close()


def test_opening_twice_changes_nothing(journal: Journal) -> None:
    again = Journal(journal.path)
    assert again.last_seq() == 0
    again.close()


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "trainq.db").mkdir()
    with pytest.raises(JournalError, match=r"trainq\.db"):
        Journal(tmp_path / "trainq.db")


@pytest.mark.parametrize("text", ["{bad", "[]", '{"now": null}', '{"now": NaN, "boot": "", "up": 1, "wall": 1}'])
def test_a_clock_of_ages_that_cannot_be_read_begins_anew(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "trainq.db")
    journal.begin()
    journal.set("ages", text)
    journal.commit()
    journal.close()
    again = Journal(tmp_path / "trainq.db")
    assert abs(again.ages.now() - time.time()) < 60
    again.close()
    assert [text in record.message for record in caplog.records] == [True]


def put(journal: Journal, value: str) -> None:
    journal.begin()
    journal.set("x", value)
    journal.commit()


READER = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
db.execute("BEGIN")
print(db.execute("SELECT count(*) FROM settings").fetchall(), flush=True)
sys.stdin.read()
"""


def test_a_deleted_wal_is_saved_although_somebody_reads(journal: Journal) -> None:
    """With a reader of an older state, SQLite brings a part of the WAL into the database, and does not say so."""
    put(journal, "before")
    command = [sys.executable, "-c", READER, str(journal.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        for number in range(20):
            journal.begin()
            journal.add_events([(number * 50 + n, 1.0, "queue", bytes(500)) for n in range(50)])
            journal.set("x", str(number))
            journal.commit()
        wal_of(journal.path).unlink()
        with pytest.raises(GoneError, match="All that was confirmed is in"):
            journal.look()
        journal.close()
        again = Journal(journal.path)  # while the reader goes on
        assert (again.setting("x"), again.last_seq()) == ("19", 999)
        put(again, "after")
        again.close()
    with closing(sqlite3.connect(journal.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT value FROM settings WHERE name = 'x'").fetchone() == ("after",)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_a_disk_that_does_not_answer_is_not_gone(journal: Journal, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def stat(_: Path) -> os.stat_result:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("trainqueue.anchor.os.stat", stat)
        put(journal, "written")
        journal.look()
    assert journal.setting("x") == "written"


def test_a_fault_of_ours_is_no_damage(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> NoReturn:
        raise TypeError

    monkeypatch.setattr("trainqueue.search.query", faulty)
    with pytest.raises(TypeError):
        journal.find(Jobs(), 1)
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("INSERT INTO attempts VALUES (1, 1, '{no json', '[]')")
        db.commit()
    with pytest.raises(DamagedError, match="a row is unreadable"):
        journal.attempts()
