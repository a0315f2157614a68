"""What a running job says of itself: the time left shrinks by a step at most, and a bar that stands still says so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from trainqueue.core.job import Job, Pending, Running
from trainqueue.core.lengths import Lengths
from trainqueue.core.past import NoPast
from trainqueue.core.said import said
from trainqueue.core.spec import JobSpec

NOW, HOUR = 1_790_000_000.0, 3600.0
DRAWS = 19


def running(ran: float, *, ago: float, eta: float | None = None, every: float | None = None, **fields: Any) -> Job:
    """It has told of itself so long ago, and used to do it every so many seconds."""
    progress = {"fraction": None, "eta": eta, "every": every, "updated_at": NOW - ago} | fields
    spec = JobSpec(command=("new",), cwd="/w")
    return Job(1, spec, "me", 0.0, 0, 0, state=Running(("a",), 1, NOW - ran), progress=progress)


def rest(job: Job) -> tuple[float, float, float]:
    """First, median and last of what is left."""
    found = Lengths(NoPast()).left(job, NOW, DRAWS, 10.0)
    assert found is not None
    return found.seconds[1], found.seconds[9], found.seconds[-2]


@pytest.mark.parametrize(
    ("ago", "every", "left"),
    [
        (0.0, 1.0, HOUR),
        (1.0, 1.0, HOUR - 1),
        (9.0, 1.0, HOUR - 1),  # nine steps would have been told
        (60.0, 100.0, HOUR - 60),
        (250.0, 100.0, HOUR - 100),
        (300.0, None, HOUR - 300),  # nobody knows how long its steps take
    ],
)
def test_the_time_left_shrinks_by_a_step_at_most(ago: float, every: float | None, left: float) -> None:
    first, middle, last = rest(running(HOUR + ago, ago=ago, eta=HOUR, every=every))
    assert middle == pytest.approx(left, rel=0.003)
    assert first < middle < last < 1.2 * left


def test_a_bar_that_stands_still_may_stand_for_as_long_again_and_far_longer() -> None:
    bounds = [rest(running(HOUR + ago, ago=ago, eta=HOUR, every=1.0)) for ago in (5.0, 30.0, 120.0, 600.0)]
    for sooner, later in pairwise(bounds):
        assert all(before < after for before, after in zip(sooner[1:], later[1:], strict=True))
        assert later[2] - later[0] > sooner[2] - sooner[0]
    first, middle, last = bounds[-1]
    assert middle == pytest.approx(HOUR - 1 + 590, rel=0.01)
    assert first == pytest.approx(HOUR, rel=0.15)
    assert last > 2 * HOUR


def test_a_bar_that_stands_still_just_before_its_end_is_not_about_to_end() -> None:
    assert rest(running(HOUR, ago=300.0, eta=20.0, every=10.0))[1] == pytest.approx(10 + 270, rel=0.1)
    assert rest(running(HOUR, ago=12.0, eta=20.0, every=10.0))[1] < 12


def test_who_takes_long_for_a_step_is_believed_for_some_steps() -> None:
    """As one that tells its epochs only: the last one begins, and takes an hour."""
    its = said(running(9 * HOUR, ago=0.9 * HOUR, eta=HOUR, every=HOUR), NOW)
    assert its is not None
    assert (its.total, its.had, its.since, its.still) == pytest.approx((9.1 * HOUR, 8.1 * HOUR, 0.9 * HOUR, 0.0))
    assert said(running(9 * HOUR, ago=0.9 * HOUR, eta=HOUR), NOW) is None
    assert said(running(9 * HOUR, ago=3.1 * HOUR, eta=HOUR, every=HOUR), NOW) is None


@pytest.mark.parametrize(
    "job",
    [
        running(100.0, ago=0.0),
        running(100.0, ago=-5.0, eta=10.0),
        running(100.0, ago=0.0, fraction=0.0),
        running(100.0, ago=0.0, eta=1e300),
        Job(1, JobSpec(command=("new",), cwd="/w"), "me", 0.0, 0, 0, state=Pending(("a",), NOW)),
    ],
)
def test_who_says_nothing_of_its_end_says_nothing(job: Job) -> None:
    assert said(job, NOW) is None
