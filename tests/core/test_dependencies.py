"""Who waits for whom: jobs that must complete, fail or just end, and whole groups."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from core.machine import Machine, spec

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.groups import is_let_down
from trainqueue.core.why import why
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from trainqueue.core.job import StateName


def machine() -> Machine:
    """Jobs that need no GPU, one at a time: the first stays in the way until it is ended."""
    made = Machine(0, cpu_jobs=100)
    made.do(ev.Tick())
    return made


def submit(made: Machine, **fields: Any) -> int:
    [job] = made.submit(spec(gpus=0, **fields))
    return job


def end(made: Machine, job: int, code: int = 0) -> None:
    made.run(job)
    made.end(job, code)


def ended(made: Machine, job: int) -> tuple[str, str]:
    """State and message of its end."""
    state = next(change.job.state for change in reversed(made.changed) if change.job.id == job)
    return state.name, getattr(state, "message", "")


@pytest.mark.parametrize(
    ("field", "code", "starts"),
    [
        *[("after", 0, True), ("after", 1, False), ("after_any", 1, True)],
        *[("after_failed", 1, True), ("after_failed", 0, False)],
    ],
)
def test_it_starts_when_what_it_waits_for_has_ended_as_asked(field: str, code: int, starts: bool) -> None:  # noqa: FBT001
    made = machine()
    first = submit(made)
    second = submit(made, **{field: (first,)})
    third = submit(made, after_any=(second,))
    assert why(made.core, made.core.jobs[second], 0.0) == ("dependency", f"waits for job {first}")
    end(made, first, code)
    assert (second in made.started) is starts
    if not starts:
        word = "did not complete: it ended failed" if field == "after" else "did not fail: it ended completed"
        assert ended(made, second) == ("cancelled", f"job {first} {word}")
        assert third in made.started


def test_a_cancelled_job_has_not_failed() -> None:
    made = machine()
    first = submit(made, hold=True)
    second = submit(made, after_failed=(first,))
    made.do(ev.Cancel(first))
    assert ended(made, second)[0] == "cancelled"


def test_a_kept_job_is_held_with_the_reason_and_starts_when_released() -> None:
    made = machine()
    first, other = submit(made), submit(made)
    second = submit(made, after=(first, other), keep=True)
    end(made, first, 1)
    code, sentence = why(made.core, made.core.jobs[second], 0.0)
    assert code == "held"
    assert sentence is not None
    assert sentence.startswith(f"job {first} did not complete: it ended failed; held: release starts it anyway")
    made.do(ev.Release(second))
    assert why(made.core, made.core.jobs[second], 0.0) == ("dependency", f"waits for job {other}")
    made.restart()
    end(made, other)
    assert second in made.started


def test_a_kept_job_starts_when_who_let_it_down_has_been_tried_again() -> None:
    """The reason moves on to the next that is still not as asked; a person's hold stays."""
    made = machine()
    first, other = submit(made), submit(made)
    free, held = (submit(made, after=(first, other), keep=True) for _ in range(2))
    made.do(ev.Hold(held))
    end(made, first, 1)
    end(made, other, 1)
    states: dict[int, StateName] = {first: "failed", other: "failed"}
    for job in (first, other):
        gone = next(change.job for change in reversed(made.changed) if change.job.id == job)
        made.do(ev.Retry(gone.snapshot()))
        assert is_let_down(made.core.jobs[free])
        end(made, job)
        states[job] = "completed"
        for kept in (free, held):
            made.do(ev.Reconsidered(kept, states))
        sentence = str(why(made.core, made.core.jobs[held], 0.0)[1])
        assert (f"job {other} did not complete" in sentence) == (job == first)
    assert free in made.started
    assert why(made.core, made.core.jobs[held], 0.0) == ("held", "held until it is released")


def test_a_gone_record_frees_nobody() -> None:
    made = machine()
    first, other = submit(made), submit(made)
    kept = submit(made, after=(first, other), keep=True)
    end(made, first, 1)
    end(made, other, 1)
    made.do(ev.Reconsidered(kept, {first: "completed"}))
    made.do(ev.Reconsidered(kept, {}))
    assert why(made.core, made.core.jobs[kept], 0.0)[0] == "held"


def test_what_was_released_stays_so_whatever_else_is_edited() -> None:
    made = machine()
    first, other = submit(made), submit(made)
    second = submit(made, after=(first, other), keep=True)
    end(made, first, 1)
    made.do(ev.Release(second))
    renamed = spec(gpus=0, after=(first, other), keep=True, name="new")
    made.do(ev.Edit(second, renamed, ended={first: "failed"}))
    assert why(made.core, made.core.jobs[second], 0.0) == ("dependency", f"waits for job {other}")


def test_a_kept_job_waits_on_in_another_way_when_that_is_edited() -> None:
    made = machine()
    first, other = submit(made), submit(made)
    second = submit(made, after=(first,), keep=True)
    end(made, first, 1)
    code, sentence = why(made.core, made.core.jobs[second], 0.0)
    assert (code, "did not complete" in str(sentence)) == ("held", True)
    made.do(ev.Edit(second, spec(gpus=0, after=(other,), keep=True)))
    assert why(made.core, made.core.jobs[second], 0.0) == ("dependency", f"waits for job {other}")
    made.do(ev.Edit(second, spec(gpus=0, keep=True)))
    assert second in made.started


def test_an_edit_of_what_was_let_down_and_released_once_does_not_hold_it_again() -> None:
    made = machine()
    first, other = submit(made), submit(made)
    job = submit(made, after=(first,), keep=True, hold=True)
    made.do(ev.Release(job))
    end(made, first, 1)
    made.do(ev.Edit(job, spec(gpus=0, after=(other,), keep=True, hold=True)))
    assert why(made.core, made.core.jobs[job], 0.0) == ("dependency", f"waits for job {other}")


def test_what_ended_without_a_record_has_not_completed_for_a_new_wish() -> None:
    made = machine()
    first, blocker = submit(made), submit(made)
    waiter = submit(made, after_any=(first,), after=(blocker,))
    end(made, first, 1)
    made.do(ev.Edit(waiter, spec(gpus=0, after_any=(first,), after=(blocker,), name="same wish, record gone")))
    assert made.core.jobs[waiter].waits_for == {blocker}
    with pytest.raises(RequestError, match=f"after: there is no job {first}"):
        made.do(ev.Edit(waiter, spec(gpus=0, after=(first, blocker))))


def test_a_retry_that_would_end_at_once_is_refused() -> None:
    made = machine()
    first = submit(made)
    second = submit(made, after=(first,))
    end(made, first, 1)
    gone = next(change.job for change in reversed(made.changed) if change.job.id == second)
    with pytest.raises(RequestError, match=f"job {first} did not complete: it ended failed, so job {second} would"):
        made.do(ev.Retry(gone.snapshot(), {first: "failed"}))
    made.do(ev.Retry(gone.snapshot(), {first: "failed"}, spec=spec(gpus=0, after=(first,), keep=True)))
    assert why(made.core, made.core.jobs[second], 0.0)[0] == "held"


def test_an_end_that_was_fine_for_one_wish_may_not_be_for_another() -> None:
    made = machine()
    first, second = submit(made), submit(made, hold=True)
    waiter = submit(made, after=(first, second))
    end(made, first)
    wish = ev.Edit(waiter, spec(gpus=0, after=(second,), after_failed=(first,)), ended={first: "completed"})
    with pytest.raises(
        RequestError, match=f"job {first} did not fail: it ended completed, so job {waiter} would never"
    ):
        made.do(wish)
    assert made.core.jobs[waiter].waits_for == {second}


@pytest.mark.parametrize("field", ["after", "after_failed"])
def test_another_wish_of_a_job_that_has_begun_again_is_waited_for(field: str) -> None:
    """What it has got of it, which is all that is known where its record is gone, was another wish."""
    made = machine()
    first, second = submit(made), submit(made, hold=True)
    waiter = submit(made, after_any=(first, second))
    end(made, first, 1)
    made.do(ev.Retry(next(change.job for change in reversed(made.changed) if change.job.id == first).snapshot()))
    wish: dict[str, Any] = {field: (first,)}
    made.do(ev.Edit(waiter, spec(gpus=0, **wish), ended={first: "completed"}))
    assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", f"waits for job {first}")


def test_one_that_was_handed_over_waits_for_nothing_any_more() -> None:
    made = machine()
    first = submit(made, group="g")
    waiter = submit(made, after=(first,), after_group=("g",))
    made.do(ev.Adopt(waiter, ()))
    end(made, first, 1)
    assert made.state(waiter) == "pending"


# -- groups


def test_a_group_is_waited_for_as_it_was_when_the_job_came() -> None:
    made = machine()
    some = [submit(made, group="sweep") for _ in range(3)]
    waiter = submit(made, after_group=("sweep",))
    late = submit(made, group="sweep", hold=True)
    assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", "waits for 3 jobs of group sweep")
    for job in some:
        assert waiter not in made.started
        if job == some[1]:
            made.restart()
        end(made, job)
    assert waiter in made.started
    assert made.state(late) == "queued"


def test_a_job_of_a_group_that_does_not_complete_lets_down_who_waits_for_the_group() -> None:
    made = machine()
    first, second = submit(made, group="g"), submit(made, group="g")
    waiter, kept = submit(made, after_group=("g",)), submit(made, after_group=("g",), keep=True)
    end(made, second, 1)
    assert ended(made, waiter) == ("cancelled", f"job {second} did not complete: it ended failed")
    made.do(ev.Release(kept))
    assert kept not in made.started
    end(made, first)
    assert kept in made.started


def test_a_chain_within_one_group() -> None:
    made = machine()
    first = submit(made, group="g")
    chain = [submit(made, group="g", after_group=("g",)) for _ in range(3)]
    end(made, first)
    for job in chain:
        assert made.started[-1] == job
        end(made, job)


def test_a_sweep_after_an_earlier_one_of_its_own_group_runs_side_by_side() -> None:
    made = machine()
    first = submit(made, group="g")
    sweep = made.submit(*[spec(gpus=0, group="g", after_group=("g",))] * 3)
    end(made, first)
    assert {*sweep} <= {*made.started}


def test_three_of_those_that_are_waited_for_are_named() -> None:
    made = machine()
    some = [submit(made, hold=True, group="g") for _ in range(5)]
    waiter = submit(made, after=tuple(some), after_group=("g",))
    assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", "waits for job 1, job 2, job 3 and 3 more")
    made.do(ev.Edit(waiter, spec(gpus=0, after=(some[4], some[2]), after_group=("g",))))
    sentence = "waits for job 3, job 5, 5 jobs of group g"
    assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", sentence)


def test_ended_members_count_by_what_the_journal_says() -> None:
    made = machine()
    made.do(ev.Submit((spec(gpus=0, after_group=("old",)),), "me", groups={"old": None}))
    assert made.started == [1]
    made.do(ev.Submit((spec(gpus=0, after_group=("old",)),), "me", groups={"old": (9, "lost")}))
    assert ended(made, 2) == ("cancelled", "job 9 did not complete: it ended lost")


def test_a_group_that_nobody_knows_is_refused() -> None:
    made = machine()
    with pytest.raises(RequestError, match=r"\$.jobs\[0\].after_group: there is no job of a group 'none'"):
        submit(made, after_group=("none",))
    made.submit(spec(gpus=0, group="new"), spec(gpus=0, after_group=("new",)))


def test_a_new_name_changes_nothing_of_the_group_that_is_waited_for() -> None:
    made = machine()
    member = submit(made, group="g")
    waiter = submit(made, after_group=("g",))
    late = submit(made, group="g", hold=True)
    asked = spec(gpus=0, after_group=("g",), name="new")
    made.do(ev.Edit(waiter, asked, groups={"g": (99, "failed")}))
    assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", "waits for 1 job of group g")
    end(made, member)
    assert waiter in made.started
    assert made.state(late) == "queued"


def test_a_group_that_was_waited_for_is_not_waited_for_again() -> None:
    """Not when one of its jobs is retried, while the job waits for another group, and not after a restart either."""
    made = machine()
    first, second = submit(made, group="g"), submit(made, group="h")
    waiter = submit(made, after_group=("g", "h"))
    end(made, first)
    gone = next(change.job for change in reversed(made.changed) if change.job.id == first)
    made.do(ev.Retry(gone.snapshot()))
    for _ in range(2):
        assert why(made.core, made.core.jobs[waiter], 0.0) == ("dependency", "waits for 1 job of group h")
        made.restart()
    end(made, second)
    assert made.core.line.position(made.core.jobs[waiter]) == 1


def test_who_leaves_a_group_is_not_waited_for_any_more() -> None:
    made = machine()
    member = submit(made, group="g", hold=True)
    waiter = submit(made, after_group=("g",))
    made.do(ev.Edit(member, spec(gpus=0, group="other", hold=True)))
    assert waiter in made.started


def test_who_is_in_the_group_does_not_wait_for_itself() -> None:
    made = machine()
    first, second = submit(made, group="g", hold=True), submit(made, group="g")
    made.do(ev.Edit(first, spec(gpus=0, group="g", after_group=("g",)), hold=False))
    assert first not in made.started
    end(made, second)
    assert first in made.started


def test_thousands_wait_for_a_group_of_thousands() -> None:
    """Whether its jobs complete or not, and whoever is held for that is told once."""
    core = Core([], cpu_jobs=1)
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    began = time.process_time()
    core.handle(ev.Submit((spec(gpus=0, group="g"),) * 3000, "me"), 0.0)
    core.handle(ev.Submit((spec(gpus=0, after_group=("g",), keep=True),) * 3000, "me"), 0.0)
    told = Counter[int]()
    for member in range(1, 3001):
        told.update(each.job.id for each in core.handle(ev.Cancel(member), 1.0) if isinstance(each, fx.Changed))
    assert time.process_time() - began < 4.0
    assert {told[job] for job in range(3001, 6001)} == {2}, "once that they are held, once that nobody is left"
    core.validate()


# -- cycles


def test_a_cycle_is_refused_with_the_chain() -> None:
    made = machine()
    first = submit(made, hold=True)
    second = submit(made, after_failed=(first,))
    third = submit(made, after_any=(second,), group="g")
    with pytest.raises(RequestError, match=f"would wait for itself: {first} -> {third} -> {second} -> {first}"):
        made.do(ev.Edit(first, spec(gpus=0, after=(third,), hold=True)))
    with pytest.raises(RequestError, match=f"would wait for itself: {first} -> {third} -> {second} -> {first}"):
        made.do(ev.Edit(first, spec(gpus=0, after_group=("g",), hold=True)))
    with pytest.raises(RequestError, match=f"would wait for itself: {first} -> {first}"):
        made.do(ev.Edit(first, spec(gpus=0, after=(first,), hold=True)))


def test_a_retry_that_would_close_a_circle_over_a_group_is_refused() -> None:
    made = machine()
    member = submit(made, group="g")
    other = submit(made, group="g", hold=True)
    waiter = submit(made, after_group=("g",), keep=True)
    end(made, member, 1)
    gone = next(change.job for change in reversed(made.changed) if change.job.id == member)
    gone.spec = spec(gpus=0, group="g", after_any=(waiter,))
    with pytest.raises(RequestError, match=f"job {member} would wait for itself: {member} -> {waiter} -> {member}"):
        made.do(ev.Retry(gone.snapshot()))
    assert made.state(other) == "queued"


def test_a_long_circle_is_told_by_its_ends() -> None:
    made = machine()
    made.core.handle(ev.Submit((spec(gpus=0, hold=True),) * 1200, "me"), made.now)
    for job in range(2, 1201):
        made.core.handle(ev.Edit(job, spec(gpus=0, after=(job - 1,))), made.now)
    with pytest.raises(RequestError) as refused:
        made.core.handle(ev.Edit(1, spec(gpus=0, after=(1200,))), made.now)
    links = "1 -> 1200 -> 1199 -> 1198 -> … -> 4 -> 3 -> 2 -> 1 (1,200 jobs)"
    assert str(refused.value).endswith(f"job 1 would wait for itself: {links}")
