"""Environments in a real journal: kept once, shared, removed when nobody has them, never started with when damaged."""

from __future__ import annotations

import gc
import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest
from house import rows

from trainqueue import environments, prune
from trainqueue.core.job import Completed, Job, Queued
from trainqueue.core.spec import JobSpec
from trainqueue.damage import DamagedError
from trainqueue.journal import Journal
from trainqueue.salvage import recover as salvage
from trainqueue.settings import HistorySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

BIG = {f"V{at:03}": "x" * 100 for at in range(100)}


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    home.prepare()
    made = Journal(home.database)
    yield made
    made.close()


def job(number: int, env: dict[str, str] | None, *, ended: bool = False) -> Job:
    spec = JobSpec(command=("a",), cwd="/", env=env)
    return Job(number, spec, "me", 0.5, 0, number << 32, 1, Completed(3.0, 2.0) if ended else Queued())


def save(journal: Journal, *jobs: Job) -> None:
    journal.begin()
    journal.save(jobs)
    journal.commit()


def kept(home: Home) -> int:
    return int(rows(home, "SELECT count(*) FROM environments")[0][0])


def test_the_same_environment_is_kept_once_and_shared_when_it_comes_back(journal: Journal, home: Home) -> None:
    save(journal, *(job(number, {**BIG}) for number in range(1, 1001)), job(1001, {"A": "1"}), job(1002, None))
    assert kept(home) == 2
    assert rows(home, "SELECT max(length(spec)) FROM jobs") < [(100,)]
    journal.close()
    again = Journal(home.database)
    found = [*again.alive()]
    assert {id(each.spec.env) for each in found[:1000]} == {id(found[0].spec.env)}
    assert (found[0].spec.env, found[1000].spec.env, found[1001].spec.env) == (BIG, {"A": "1"}, None)
    again.close()


def test_specs_that_are_submitted_share_it_before_anything_is_written(journal: Journal) -> None:
    specs = [JobSpec(command=("a",), cwd="/", env={**BIG}) for _ in range(3)]
    journal.environments.share(specs)
    assert specs[0].env == BIG
    assert specs[0].env is specs[1].env is specs[2].env
    assert "env" in msgspec.to_builtins(specs[0])


def test_what_a_disk_refused_is_written_the_next_time(journal: Journal, home: Home) -> None:
    first = job(1, {**BIG})
    journal.environments.share([first.spec])
    journal.begin()
    journal.save([first])
    journal.rollback()
    save(journal, first)
    assert kept(home) == 1
    assert journal.job(1) == first


def test_a_row_of_an_older_release_has_it_in_its_spec_and_shares_it_all_the_same(journal: Journal, home: Home) -> None:
    save(journal, job(1, None), job(2, None), job(3, {**BIG}))
    spec = msgspec.msgpack.encode(JobSpec(command=("a",), cwd="/", env=BIG)).hex()
    rows(home, f"UPDATE jobs SET spec = x'{spec}' WHERE id < 3")
    first, second, third = journal.alive()
    assert first.spec.env is second.spec.env is third.spec.env
    assert first.spec.env == BIG
    save(journal, first)
    assert rows(home, "SELECT count(*) FROM jobs WHERE env IS NOT NULL") == [(2,)]


def test_retention_removes_those_that_no_job_has(journal: Journal, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "LINGER", -1.0)
    monkeypatch.setattr(environments, "LOOKED_AT", 2)
    ended = [job(number, {"N": str(number)}, ended=True) for number in range(1, 7)]
    waits, unsaved = job(7, {"N": "1"}), job(8, {"N": "2"})
    journal.environments.share([unsaved.spec])
    save(journal, *ended, waits)
    for _ in range(5):
        journal.tidy(journal.plan(HistorySettings(max_jobs=1)), [], [])
        save(journal, *(job(number, {"N": "6"}, ended=True) for number in (9, 10)))
    assert rows(home, "SELECT count(*) FROM jobs WHERE ended IS NOT NULL") < [(4,)]
    assert kept(home) == 2
    save(journal, unsaved)  # its own had been there before
    assert kept(home) == 3
    assert [each.spec.env for each in journal.alive()] == [{"N": "1"}, {"N": "2"}]


def test_no_job_starts_with_a_damaged_one(journal: Journal, home: Home) -> None:
    save(journal, job(1, {**BIG}), job(2, {"A": "1"}), job(3, {"A": "2"}, ended=True))
    journal.close()
    gc.collect()
    rows(home, "UPDATE environments SET body = x'81a141a139' WHERE length(body) < 100")
    again = Journal(home.database)
    with pytest.raises(DamagedError, match="the environment of a job is damaged"):
        again.alive()
    again.close()
    assert salvage.fault_of(home.database) == "an environment is damaged"
    report = salvage.recover(home)
    assert report is not None
    assert (report.jobs, report.bare, report.held) == (3, [2, 3], [2])
    assert salvage.fault_of(home.database) is None
    again = Journal(home.database)
    first, second = again.alive()
    assert (first.spec.env, first.state) == (BIG, Queued())
    assert (second.spec.env, second.state) == (None, Queued(held=True))
    again.close()


def test_a_missing_one_is_damage(journal: Journal, home: Home) -> None:
    save(journal, job(1, {"A": "1"}))
    journal.close()
    rows(home, "DELETE FROM environments")
    assert salvage.fault_of(home.database) == "the environment of job 1 is missing"
    again = Journal(home.database)
    with pytest.raises(DamagedError, match="is missing"):
        again.job(1)
    again.close()


def test_that_nobody_has_it_is_found_without_reading_all_jobs(journal: Journal) -> None:
    db = sqlite3.connect(journal.path)
    plan = db.execute("EXPLAIN QUERY PLAN SELECT 1 FROM jobs WHERE env=? LIMIT 1", (b"",)).fetchall()
    db.close()
    assert "USING COVERING INDEX jobs_env" in plan[0][-1]
