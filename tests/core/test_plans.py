"""When a plan is made, and that none is made where it could find nothing else: it takes as long as the line is."""

from __future__ import annotations

from typing import Any

import pytest
from core.machine import spec

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core import gpus
from trainqueue.core.arbiter import Core
from trainqueue.core.placement import DEPTH, Walk
from trainqueue.core.plans import AGAIN

RESULT = ev.Result(0, None, None, "", 0.0, 0.0)
BLOCKED = DEPTH + 20


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each was made."""
    made: list[float] = []

    class Counted(Walk):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self._now)

    monkeypatch.setattr(gpus, "Walk", Counted)
    return made


def waiting(blocked: int = BLOCKED) -> Core:
    """Job 1 runs on one of two GPUs; the other is kept for job 2, and many wait behind it."""
    core = Core(["a", "b"])
    core.handle(ev.Submit((spec(), spec(gpus=2), *[spec() for _ in range(blocked)]), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 1, 0.0, 0.0), 0.0)
    core.handle(ev.Progressed(1, 1, {"eta": 50.0, "updated_at": 0.0}), 0.0)
    assert core.kept() == {"b": 2}
    core.validate()
    return core


def submit(**fields: Any) -> ev.Submit:
    return ev.Submit((spec(**fields),), "me")


IDLE: dict[str, ev.Event] = {
    "behind": submit(),
    "short": submit(time_limit=1.0),
    "held": submit(hold=True, priority="high"),
    "without a GPU": submit(gpus=0),
    "clock": ev.Tick(),
    "the same end": ev.Progressed(1, 1, {"eta": 50.0, "updated_at": 0.0, "step": 7}),
    "one behind goes": ev.Cancel(BLOCKED + 2),
    "forgotten": ev.Forgotten({}),
}
DUE: dict[str, ev.Event] = {
    "in front": submit(priority="high"),
    "the head goes": ev.Cancel(2),
    "the head is held": ev.Hold(2),
    "moved to the front": ev.Move(BLOCKED + 2, position=1),
    "edited": ev.Edit(3, spec(time_limit=5.0)),
    "another end": ev.Progressed(1, 1, {"eta": 90.0, "updated_at": 0.0}),
    "stopping": ev.Cancel(1),
    "over": ev.AttemptEnded(1, 1, RESULT),
    "switched off": ev.SetGpu("b", enabled=False),
}


@pytest.mark.parametrize("name", IDLE)
def test_no_plan_where_nothing_else_could_come_of_it(walks: list[float], name: str) -> None:
    core = waiting()
    walks.clear()
    core.handle(IDLE[name], AGAIN / 2)
    assert core.kept() == {"b": 2}
    assert walks == []
    core.validate()


@pytest.mark.parametrize("name", DUE)
def test_a_plan_where_something_else_may_come_of_it(walks: list[float], name: str) -> None:
    core = waiting()
    walks.clear()
    core.handle(DUE[name], AGAIN / 2)
    assert walks == [AGAIN / 2]
    core.validate()


@pytest.mark.parametrize("now", [AGAIN, -1.0])
def test_a_plan_with_reservations_is_made_again_after_a_while_and_when_the_clock_is_set_back(
    walks: list[float], now: float
) -> None:
    core = waiting()
    walks.clear()
    core.handle(ev.Tick(), now)
    assert walks == [now]


def test_who_joins_a_line_that_was_walked_to_its_end_is_looked_at() -> None:
    core = waiting(blocked=5)
    effects = core.handle(submit(time_limit=20.0), AGAIN / 2)
    assert [effect.job.id for effect in effects if isinstance(effect, fx.Start)] == [8]
    core.validate()


def test_a_hand_over_makes_one_plan(walks: list[float]) -> None:
    core = Core(["cpu:0"])
    core.handle(ev.Submit((spec(), spec(), spec()), "me"), 0.0)
    walks.clear()
    core.handle(ev.AttemptStarted(1, 1, 1, 0.0, 0.0), 1.0)
    core.handle(ev.Tick(), 500.0)
    assert walks == []
    core.handle(ev.AttemptEnded(1, 1, RESULT), 501.0)
    assert walks == [501.0]


def test_time_alone_may_let_somebody_start() -> None:
    """What a script has said of its end is not believed for ever; its time limit is, and says that it is far away."""
    core = Core(["a", "b"])
    core.handle(submit(time_limit=10_000.0), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 1, 0.0, 0.0), 0.0)
    core.handle(ev.Progressed(1, 1, {"eta": 350.0, "updated_at": 0.0}), 0.0)
    core.handle(ev.Submit((spec(gpus=2), spec(time_limit=400.0)), "me"), 1.0)
    core.handle(ev.Tick(), 590.0)
    assert core.leases.jobs() == [1]
    core.handle(ev.Tick(), 601.0)
    assert core.leases.jobs() == [1, 3]
