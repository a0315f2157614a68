"""Recovery of damaged databases, written by a real journal and damaged byte by byte."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trainqueue import damage, guard
from trainqueue.cli import checks
from trainqueue.cli.doctor import told
from trainqueue.core.job import Completed, Job, Queued
from trainqueue.core.spec import JobSpec
from trainqueue.damage import DamagedError
from trainqueue.journal import Journal
from trainqueue.launch import local
from trainqueue.salvage import pages
from trainqueue.salvage import recover as salvage
from trainqueue.schema import FIRST
from trainqueue.wire import Jobs

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home

JOBS = 600
PAGE = 4096
TABLES = ("jobs", "events", "attempts", "keys", "settings")


@pytest.fixture
def filled(home: Home) -> Home:
    """A home with many jobs, a few of them long; all of it in the database and nothing in the WAL."""
    home.prepare()
    journal = Journal(home.database)
    write(journal, 1, JOBS)
    journal.close()
    return home


def write(journal: Journal, first: int, last: int) -> None:
    journal.begin()
    journal.save([made(number) for number in range(first, last + 1)])
    journal.add_events([(number, 1.0, f"job.{number}", b"body %d" % number) for number in range(first, last + 1)])
    journal.add_keys([(f"{number:032x}", b"answer") for number in range(first, last + 1)])
    journal.save_attempt(first, 1, {"pid": 1, "ticks": 1, "boot_id": "none"}, ("cpu:0",))
    journal.set("paused", "1")
    journal.commit()


def made(number: int) -> Job:
    env = {"LONG": "x" * 20_000} if number % 50 == 0 else {"N": str(number)}
    spec = JobSpec(command=("echo", str(number)), cwd="/", env=env)
    state = Completed(3.0, 2.0) if number % 2 else Queued()
    return Job(number, spec, "me", 0.5, 0, number << 32, 1, state)


def held(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as db:
        found = {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in TABLES}
    found["settings"] = [row for row in found["settings"] if row[0] == "paused"]
    return found


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def pages_of(database: Path, table: str) -> list[int]:
    """The leaves of a table, found by their rows."""
    with closing(pages.Image(database, damage.wal_of(database))) as image:
        widths = {"jobs": range(13, 30), "events": range(4, 5)}[table]
        return [
            number
            for number in range(2, image.count + 1)
            if image.page(number)[0] == pages.TABLE_LEAF
            and any(len(row.values) in widths for row in image.rows_of(number))
        ]


def test_a_whole_database_needs_no_recovery(filled: Home) -> None:
    before = filled.database.read_bytes()
    assert salvage.recover(filled) is None
    assert filled.database.read_bytes() == before


def test_without_its_first_page_nothing_is_lost(filled: Home) -> None:
    """Where the tables begin, and what they are, stands in the first page."""
    before = held(filled.database)
    overwrite(filled.database, 0, random.Random(1).randbytes(PAGE))
    damaged = filled.database.read_bytes()
    with pytest.raises(DamagedError, match=r"trainq\.db is damaged"):
        Journal(filled.database)
    report = salvage.recover(filled)
    assert report is not None
    assert (report.jobs, report.events, report.missing) == (JOBS, JOBS, [])
    assert held(filled.database) == before
    [kept] = report.kept
    assert filled.database.with_name(kept.rpartition("/")[2]).read_bytes() == damaged
    assert salvage.fault_of(filled.database) is None


@pytest.mark.parametrize("seed", range(4))
def test_all_that_is_not_in_the_damaged_pages_is_saved(filled: Home, seed: int) -> None:
    before, chance = held(filled.database), random.Random(seed)
    leaves = chance.sample(pages_of(filled.database, "jobs"), 3)
    with closing(pages.Image(filled.database, damage.wal_of(filled.database))) as image:
        at_risk = {row.rowid for page in leaves for row in image.rows_of(page)}
    for page in leaves:
        overwrite(filled.database, (page - 1) * PAGE, chance.randbytes(PAGE))
    assert salvage.fault_of(filled.database) is not None
    report = salvage.recover(filled)
    assert report is not None
    after = held(filled.database)
    assert {job[0] for job in after["jobs"]} == set(range(1, JOBS + 1)) - at_risk
    assert [row for row in before["jobs"] if row[0] not in at_risk] == after["jobs"]
    assert {*report.missing} == at_risk
    for table in ("events", "keys", "attempts", "settings"):
        assert after[table] == before[table]


def test_in_a_page_that_is_damaged_in_part_the_rest_is_saved(filled: Home) -> None:
    """Its beginning, which says where its rows are, is gone; what is found may be old, so waiting jobs are held."""
    page = pages_of(filled.database, "jobs")[3]
    with closing(pages.Image(filled.database, damage.wal_of(filled.database))) as image:
        inside = {row.rowid for row in image.rows_of(page)}
    overwrite(filled.database, (page - 1) * PAGE, b"\xff" * 60)
    before = len(held_ids(filled))
    report = salvage.recover(filled)
    assert report is not None
    assert report.missing == []
    assert report.jobs == JOBS
    assert {*report.held} == {job for job in inside if job is not None and job % 2 == 0}
    assert len(held_ids(filled)) == before + len(report.held)


def held_ids(home: Home) -> list[int]:
    try:
        with closing(sqlite3.connect(home.database)) as db:
            return [row[0] for row in db.execute("SELECT id FROM jobs WHERE json_extract(detail, '$.held')")]
    except sqlite3.DatabaseError:
        return []


def test_ids_of_jobs_that_are_lost_are_not_used_again(filled: Home) -> None:
    last = pages_of(filled.database, "jobs")[-1]
    overwrite(filled.database, (last - 1) * PAGE, b"\x5a" * PAGE)
    filled.job(JOBS + 7).mkdir()
    report = salvage.recover(filled)
    assert report is not None
    assert JOBS in report.missing
    assert JOBS + 7 in report.missing
    journal = Journal(filled.database)
    assert journal.setting("last_id") == str(JOBS + 7)
    journal.close()


def test_a_database_that_was_cut_short(filled: Home) -> None:
    half = filled.database.stat().st_size // 2 // PAGE * PAGE
    with closing(pages.Image(filled.database, damage.wal_of(filled.database))) as image:
        leaves = [page for page in pages_of(filled.database, "jobs") if page * PAGE <= half]
        before = [row for page in leaves for row in image.rows_of(page)]
    with filled.database.open("r+b") as file:
        file.truncate(half)
    with pytest.raises(DamagedError):
        list(opened(filled).alive())
    report = salvage.recover(filled)
    assert report is not None
    assert report.jobs == len(before)
    assert len(before) > JOBS // 4


def opened(home: Home) -> Journal:
    return Journal(home.database)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(8192), b"SQLite format 3\0" + bytes(10)])
def test_nothing_takes_the_place_of_what_cannot_be_read(filled: Home, content: bytes) -> None:
    filled.job(1).mkdir()
    filled.database.write_bytes(content)
    with pytest.raises(DamagedError, match="doctor --recover" if content else "it is empty, and jobs have run here"):
        Journal(filled.database)
    with pytest.raises(salvage.RecoveryError, match="no job can be found"):
        salvage.recover(filled)
    assert filled.database.read_bytes() == content


# -- the WAL


@pytest.fixture
def unmerged(home: Home) -> Home:
    """A home whose daemon has died: jobs 1-10 are in the database, ten more transactions in the WAL only."""
    return left(home, local.boot_id())


def left(home: Home, boot: str) -> Home:
    home.prepare()
    journal = Journal(home.database)
    write(journal, 1, 10)
    journal.begin()
    journal.set(damage.BOOT, boot)
    journal.commit()
    journal.close()
    journal = Journal(home.database)
    for number in range(11, 21):
        write(journal, number, number)
    copies = {path: path.read_bytes() for path in files(home)}
    journal.close()
    for path, data in copies.items():
        path.write_bytes(data)
    if boot != local.boot_id():
        files(home)[2].unlink()
    return home


def files(home: Home) -> list[Path]:
    """The database, its WAL, and SQLite's index of that."""
    return [home.database.with_name(f"trainq.db{end}") for end in ("", "-wal", "-shm")]


def test_a_death_in_a_transaction_is_no_damage(unmerged: Home) -> None:
    """The frame that was being written is half there, or all of it and not what follows."""
    _, wal, index = files(unmerged)
    whole = wal.read_bytes()
    index.unlink()  # it is behind, since it is written after the frames
    for cut in (1, 2000, PAGE, PAGE + 24, PAGE + 30):
        wal.write_bytes(whole[:-cut])
        damage.refuse_unsound(unmerged.database)
        wal.write_bytes(whole[:-cut] + bytes(cut))
        damage.refuse_unsound(unmerged.database)


def test_damage_in_the_newest_changes_is_noticed(unmerged: Home) -> None:
    """SQLite forgets all that follows, and says nothing."""
    wal = damage.wal_of(unmerged.database)
    overwrite(wal, 32 + 3 * (PAGE + 24) + 1000, b"?!?!")
    before = wal.read_bytes()
    with pytest.raises(DamagedError, match="newest changes"):
        Journal(unmerged.database)
    assert wal.read_bytes() == before
    report = salvage.recover(unmerged)
    assert report is not None
    assert report.broken_frames == 1
    assert (report.jobs, report.missing) == (20, [])
    assert {*report.held} == {*range(2, 21, 2)}
    assert report.kept[1].endswith("-wal")


@pytest.mark.parametrize(
    "garbage", [bytes(PAGE), random.Random(2).randbytes(PAGE), random.Random(3).randbytes(2 * PAGE)]
)
def test_damage_in_any_block_of_the_newest_changes_is_noticed(unmerged: Home, garbage: bytes) -> None:
    """As a disk damages it, in blocks of its own: in almost each of them a frame begins. Every time anew."""
    wal = files(unmerged)[1]
    whole, index = wal.read_bytes(), files(unmerged)[2].read_bytes()
    assert len(whole) > 10 * PAGE
    for at in range(0, len(whole), PAGE):
        wal.write_bytes(whole)
        files(unmerged)[2].write_bytes(index)
        overwrite(wal, at, garbage)
        for _ in range(2):
            with pytest.raises(DamagedError, match="newest changes"):
                damage.refuse_unsound(unmerged.database)


@pytest.mark.parametrize("what", ["zeros", "32 zeros", "cut", "emptied", "removed"])
def test_newest_changes_that_are_gone_are_missed(unmerged: Home, what: str) -> None:
    """The index that the daemon has left says how many there were; what waits may have been changed since."""
    wal = files(unmerged)[1]
    match what:
        case "zeros" | "32 zeros":
            overwrite(wal, 0, bytes(32 if what == "32 zeros" else 2 * PAGE))
        case "cut" | "emptied":
            os.truncate(wal, 32 + 5 * (PAGE + 24) if what == "cut" else 0)
        case _:
            wal.unlink()
    for _ in range(2):
        with pytest.raises(DamagedError, match="newest changes"):
            Journal(unmerged.database)
        assert checks.database(unmerged).result == "problem"
    report = salvage.recover(unmerged)
    assert report is not None
    assert report.jobs == (20 if "zeros" in what else report.jobs)
    assert {*report.held} >= {*range(2, 11, 2)}
    assert salvage.fault_of(unmerged.database) is None


def test_what_a_rollback_left_in_the_wal_is_no_damage(home: Home) -> None:
    """A transaction that did not fit on the disk has written frames, and a shorter one was put over their beginning."""
    home.prepare()
    write(journal := Journal(home.database), 1, 10)
    before = files(home)[1].stat().st_size
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        db.executescript("PRAGMA cache_size=1; BEGIN; CREATE TABLE more AS SELECT * FROM jobs;")
        for _ in range(5):
            db.execute("INSERT INTO more SELECT * FROM more")
        spilled = files(home)[1].stat().st_size
        db.execute("ROLLBACK")
    journal.begin()
    journal.set("paused", "")
    journal.commit()
    assert files(home)[1].stat().st_size == spilled > before + 3 * PAGE
    copy = home.path / "copy"
    copy.mkdir()
    for path in files(home):
        (copy / path.name).write_bytes(path.read_bytes())
    journal.close()
    damage.refuse_unsound(copy / "trainq.db")


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_nothing_looks_at_an_emptied_database_with_sqlite(unmerged: Home, content: bytes) -> None:
    """Which would remove its WAL, with all that was confirmed."""
    before = files(unmerged)[1].read_bytes()
    unmerged.database.write_bytes(content)
    found = {finding.check: finding.result for finding in checks.checks(unmerged)}
    assert (found["database"], found["daemon"]) == ("problem", "problem")
    with pytest.raises(DamagedError):
        Journal(unmerged.database)
    assert files(unmerged)[1].read_bytes() == before


def test_a_database_that_is_gone_is_not_begun_anew(filled: Home) -> None:
    """Jobs may run on; who wants to begin anew says so."""
    filled.job(7).mkdir()
    filled.database.unlink()
    with pytest.raises(DamagedError, match="Put your copy of it there; to begin anew instead, move what is in jobs/"):
        Journal(filled.database)
    found = checks.database(filled)
    assert (found.result, found.advice) == ("problem", damage.BEGIN_ANEW)
    with pytest.raises(salvage.RecoveryError, match="put your copy of it there"):
        salvage.recover(filled)
    filled.job(7).rmdir()
    (filled.path / "jobs").rename(filled.path.parent / "away")
    filled.lock.touch()
    filled.prepare()
    Journal(filled.database).close()


def test_after_a_power_cut_a_missing_frame_is_no_damage(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """What goes without an fsync reaches the disk in any order; SQLite reads what was confirmed, and is believed."""
    wal = damage.wal_of(left(home, "before").database)
    overwrite(wal, 32 + 3 * (PAGE + 24) + 1000, b"?!?!")
    assert salvage.fault_of(home.database) is None
    caplog.clear()
    journal = Journal(home.database)
    assert len([*journal.find(Jobs(), 100)]) >= 10
    journal.close()
    assert ["machine went down" in record.message for record in caplog.records] == [True]


def test_a_wal_that_is_being_written_is_not_judged(unmerged: Home) -> None:
    """It was read while frames and index changed, so that healthy databases were called damaged."""
    overwrite(damage.wal_of(unmerged.database), 32 + 3 * (PAGE + 24) + 1000, b"?!?!")
    assert checks.database(unmerged).result == "problem"
    held = guard.take(unmerged.lock)
    assert checks.database(unmerged).result == "ok"
    os.close(held)
    assert checks.database(unmerged).result == "problem"


def test_a_row_of_an_older_schema_that_is_no_json(home: Home) -> None:
    """It is no reason not to migrate; `doctor` finds it, before and after, and saves the others."""
    home.prepare()
    spec = msgspec.msgpack.encode(JobSpec(command=("true",), cwd="/"))
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        db.executescript(f"{FIRST} PRAGMA user_version=1;")
        for number, detail in ((1, "{bad"), (2, '{"ended_at": 3.0}')):
            values = (number, "cancelled", "n", None, "me", 1.0, 0, 1, 1, spec, detail, "{also bad", None)
            db.execute(f"INSERT INTO jobs VALUES ({','.join('?' * len(values))})", values)
    assert salvage.fault_of(home.database) == "the row of job 1 is unreadable"
    journal = Journal(home.database)
    assert journal.job(2) is not None
    with pytest.raises(DamagedError):
        journal.job(1)
    journal.close()
    assert salvage.fault_of(home.database) == "the row of job 1 is unreadable"
    report = salvage.recover(home)
    assert report is not None
    assert report.jobs == 1


@pytest.mark.parametrize("length", [32, 5000])
def test_a_wal_without_its_beginning(unmerged: Home, length: int) -> None:
    overwrite(damage.wal_of(unmerged.database), 0, b"\x5a" * length)
    with pytest.raises(DamagedError, match="newest changes"):
        Journal(unmerged.database)
    report = salvage.recover(unmerged)
    assert report is not None
    assert (report.jobs, report.missing) == (20, [])


def test_a_database_that_is_gone_with_its_wal_left(unmerged: Home) -> None:
    unmerged.database.unlink()
    with pytest.raises(DamagedError, match="missing"):
        Journal(unmerged.database)
    report = salvage.recover(unmerged)
    assert report is not None
    assert 20 not in report.missing


def test_a_recovery_that_was_interrupted_is_finished(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    overwrite(filled.database, 0, bytes(PAGE))
    with monkeypatch.context() as patch:
        patch.delattr(salvage, "finish")
        with pytest.raises(NameError):
            salvage.recover(filled)
    with pytest.raises(DamagedError, match="interrupted"):
        Journal(filled.database)
    report = salvage.recover(filled)
    assert report is not None
    assert report.jobs == JOBS
    assert salvage.recover(filled) is None


@pytest.fixture
def rich(home: Home) -> Home:
    """200 jobs with tags, long environments and all else that a page can hold; the queue is paused."""
    home.prepare()
    journal = Journal(home.database)
    journal.begin()
    for number in range(1, 201):
        job = made(number)
        env = {"A": "value" * (number * 37 % 2500)}
        job.spec = JobSpec(
            command=("true",), cwd="/", env=env, tags={"sweep": "s" * (number * 13 % 700), "n": str(number)}
        )
        journal.save([job])
        journal.add_events([(number, 1.0, f"job.{number}", b"body" * 20)])
        journal.save_attempt(number, 1, {"pid": 1, "ticks": 1, "boot_id": "none"}, ("cpu:0",))
    journal.set("paused", "1")
    journal.commit()
    journal.close()
    return home


@pytest.mark.parametrize("apart", [71, pytest.param(7, marks=pytest.mark.soak)], ids=["some", "many"])
@pytest.mark.parametrize("garbage", [bytes(PAGE), b"garbage from another file\n" * 157 + b"more", b"\xff" * PAGE])
def test_whatever_page_is_damaged_the_rest_is_saved(rich: Home, garbage: bytes, apart: int) -> None:
    """Every so many in turn: a recovery succeeds, loses no job whose pages are whole, and a daemon can start."""
    whole = rich.database.read_bytes()
    for number in range(random.Random(len(garbage) + garbage[0]).randrange(apart), len(whole) // PAGE, apart):
        rich.database.write_bytes(whole)
        overwrite(rich.database, number * PAGE, garbage)
        before = salvage.fault_of(rich.database)
        report = salvage.recover(rich)
        assert (report is None) == (before is None)
        if report is not None:
            assert report.jobs + len(report.missing) == 200
            assert report.jobs >= 200 - 60
        assert salvage.fault_of(rich.database) is None
        journal = Journal(rich.database)
        assert journal.setting("paused") == "1"
        assert len([*journal.alive()]) == len(held_ids(rich)) or journal.attempts()
        journal.close()
        assert not [*rich.path.glob("*.recovering*")]
        for path in rich.path.glob("trainq.db.damaged-*"):
            path.unlink()


def test_tags_that_are_no_json_are_left_out(filled: Home) -> None:
    """As where the rest of a long row was overwritten; the job itself is saved, and so are all others."""
    with closing(sqlite3.connect(filled.database)) as db, db:
        db.execute("DROP TRIGGER tags_changed")
        db.execute("UPDATE jobs SET tags='{bad' WHERE id=3")
        db.execute("UPDATE jobs SET detail='5' WHERE id=4")
    overwrite(filled.database, 0, bytes(PAGE))
    report = salvage.recover(filled)
    assert report is not None
    assert (report.jobs, report.missing) == (JOBS - 1, [4])
    assert not report.paused


def test_where_the_settings_are_lost_the_queue_is_paused(filled: Home) -> None:
    with closing(sqlite3.connect(filled.database)) as db:
        [(root,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name='settings'").fetchall()
    overwrite(filled.database, (root - 1) * PAGE, b"\xa5" * PAGE)
    report = salvage.recover(filled)
    assert report is not None
    assert report.paused
    journal = Journal(filled.database)
    assert (journal.setting("paused"), journal.setting("pause_reason")) == ("1", salvage.LOST_SETTINGS)
    journal.close()
    assert any("trainq-cli resume" in line for line in told(report))


def test_a_recovery_that_fails_leaves_nothing_behind(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    overwrite(filled.database, 0, bytes(PAGE))
    before = {path.name for path in filled.path.iterdir()}

    def full(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("disk is full")
        raise error

    monkeypatch.setattr(salvage, "complete", full)
    with pytest.raises(salvage.RecoveryError, match=r"disk is full\. Nothing was changed"):
        salvage.recover(filled)
    assert {path.name for path in filled.path.iterdir()} - {"trainqd.lock"} == before
