"""Expected starts and ends: through the scheduler's own plan, with bounds, and unknown where nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.course import PLANNED
from trainqueue.core.forecast import NOTHING, Expected, foretell
from trainqueue.core.lanes import Choice
from trainqueue.core.lengths import Lengths
from trainqueue.core.past import NoPast
from trainqueue.core.spec import JobSpec
from trainqueue.core.steps import at_once
from trainqueue.core.world import present

if TYPE_CHECKING:
    from collections.abc import Generator

NOW = 1_790_000_000.0
GIB = 2**30


def spec(seconds: float | None = 100.0, **fields: Any) -> JobSpec:
    """Of a job that is known to take so long."""
    return JobSpec(command=("sleep", str(seconds)) if seconds else ("new",), cwd="/", **fields)


def made(*specs: JobSpec, gpus: int = 1, **more: Any) -> Core:
    """A core that has been told of these jobs; those that start run."""
    core = Core([f"GPU-{index}" for index in range(gpus)], cpu_jobs=more.pop("cpu_jobs", 1), past=NoPast())
    for one in specs:
        core.handle(ev.Submit((one,), "me", **more), NOW)
    for job in core.active():
        core.handle(ev.AttemptStarted(job.id, 1, 1, NOW), NOW)
    return core


def forecast(core: Core, now: float = NOW) -> dict[int, Expected]:
    """With three runs known of each command that says how long it takes."""
    lengths = Lengths(NoPast())
    for job in core.jobs.values():
        if job.spec.command[0] == "sleep":
            for _ in range(3):
                lengths.ended(job.spec, float(job.spec.command[1]))
    found: dict[int, Expected] = at_once(foretell(at_once(present(core, now)), lengths))
    return found


def starts(core: Core, now: float = NOW) -> dict[int, float | None]:
    """In seconds from now, of those that wait."""
    found = forecast(core, now)
    waiting = [*core.line.page(0, len(core.line))]
    times = {job.id: found.get(job.id, NOTHING).start for job in waiting}
    return {job: None if at is None else at - now for job, at in times.items()}


def about(seconds: float) -> Any:
    return pytest.approx(seconds, rel=0.1, abs=1.0)


def test_jobs_on_one_gpu_start_one_after_the_other_with_bounds_that_widen() -> None:
    core = made(*[spec()] * 12)
    found = forecast(core)
    assert starts(core) == {job: about(100.0 * (job - 1)) for job in range(2, 13)}
    wide = list[float]()
    for job in range(2, 13):
        one = found[job]
        assert one.start is not None
        assert one.earliest is not None
        assert one.latest is not None
        assert NOW <= one.earliest <= one.start <= one.latest
        assert one.gpu_ids == ("GPU-0",)
        assert one.end == about(one.start + 100)
        wide.append(one.latest - one.earliest)
    assert wide[0] < wide[-1] < 0.6 * 1100


def test_two_gpus_are_filled_in_turn_and_who_comes_free_first_is_taken() -> None:
    core = made(spec(100.0), spec(400.0), spec(100.0), spec(100.0), spec(100.0), gpus=2)
    assert starts(core) == {3: about(100.0), 4: about(200.0), 5: about(300.0)}
    assert forecast(core)[4].gpu_ids == ("GPU-0",)


def test_behind_an_unknown_job_only_the_earliest_start_is_known() -> None:
    core = made(spec(None), spec(), spec(), spec(None), spec())
    found = forecast(core)
    assert found[1] == Expected(end_earliest=NOW)
    assert [(found[job].start, found[job].latest) for job in (2, 3, 4, 5)] == [(None, None)] * 4
    assert [found[job].earliest for job in (2, 3, 4)] == [NOW, about(NOW + 100), about(NOW + 200)]
    both = forecast(made(spec(None), spec(100.0), spec(), spec(), gpus=2))
    assert (both[3].start, both[3].earliest) == (about(NOW + 100), NOW)
    assert (both[3].gpu_ids, both[4].start) == (("GPU-1",), about(NOW + 200))


def test_a_wide_job_is_waited_for_and_passed_as_the_scheduler_does_it() -> None:
    wide = spec(100.0, gpus=2)
    limits = [spec(seconds, time_limit=seconds) for seconds in (100.0, 310.0)]
    core = made(*limits, wide, spec(50.0, time_limit=60.0), spec(1000.0), gpus=2)
    assert starts(core) == {3: about(300.0), 4: about(100.0), 5: about(400.0)}
    assert forecast(core)[3].gpu_ids == ("GPU-0", "GPU-1")


def test_dependencies_moments_and_bounds_of_groups_are_kept() -> None:
    core = made(spec(100.0), spec(100.0, after=(1,)), spec(100.0, after=(2,), priority="high"), spec(10.0), gpus=2)
    assert starts(core) == {2: about(100.0), 3: about(200.0)}
    later = made(spec(100.0), spec(100.0, not_before=NOW + 500), spec(50.0), gpus=1)
    assert starts(later) == {2: about(500.0), 3: about(100.0)}
    group = made(*[spec(100.0, group="g", max_running=1)] * 3, spec(30.0), gpus=4)
    assert starts(group) == {2: about(100.0), 3: about(200.0)}
    after = made(spec(100.0, group="g"), spec(300.0, group="g"), spec(5.0, after_group=("g",)), gpus=4)
    assert starts(after) == {3: about(300.0)}
    failure = made(spec(100.0), spec(5.0, after_failed=(1,)), gpus=2)
    assert starts(failure) == {2: None}


def test_jobs_that_share_a_gpu_and_those_that_need_none() -> None:
    core = made(*[spec(1000.0, gpu_memory=GIB)] * 2, gpus=1)
    assert starts(core) == {2: about(1000.0)}  # a GPU of unknown size is not shared
    cpu = made(spec(), *[spec(50.0, gpus=0)] * 5, spec(), cpu_jobs=2)
    assert starts(cpu) == {4: about(50.0), 5: about(50.0), 6: about(100.0), 7: about(100.0)}


def test_what_only_people_can_let_start_is_unknown() -> None:
    core = made(spec(), spec(hold=True), spec(gpus=8), spec())
    assert starts(core) == {2: None, 3: None, 4: about(100.0)}
    core.handle(ev.SetMode(paused=True, draining=False), NOW)
    assert starts(core) == {2: None, 3: None, 4: None}
    assert forecast(core)[1].end == about(NOW + 100)
    lane = made(spec(), spec())
    lane.handle(ev.SetLane("default", Choice(paused=True)), NOW)
    assert starts(lane) == {2: None}
    lane.handle(ev.SetLane("default", Choice(paused=False, gpus=1)), NOW)
    assert starts(lane) == {2: about(100.0)}


def test_nothing_is_expected_in_the_past() -> None:
    found = forecast(made(spec(), spec()), NOW + 100_000)
    for at in (found[1].end, found[1].end_earliest, found[2].start, found[2].earliest):
        assert at is not None
        assert at >= NOW + 100_000


def test_far_behind_a_mixed_line_jobs_simply_queue_up() -> None:
    many = PLANNED + 60
    core = made(spec(1e4, gpus=2), *[spec(10.0)] * many, spec(10.0, gpus=2), spec(10.0, after=(many,)), gpus=2)
    found = starts(core)
    assert found[many + 1] == about(1e4 + 5 * many)
    assert found[many + 2] == about(1e4 + 5 * many)
    assert (found[many + 3] or 0) >= (found[many + 2] or 0)
    bounded = made(*[spec(10.0, group="g", max_running=2)] * many, gpus=4)
    assert starts(bounded)[many] == about(5 * many - 10)
    late = made(spec(10.0), *[spec(10.0, group="g", max_running=1)] * many, spec(10.0, not_before=NOW + 1e6), gpus=2)
    late.handle(ev.Move(many + 2, 1), NOW)
    assert starts(late)[many + 2] == about(1e6)
    assert starts(late)[many + 1] == about(10 * many)


@pytest.mark.parametrize(("opens", "start", "earliest", "gpu"), [(None, 100, 50, "GPU-0"), (NOW + 1, 1, 1, "GPU-1")])
def test_behind_a_stranger_nobody_knows_when(opens: float | None, start: float, earliest: float, gpu: str) -> None:
    world = at_once(present(made(spec(), spec(), spec(), gpus=2), NOW))
    world.slots[1].usable, world.slots[1].tenants, world.slots[1].opens_in = False, {}, 50.0
    world.running, world.opens = world.running[:1], {"GPU-1": opens}
    lengths = Lengths(NoPast())
    lengths.ended(spec(), 100.0)
    one = at_once(foretell(world, lengths))[3]
    assert (one.start, one.earliest, one.gpu_ids) == (about(NOW + start), about(NOW + earliest), (gpu,))


def test_of_a_job_with_nothing_but_a_time_limit_only_the_latest_end_is_known() -> None:
    core = made(spec(None, time_limit=600.0), spec())
    running, behind = forecast(core).values()
    assert (running.end_earliest, running.end_latest) == (NOW, NOW + 600)
    assert (behind.earliest, behind.latest, behind.end_earliest) == (NOW, NOW + 600, about(NOW + 100))


def test_many_may_wait_for_a_large_group() -> None:
    group = [spec(10.0, group="g")] * 600
    core = made(*group, *[spec(10.0, after_group=("g",))] * 200, gpus=4)
    world = at_once(present(core, NOW))
    assert len(world.gatherings) == 1
    assert world.gathered == len(group)
    found = starts(core)
    assert found[601] == about(10.0 * 600 / 4)
    assert found[800] == about(10.0 * 800 / 4)


JOBS = st.lists(
    st.builds(
        spec,
        st.sampled_from([None, 5.0, 50.0, 500.0]),
        gpus=st.sampled_from([0, 1, 1, 1, 2]),
        priority=st.sampled_from(["normal", "normal", "high"]),
        time_limit=st.sampled_from([None, None, 60.0]),
        not_before=st.sampled_from([None, None, NOW + 77.0]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(JOBS, st.integers(1, 3), st.sampled_from([0.0, 30.0, 1e5]))
def test_whatever_waits_bounds_are_in_order_and_nothing_was_to_happen_before_now(
    jobs: list[JobSpec], gpus: int, later: float
) -> None:
    core, now = made(*jobs, gpus=gpus), NOW + later
    core.handle(ev.Tick(), now)
    for one in forecast(core, now).values():
        for first, middle, last in ((one.earliest, one.start, one.latest), (one.end_earliest, one.end, one.end_latest)):
            known = [at for at in (first, middle, last) if at is not None]
            assert known == sorted(known)
            assert all(at >= now for at in known)
            assert first is not None or not known
        assert one.start is None or one.end is None or one.start <= one.end
        assert one.gpu_ids is None or one.start is not None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([5.0, 50.0, 500.0, None]), max_size=30), st.integers(1, 3))
def test_equal_jobs_keep_their_order_and_the_short_way_is_the_long_one(seconds: list[float | None], gpus: int) -> None:
    core = made(*[spec(some) for some in seconds], gpus=gpus)
    found = [at for at in starts(core).values() if at is not None]
    assert found == sorted(found)
    lengths = Lengths(NoPast())
    for some in seconds:
        if some is not None:
            lengths.ended(spec(some), some)
    answers = list[dict[int, Expected]]()
    for plain in (True, False):
        world = at_once(present(core, NOW))
        world.plain = plain
        answers.append(at_once(foretell(world, lengths)))
    for job, quick in answers[0].items():
        slow = answers[1][job]
        assert quick.gpu_ids == slow.gpu_ids
        assert (quick.start is None, quick.latest is None) == (slow.start is None, slow.latest is None)
        if quick.start is not None and slow.start is not None:
            assert quick.start - NOW == pytest.approx(slow.start - NOW, rel=0.25, abs=5.0)


def test_a_job_may_end_while_the_forecast_is_made() -> None:
    """It is made in steps, and other messages are handled between them."""
    core = made(spec(), spec(), spec())
    world = at_once(present(core, NOW))
    core.handle(ev.AttemptEnded(1, 1, ev.Result(0, None, None, "", NOW, NOW + 1)), NOW + 1)
    assert core.jobs[2].state.name == "pending"
    assert at_once(foretell(world, Lengths(NoPast()))).keys() == {1, 2, 3}


@pytest.mark.parametrize("change", ["move", "edit", "hold"])
def test_a_job_may_change_while_the_forecast_is_made(change: str) -> None:
    """Between two steps, wherever; with one that needs no GPU, and with some that need a plan."""
    at = 0
    while True:
        core = made(spec(), spec(gpus=2), spec(gpus=0), spec(gpus=0), spec(), spec(gpus=0), gpus=2)
        steps = whole(core, NOW)
        try:
            for _ in range(at):
                next(steps)
        except StopIteration:
            break
        {"move": moved, "edit": edited, "hold": held}[change](core)
        for _ in steps:
            pass
        at += 3
    assert at > 15


def whole(core: Core, now: float) -> Generator[None, None, Any]:
    world = yield from present(core, now)
    return (yield from foretell(world, Lengths(NoPast())))


def moved(core: Core) -> None:
    core.handle(ev.Move(6, position=1), NOW)


def edited(core: Core) -> None:
    core.handle(ev.Edit(6, spec(gpus=1)), NOW)


def held(core: Core) -> None:
    core.handle(ev.Hold(6), NOW)
