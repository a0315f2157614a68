"""The journal with many ended jobs: pages come from indexes and are what a scan would say; totals are kept."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from trainqueue import prune, search
from trainqueue.core.job import Cancelled, Completed, Ended, Failed, Job, Lost, Queued, Running, State
from trainqueue.core.spec import JobSpec
from trainqueue.journal import Journal
from trainqueue.settings import HistorySettings
from trainqueue.wire import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainqueue.core.job import StateName

MANY = 20_000
ENDED: tuple[StateName, ...] = ("completed", "failed", "cancelled", "lost")
BOUNDED = re.compile(
    r"SCAN (CONSTANT ROW$|rubbish$|\(subquery-\d+\)|json_each |jobs USING INDEX jobs_(logs|unmeasured)$)"
)
"""A page's own parts, what was asked for, and indexes of what there is to do: all of them end with the limit."""


def states() -> tuple[State, ...]:
    return (
        Completed(20.0, 5.0, ("g",)),
        Failed(9.0, "exit", 8.0, ("g", "h"), exit_code=4),
        Cancelled(3.0),
        Lost(40.0, "reboot", 10.0, ("g",)),
        Queued(held=True),
        Running(("g", "h"), 7, 2.0),
    )


def made(number: int, dice: random.Random) -> Job:
    fields: dict[str, Any] = {
        "name": f"name {dice.randrange(5)}",
        "group": dice.choice((None, "g", "h")),
        "tags": {key: str(dice.randrange(3)) for key in "ab" if dice.random() < 0.5},
    }
    spec = JobSpec(command=("a",), cwd="/", **fields)
    return Job(number, spec, "me", 0.5, 0, number << 32, 1, dice.choice(states()))


def save(journal: Journal, jobs: list[Job]) -> None:
    journal.begin()
    journal.save(jobs)
    journal.commit()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = Journal(tmp_path_factory.mktemp("journal") / "trainq.db")
    dice = random.Random(4)
    save(journal, [made(number, dice) for number in range(1, MANY + 1)])
    journal.begin()
    journal.add_events([(seq, 0.0, "job.1", b"") for seq in range(1, MANY + 1)])
    journal.add_keys([(f"key {number}", b"") for number in range(MANY)])
    journal._db.execute("UPDATE jobs SET log_bytes = 10 WHERE ended IS NOT NULL AND id % 2")
    journal.commit()
    yield journal
    journal.close()


def plan_of(journal: Journal, sql: str, values: object = ()) -> list[str]:
    return [str(row[3]) for row in journal._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]  # type: ignore[arg-type]


def unbounded(plan: list[str]) -> list[str]:
    return [step for step in plan if (step.startswith("SCAN") and not BOUNDED.match(step)) or "TEMP B-TREE" in step]


PAGES = (
    Jobs(states=ENDED),
    Jobs(states=ENDED, before=9000),
    Jobs(states=("lost",), limit=10_000),
    Jobs(name="name 3"),
    Jobs(name="name 3", states=ENDED, before=7),
    Jobs(group="g", states=("failed",)),
    Jobs(group="g", before=500),
    Jobs(tag={"a": "1"}),
    Jobs(tag={"a": "1", "b": "2"}, states=ENDED, group="h", name="name 1"),
    Jobs(jobs=(1, 5, MANY), name="name 1", states=ENDED),
)


@pytest.mark.parametrize("wanted", PAGES)
def test_a_page_never_reads_the_whole_history(many: Journal, wanted: Jobs) -> None:
    plan = plan_of(many, *search.query(wanted, 101))
    assert unbounded(plan) == []
    assert any(step.startswith("SEARCH") for step in plan)


def test_the_newest_of_all_are_read_from_the_end(many: Journal) -> None:
    assert plan_of(many, *search.query(Jobs(), 101)) == ["SCAN jobs"]  # by id, as far as the limit


def test_the_check_of_plans_would_see_a_scan(many: Journal) -> None:
    assert unbounded(plan_of(many, "SELECT * FROM jobs WHERE user = 'me'"))
    assert unbounded(plan_of(many, "SELECT min(seq), max(seq) FROM events"))
    assert unbounded(plan_of(many, "SELECT id FROM jobs ORDER BY submitted_at"))


def test_neither_start_nor_figures_nor_retention_read_the_whole_history(many: Journal) -> None:
    asked: list[str] = []
    many._db.set_trace_callback(asked.append)
    limits = HistorySettings(max_jobs=MANY, max_age_days=1, max_log_bytes=1)
    for look in (many.next_id, many.last_seq, many.first_seq, many.ended_counts, many.totals):
        look()
    assert len(many.states_of([1, 2, 3])) <= 3
    assert many.job(7)
    assert many.events_after(100, 10)
    prune.plan(many._db, limits, many.ages.now())
    prune.work(many._db, prune.Plan(), more=False)
    many._db.set_trace_callback(None)
    assert len(asked) > 10
    for sql in asked:
        if not sql.startswith(("SELECT state, jobs", "SELECT sum(")):  # the five rows of `totals`
            assert unbounded(plan_of(many, sql)) == [], sql


def matches(job: Job, wanted: Jobs) -> bool:
    return (
        (wanted.jobs is None or job.id in wanted.jobs)
        and (wanted.states is None or job.state.name in wanted.states)
        and (wanted.name is None or job.spec.name == wanted.name)
        and (wanted.group is None or job.spec.group == wanted.group)
        and (wanted.before is None or job.id < wanted.before)
        and all(job.spec.tags.get(key) == value for key, value in (wanted.tag or {}).items())
    )


def some_page(dice: random.Random) -> Jobs:
    def maybe(value: Any) -> Any:
        return value if dice.random() < 0.4 else None

    names = [state.name for state in states()]
    return Jobs(
        jobs=maybe(tuple(dice.sample(range(1, 400), 40))),
        states=maybe(tuple(dice.sample(names, dice.randrange(4)))),
        name=maybe(f"name {dice.randrange(6)}"),
        group=maybe(dice.choice("gh")),
        before=maybe(dice.randrange(1, 400)),
        tag=maybe({key: str(dice.randrange(3)) for key in "ab" if dice.random() < 0.7}),
    )


def kept(jobs: dict[int, Job], name: str) -> list[float]:
    """What `totals` must say of a state: count, GPU seconds, seconds waited."""
    ended = [(job, job.state) for job in jobs.values() if job.state.name == name and isinstance(job.state, Ended)]
    used = [(end.ended_at - end.started_at) * len(end.gpu_ids) for _, end in ended if end.started_at is not None]
    waited = [end.started_at - job.submitted_at for job, end in ended if end.started_at is not None]
    return [len(ended), sum(used), sum(waited)]


@pytest.mark.parametrize("seed", range(3))
def test_pages_and_totals_are_what_a_scan_would_say(tmp_path: Path, seed: int) -> None:
    dice, journal = random.Random(seed), Journal(tmp_path / "trainq.db")
    jobs: dict[int, Job] = {}
    for _ in range(25):
        changed = {number: made(number, dice) for number in dice.sample(range(1, 400), 30)}
        jobs |= changed
        save(journal, [*changed.values()])
        wanted = some_page(dice)
        expected = sorted((number for number, job in jobs.items() if matches(job, wanted)), reverse=True)[:20]
        assert [job.id for job in journal.find(wanted, 20)] == expected, wanted
    for _ in range(100):
        wanted = some_page(dice)
        expected = sorted((number for number, job in jobs.items() if matches(job, wanted)), reverse=True)[:20]
        assert [job.id for job in journal.find(wanted, 20)] == expected, wanted
    for name in ENDED:
        found = journal.totals()[name]
        assert [found.jobs, found.gpu_seconds, found.waited] == pytest.approx(kept(jobs, name))
    journal.close()


def test_records_go_in_small_steps_and_stay_in_the_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "LINGER", 0.0)
    journal = Journal(tmp_path / "trainq.db")
    spec, end = JobSpec(command=("a",), cwd="/"), Completed(3.0, 1.0, ("g",))
    save(journal, [Job(number, spec, "me", 0.0, 0, number, state=end) for number in range(1, 501)])
    removed: list[int] = []
    counted: list[int] = []
    while True:
        work = journal.tidy(journal.plan(HistorySettings(max_jobs=50)), [], removed)
        removed = [job for job, _ in work.remove]
        counted.append(sum(work.forgotten.values()))
        if not work.more:
            break
    assert counted == [100, 100, 100, 100, 50, 0]
    assert journal.ended_counts() == {"completed": 50}
    assert [job.id for job in journal.find(Jobs(), 1000)] == [*range(500, 450, -1)]
    assert sum(found.gpu_seconds for found in journal.totals().values()) == 1000.0
    journal.close()
