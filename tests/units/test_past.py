"""Earlier runs of a command: from the journal, from memory, and of those that have only just ended."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from trainqueue.core.job import Completed, Failed, Job
from trainqueue.core.past import Runs
from trainqueue.core.spec import JobSpec
from trainqueue.journal import Journal
from trainqueue.past import JournalPast, Run, run_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

TRAIN = JobSpec(command=("train", "--lr", "1"), cwd="/")


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    home.prepare()
    made = Journal(home.database)
    yield made
    made.close()


def ran(number: int, seconds: float | None, peak: int | None, spec: JobSpec = TRAIN, samples: int = 3) -> Job:
    job = Job(number, spec, "me", 0.5, 0, number, state=Completed(9.0, 1.0, ("GPU-a",), seconds))
    job.peak_memory, job.samples = peak, samples
    return job


def save(journal: Journal, *jobs: Job) -> None:
    for job in jobs:  # each at its own time
        journal.begin()
        journal.save([job])
        journal.commit()


def test_the_last_five_completed_runs_of_the_same_words_in_the_same_folder_count(journal: Journal) -> None:
    save(journal, *(ran(number, float(number), number * 1000) for number in range(1, 8)))
    save(journal, ran(8, 99.0, 1, JobSpec(command=("train", "--lr"), cwd="/")))
    save(journal, ran(9, 99.0, 1, JobSpec(command=TRAIN.command, cwd="/elsewhere")))
    failed = ran(10, 99.0, 1)
    failed.state = Failed(9.0, "exit", 1.0, ("GPU-a",), 1, run_time=0.1)
    save(journal, failed)
    assert JournalPast(journal).runs(TRAIN) == Runs(3.0, 7.0, 7000)


def test_the_peak_is_the_highest_of_those_that_are_sure(journal: Journal) -> None:
    save(journal, ran(1, 5.0, 3000), ran(2, None, None), ran(3, 5.0, 1000), ran(4, 5.0, 9000, samples=2))
    assert JournalPast(journal).runs(TRAIN) == Runs(5.0, 5.0, 3000)
    assert JournalPast(journal).runs(JobSpec(command=("other",), cwd="/")) == Runs()


def test_a_run_counts_as_soon_as_it_has_ended_whether_it_is_written_down_or_not(journal: Journal) -> None:
    past, job = JournalPast(journal), ran(1, 5.0, 1000)
    past.ended(job)
    assert past.runs(TRAIN) == Runs(5.0, 5.0, 1000)  # asked for the first time, and not written yet
    past.ended(ran(2, 7.0, 2000))
    assert past.runs(TRAIN) == Runs(5.0, 7.0, 2000)  # known already
    save(journal, job, ran(2, 7.0, 2000))
    past.written([job])
    assert JournalPast(journal).runs(TRAIN) == Runs(5.0, 7.0, 2000)


class Rows:
    """A journal that counts how often it is asked, and can be broken."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    def runs(self, key: int, limit: int) -> list[Run]:
        assert limit == 5
        self.asked += 1
        if self.broken:
            raise sqlite3.DatabaseError
        return [(float(key % 7 + 1), None)]


def test_a_run_that_was_hardly_looked_at_says_nothing_of_memory(journal: Journal) -> None:
    past = JournalPast(journal)
    for number, samples in enumerate((1, 2)):
        past.ended(ran(number + 1, 5.0, 1000, samples=samples))
    assert past.runs(TRAIN) == Runs(5.0, 5.0, None)
    past.ended(ran(3, 5.0, 500, samples=3))
    assert past.runs(TRAIN) == Runs(5.0, 5.0, 500)


def test_what_was_asked_is_remembered_and_not_without_bound() -> None:
    rows = Rows()
    past = JournalPast(rows, most=2)
    specs = [JobSpec(command=(name,), cwd="/") for name in "abc"]
    for spec in (specs[0], specs[1], specs[0], specs[1]):
        past.runs(spec)
    assert rows.asked == 2
    past.runs(specs[2])  # the first makes room for it
    past.runs(specs[1])
    assert rows.asked == 3
    past.runs(specs[0])
    assert rows.asked == 4


def test_where_the_history_cannot_be_read_nothing_is_known() -> None:
    rows = Rows()
    rows.broken = True
    assert JournalPast(rows).runs(TRAIN) == Runs()


def test_a_key_tells_words_apart() -> None:
    specs = [JobSpec(command=command, cwd="/") for command in (("a b",), ("a", "b"), ("a", "b", ""))]
    assert len({run_key(spec) for spec in specs}) == 3
    assert run_key(specs[0]) == run_key(JobSpec(command=("a b",), cwd="/", name="other", gpus=2))


def test_the_last_runs_are_found_by_an_index(home: Home, journal: Journal) -> None:
    save(journal, ran(1, 1.0, 1))
    with sqlite3.connect(home.database) as db:
        asked = "EXPLAIN QUERY PLAN SELECT detail, peak_memory FROM jobs WHERE run_key=? ORDER BY ended DESC LIMIT ?"
        [(*_, plan)] = db.execute(asked, (1, 5)).fetchall()
    db.close()
    assert "USING INDEX jobs_run (run_key=?)" in plan


def test_peak_and_time_at_the_front_survive_in_the_journal(journal: Journal) -> None:
    job = ran(1, 1.0, 123)
    job.stood = {"gpu-foreign": 1.5}
    save(journal, job)
    read = journal.job(1)
    assert read is not None
    assert (read.peak_memory, read.samples, read.stood) == (123, 3, {"gpu-foreign": 1.5})
