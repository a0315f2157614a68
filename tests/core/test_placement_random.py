"""The promises of the placement, over random lines on random machines: no table of cases would think of these."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from simulated import GIB, Machine, Order, gpus

from trainqueue.core.expect import eligible
from trainqueue.core.past import NoPast
from trainqueue.core.slot import Slot
from trainqueue.core.spec import JobSpec, band

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


def order(width: int, runs: float, at: float = 0.0, **fields: Any) -> Order:
    return Order(JobSpec(command=("true",), cwd="/", gpus=width, time_limit=runs, **fields), runs, at)


@st.composite
def machines(draw: st.DrawFn) -> list[Slot]:
    sizes = draw(st.lists(st.sampled_from([24, 80]), min_size=1, max_size=8))
    return [Slot(f"GPU-{at:04d}-fake", at, f"card-{size}", size * GIB) for at, size in enumerate(sizes)]


@st.composite
def orders(draw: st.DrawFn, *, plain: bool = False) -> Order:
    runs = float(draw(st.integers(1, 20)))
    fields: dict[str, Any] = {}
    if not plain:
        fields["gpu_from"] = tuple(sorted(draw(st.sets(st.integers(0, 7), max_size=3))))
        fields["gpu_name"] = draw(st.sampled_from([None, None, None, "card-80"]))
        fields["gpu_memory"] = draw(st.sampled_from([None, None, 8 * GIB, 16 * GIB, 30 * GIB]))
    return order(draw(st.sampled_from([1, 1, 1, 2, 2, 4, 8])), runs, float(draw(st.integers(0, 12))), **fields)


def numbered(some: Sequence[Order]) -> list[tuple[int, Order]]:
    """First come, first served: the place in the line is that of the arrival."""
    return [*enumerate(sorted(some, key=lambda one: one.at), 1)]


def undelayed(slots: list[Slot], line: list[tuple[int, Order]], settle: float) -> None:
    """No job starts later than it would if nobody stood behind it."""
    whole = Machine(slots, settle=settle)
    whole.submit(line)
    whole.run()
    for at, (job_id, _) in enumerate(line, 1):
        alone = Machine(slots, settle=settle)
        alone.submit(line[:at])
        alone.run(until=job_id)
        assert whole.started.get(job_id) == alone.started.get(job_id), f"job {job_id} of {line}"


@SLOW
@given(machines(), st.lists(orders(), max_size=14), st.sampled_from([1.0, 3.0]))
def test_nobody_is_delayed_by_who_stands_behind(slots: list[Slot], some: list[Order], settle: float) -> None:
    undelayed(slots, numbered(some), settle)


@SLOW
@given(st.integers(1, 8), st.lists(orders(plain=True), min_size=6, max_size=20))
def test_nobody_is_delayed_where_all_gpus_are_equal(number: int, some: list[Order]) -> None:
    undelayed(gpus(number), numbered(some), 1.0)


@SLOW
@given(
    machines(),
    st.lists(st.tuples(orders(), st.sampled_from(["low", "normal", "high", 7])), max_size=14),
    st.sampled_from([1.0, 3.0]),
)
def test_nobody_is_delayed_by_a_lower_priority(
    slots: list[Slot], some: list[tuple[Order, str | int]], settle: float
) -> None:
    """All at once: who comes later with a high priority finds GPUs taken, since nobody is stopped for anybody."""
    ranked = [Order(structs.replace(one.spec, priority=priority), one.runs) for one, priority in some]
    undelayed(slots, [*enumerate(sorted(ranked, key=lambda one: -band(one.spec)), 1)], settle)


@SLOW
@given(
    machines(),
    st.lists(st.tuples(orders(), st.integers(1, 20)), max_size=14),
    st.sampled_from([1.0, 3.0]),
)
def test_who_stands_first_starts_when_first_said_or_sooner(
    slots: list[Slot], some: list[tuple[Order, int]], settle: float
) -> None:
    """Limits are seldom used up. What is said of the next one in line is a promise for that case too.

    Not to one who joins others on a GPU, since nobody knows when they have settled: it may be now.
    """
    early = [replace(one, runs=min(one.runs, float(runs))) for one, runs in some]
    machine = Machine(slots, settle=settle)
    machine.submit(numbered(early))
    machine.run()
    for job_id, promised in machine.promised.items():
        if machine.jobs[job_id].spec.gpu_memory is None:
            assert machine.started[job_id] <= promised


@SLOW
@given(machines(), st.lists(orders(), max_size=14))
def test_all_who_fit_this_machine_start_in_the_end(slots: list[Slot], some: list[Order]) -> None:
    """Jobs without a limit among them, of which nobody knows when they end."""
    line = numbered([replace(one, spec=structs.replace(one.spec, time_limit=None)) for one in some])
    machine = Machine(slots)
    machine.submit(line)
    machine.run()
    fit = {job_id for job_id, one in line if len(eligible(one.spec, slots, NoPast())[0]) >= one.spec.gpus}
    assert set(machine.started) == set(machine.ended) == fit


@pytest.mark.parametrize("width", [2, 4, 8])
def test_a_wide_job_is_not_starved_by_a_stream_of_small_ones(width: int) -> None:
    machine = Machine(gpus(8))
    before = [order(1, 50.0 + 10 * at) for at in range(8)]
    stream = [order(1, 5.0 + at % 90, at=2.0 + at / 4) for at in range(1000)]
    machine.submit(enumerate([*before, order(width, 50.0, at=1.0), *stream], 1))
    machine.run(until=9)
    assert machine.started[9] == machine.promised[9] == 50.0 + 10 * (width - 1)
    assert max(machine.started) > 9, "nobody has passed it, though there was time"
