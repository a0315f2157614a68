"""Moves: where a job comes to stand beside those that have no position, and what the numbers of the places cost."""

from __future__ import annotations

from core.machine import spec
from core.test_gates import active, end, line, some, submitted

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core


def paused() -> Core:
    core = Core(["a"])
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    return core


def order(core: Core) -> list[int]:
    """Of all that wait."""
    return sorted(core.jobs, key=lambda job: (-core.jobs[job].band, core.jobs[job].rank, job))


def test_the_front_is_the_front_where_nobody_has_a_position() -> None:
    core = paused()
    submitted(core, *some(4, hold=True))
    core.handle(ev.Move(3, position=1), 1.0)
    core.validate()
    assert order(core) == [3, 1, 2, 4]
    core.handle(ev.Move(3), 1.0)
    assert order(core) == [1, 2, 4, 3]
    for job in range(1, 5):
        core.handle(ev.Release(job), 1.0)
    assert line(core) == [1, 2, 4, 3]


def test_moves_to_one_place_renumber_few_jobs_and_keep_the_order() -> None:
    core = Core(["a"])
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    count = 2000
    submitted(core, *some(count), *some(count, group="g", max_running=1), *some(10, hold=True))
    expected, renumbered = [job.id for job in core.line.page(0, count + 1)], 0
    for job in range(3, count):
        effects = core.handle(ev.Move(job, before=2), 1.0)
        expected.remove(job)
        expected.insert(expected.index(2), job)
        renumbered += sum(isinstance(effect, fx.Moved) and not effect.told for effect in effects)
    core.validate()
    assert line(core) == expected
    assert renumbered < 4 * count
    ranks = [job.rank for job in core.jobs.values()]
    assert len({*ranks}) == len(ranks)
    assert max(map(abs, ranks)) < 2**62


def test_a_renumbering_takes_those_with_it_who_run_and_may_come_back() -> None:
    core = Core(["a"])
    submitted(core, *some(5, retries={"exit": 1}, priority=0))
    submitted(core, *some(3, priority=0))
    [early] = submitted(core, spec())
    core.handle(ev.Move(early, position=1), 1.0)
    end(core, 1)  # so that the early one runs, whose place is before all others
    assert active(core) == [early]
    for _ in range(100):
        core.handle(ev.Move(3, position=2), 1.0)
        core.handle(ev.Move(4, position=2), 1.0)
    assert core.jobs[early].rank < min(job.rank for job in core.jobs.values() if job.id != early)
    core.handle(ev.AttemptStarted(early, 1, 42, 1.0), 1.0)
    core.handle(ev.Preempt(early), 1.0)
    core.validate()
