"""Simulated months of jobs on 1, 2, 4 and 8 GPUs of eight, and what a plan costs beside 100,000 waiting jobs.

`python tests/bench/all.py months` prints both tables; nothing but the placement is run, time is made up.

Each policy gets the same jobs. "done" is the work done by the end of the month, against the most that any policy could
have done by then: eight GPUs that are never idle while there is work, as if jobs could be cut into pieces. "delayed":
jobs that started later than they would have if nobody had come after them, found by living on in that other world from
the moment at which each came; every fourth job is asked.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulated import Fifo, Greedy, Machine, Order, gpus

from trainqueue.core.job import Job, Running
from trainqueue.core.line import GAP, Line
from trainqueue.core.past import NoPast, Runs
from trainqueue.core.placement import Walk, plan
from trainqueue.core.slot import Slot, Tenant
from trainqueue.core.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOUR, DAY = 3600.0, 86_400.0
GPUS = 8
WIDTHS, WEIGHTS = (1, 2, 4, 8), (60, 20, 13, 7)
POLICIES: dict[str, type[Walk]] = {"reservations": Walk, "plain FIFO": Fifo, "greedy": Greedy}


class History:
    """Earlier runs by command; an expectation that a job may miss, since the next run is another one."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, ...], Runs] = {}

    def runs(self, spec: JobSpec) -> Runs:
        return self.known.get(spec.command, Runs())


@dataclass(frozen=True, slots=True)
class Month:
    """Jobs in the order in which they come, their ids from 1, and what is known of their commands."""

    orders: list[Order]
    past: History
    seconds: float

    @property
    def numbered(self) -> list[tuple[int, Order]]:
        return [*enumerate(self.orders, 1)]


KINDS = {
    "exact limits": (0.0, 0.0, 0.0),
    "limits 2 to 5 times too long": (1.0, 0.0, 0.0),
    "half such limits, a third known from earlier runs, the rest nothing": (0.5, 0.3, 0.2),
}
"""The parts of the jobs with a limit that is too long, with a history, with neither."""


def month(seed: int, kinds: tuple[float, float, float], *, days: float = 30.0, load: float = 0.9) -> Month:
    """`load`: work per time, of what eight GPUs can do. See KINDS; zeros mean limits that are the run times."""
    chance, past, orders = random.Random(seed), History(), list[Order]()
    work = 0.0
    while work < load * GPUS * days * DAY:
        width = chance.choices(WIDTHS, WEIGHTS)[0]
        runs = float(round(min(chance.lognormvariate(8.3, 1.2), 2 * DAY)) + 60)
        command, factor = (f"train-{len(orders)}",), chance.uniform(2, 5) if any(kinds) else 1.0
        [kind] = chance.choices(("limit", "history", "nothing"), kinds if any(kinds) else (1.0, 0.0, 0.0))
        if kind == "history":
            others = [runs * chance.lognormvariate(0, 0.05) for _ in range(5)]
            past.known[command] = Runs(min(others), max(others))
        limit = float(round(runs * factor)) if kind == "limit" else None
        spec = JobSpec(command=command, cwd="/", gpus=width, time_limit=limit)
        orders.append(Order(spec, runs, float(round(arrival(chance, days)))))
        work += width * runs
    return Month(apart(orders), past, days * DAY)


def apart(orders: list[Order]) -> list[Order]:
    """In order, and no two at once, so that there is a moment at which each has come and nobody after it."""
    last = 0.0
    found = list[Order]()
    for one in sorted(orders, key=lambda one: one.at):
        last = max(last + 1, one.at)
        found.append(replace(one, at=last))
    return found


def arrival(chance: random.Random, days: float) -> float:
    """Any day; four of five come between nine and eight."""
    hour = chance.uniform(9, 20) if chance.random() < 0.8 else chance.uniform(0, 24)
    return int(chance.uniform(0, days)) * DAY + hour * HOUR


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds; `waits` by width; `delayed` for how long, by job id, of so many that were `asked`."""

    done: float
    busy: float
    waits: dict[int, list[float]]
    delayed: dict[int, float]
    asked: int


def live(some: Month, walk: type[Walk], *, every: int = 1) -> Outcome:
    """The month under this policy, and to its end; one job in `every` is asked whether it was delayed."""
    machine = Machine(gpus(GPUS), walk=walk, past=some.past)
    machine.submit(some.numbered)
    alone: dict[int, float] = {}
    for job_id, order in some.numbered:
        while machine.now < order.at:
            machine.step()
        if job_id % every == 0 and job_id not in machine.started:
            alone[job_id] = machine.without_later().run(until=job_id).started[job_id]
    machine.run()
    started = machine.started
    waits = {
        width: [started[job_id] - one.at for job_id, one in some.numbered if one.spec.gpus == width] for width in WIDTHS
    }
    late = {job_id: started[job_id] - at for job_id, at in alone.items() if started[job_id] > at}
    done = sum(one.spec.gpus * max(0.0, min(one.runs, some.seconds - started[job_id])) for job_id, one in some.numbered)
    return Outcome(done, busy_while_waited(some, started), waits, late, len(some.orders) // every)


def best(some: Month) -> float:
    """The most work that anybody can have done by the end: never more than came, never more than eight at a time."""
    backlog = done = at = 0.0
    for order in [*some.orders, Order(some.orders[0].spec, 0.0, some.seconds)]:
        step = min(backlog, GPUS * (order.at - at))
        backlog, done, at = backlog - step + order.spec.gpus * order.runs, done + step, order.at
    return done


def busy_while_waited(some: Month, started: dict[int, float]) -> float:
    """The share of the GPUs that were in use, over all the time in which somebody waited."""
    changes = list[tuple[float, int, int]]()
    for job_id, one in some.numbered:
        at, width = started[job_id], one.spec.gpus
        changes += [(one.at, 0, 1), (at, width, -1), (at + one.runs, -width, 0)]
    used = waiting = 0
    last = total = busy = 0.0
    for at, width, more in sorted(changes):
        if waiting:
            total, busy = total + at - last, busy + used * (at - last)
        used, waiting, last = used + width, waiting + more, at
    return busy / (GPUS * total) if total else 1.0


def row(name: str, some: Sequence[Month], got: Sequence[Outcome]) -> str:
    wide = [wait for one in got for width in (4, 8) for wait in one.waits[width]]
    small = [wait for one in got for width in (1, 2) for wait in one.waits[width]]
    late = [seconds for one in got for seconds in one.delayed.values()]
    cells = [
        f"{100 * sum(one.done for one in got) / sum(map(best, some)):.1f} %",
        f"{100 * statistics.mean(one.busy for one in got):.1f} %",
        f"{statistics.mean(small) / HOUR:.1f}",
        f"{statistics.mean(wide) / HOUR:.1f}",
        f"{max(small) / HOUR:.0f}",
        f"{max(wide) / HOUR:.0f}",
        f"{100 * len(late) / sum(one.asked for one in got):.0f} %",
        f"{max(late, default=0.0) / HOUR:.1f}",
    ]
    return f"{name:<16}" + "".join(f"{cell:>15}" for cell in cells)


HEAD = (
    "done of best",
    "busy if waited",
    "wait 1-2, h",
    "wait 4-8, h",
    "longest 1-2",
    "longest 4-8",
    "delayed",
    "longest, h",
)


def table(some: Sequence[Month], every: int) -> Iterator[str]:
    yield f"{'':<16}" + "".join(f"{cell:>15}" for cell in HEAD)
    for name, walk in POLICIES.items():
        yield row(name, some, [live(one, walk, every=every) for one in some])


def costs(waiting: int = 100_000) -> Iterator[str]:
    """Microseconds of one plan, the middle of some."""
    line = Line()
    spec = JobSpec(command=("true",), cwd="/", gpus=8, time_limit=HOUR)
    for at in range(waiting):
        line.add(Job(1000 + at, spec, "me", 0.0, 0, at * GAP), ready=True)
    head = Job(999, replace_gpus(spec, 1), "me", 0.0, 1, 0)
    jobs: dict[int, Job] = {}
    full = gpus(GPUS)
    for slot in full:
        jobs[slot.index] = Job(slot.index, replace_gpus(spec, 1), "me", 0.0, 0, 0, state=Running((slot.id,), 1, 0.0))
        slot.tenants[slot.index] = Tenant(None)
    one_free = [*full[:-1], replace(full[-1], tenants={})]

    def measured(slots: list[Slot]) -> float:
        times = list[float]()
        for _ in range(50):
            began = time.perf_counter()
            for _ in plan(line, slots, jobs.__getitem__, 1.0, NoPast()):
                pass
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    yield f"{waiting:,} jobs wait for 8 GPUs each, µs a plan"
    yield f"  no GPU is free           {measured(full):10.0f}"
    yield f"  one is free              {measured(one_free):10.0f}"
    line.add(head, ready=True)
    yield f"  and the head takes it    {measured(one_free):10.0f}"


def replace_gpus(spec: JobSpec, gpus_wanted: int) -> JobSpec:
    return JobSpec(command=spec.command, cwd=spec.cwd, gpus=gpus_wanted, time_limit=spec.time_limit)


def main() -> None:
    for line in costs():
        print(line)
    for title, kinds in KINDS.items():
        print(f"\nthree months at 90 % load, {title}", flush=True)
        for line in table([month(seed, kinds) for seed in (1, 2, 3)], every=4):
            print(line, flush=True)


if __name__ == "__main__":
    main()
