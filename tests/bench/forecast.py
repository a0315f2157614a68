"""Simulated days of a lab on 1, 2 and 4 GPUs: how far from the truth expected starts are, and how honest their ranges.

`python tests/bench/all.py forecast` prints the tables. Each lab lives a week of its own: sweeps over learning rates,
models and epochs, nightly runs, new commands with and without a time limit, failures, cancels, wide jobs, priorities;
run lengths with noise, and progress told by a part of the scripts, with noise as well. The real core decides; what is
expected is asked for at each submit and at each full hour, of every job that waits then, and compared with its start.

The baseline is "position x mean run time", and the same divided by the number of GPUs. Odd seeds were used to choose
the constants in lengths.py and chances.py; the figures to believe are those of the even ones.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.forecast import foretell
from trainqueue.core.job import Cancelled, Completed, Failed, Queued, Running
from trainqueue.core.lengths import Lengths
from trainqueue.core.past import Runs
from trainqueue.core.spec import JobSpec
from trainqueue.core.steps import at_once
from trainqueue.core.world import present

if TYPE_CHECKING:
    from trainqueue.core.forecast import Expected

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
DAYS = 7
START = 1_790_000_000.0


class Remembered:
    """The last five completed runs of a command, as the journal has them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...]], list[float]] = {}

    def runs(self, spec: JobSpec) -> Runs:
        times = self._known.get((spec.cwd, spec.command), [])
        return Runs(min(times, default=None), max(times, default=None), None, (*times,))

    def ended(self, spec: JobSpec, seconds: float) -> None:
        times = self._known.setdefault((spec.cwd, spec.command), [])
        times[:] = [seconds, *times][:5]


@dataclass(frozen=True, slots=True)
class Order:
    """A job that comes, how long it runs, and what it does besides."""

    at: float
    spec: JobSpec
    seconds: float
    fails: bool = False
    given_up: float | None = None
    """Somebody cancels it so long after its submit, if it has not ended by then."""
    tells: float | None = None
    """It tells its progress so often."""
    off: float = 0.0
    """How wrong the time left that it tells is, as the natural logarithm of a factor."""


class Lab:
    """The habits of some people with these GPUs."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.gpus = (1, 2, 4)[seed // 2 % 3]
        self.load = self.chance.uniform(0.4, 0.8)
        self.noise = self.chance.choice((0.02, 0.05, 0.1, 0.2))
        self.telling = self.chance.choice((0.0, 0.4, 0.8))
        self.orders: list[Order] = []
        self.scripts = [self._length() / 2 for _ in range(40)]
        """How long their runs take, about."""
        self.models = [self.chance.lognormvariate(0, 0.6) for _ in range(3 * 40)]
        """By what factor each of their models is slower."""

    def week(self) -> list[Order]:
        work, most = self._nightly(), self.load * self.gpus * DAYS * DAY
        while work < most:
            kind = self.chance.choices(("sweep", "single", "new"), (4, 3, 3))[0]
            work += {"sweep": self._sweep, "single": self._single, "new": self._new}[kind]()
        return sorted(self.orders, key=lambda order: order.at)

    def _arrival(self) -> float:
        hour = self.chance.gauss(14, 3) if self.chance.random() < 0.85 else self.chance.uniform(0, 24)
        return START + self.chance.randrange(DAYS) * DAY + hour * HOUR

    def _add(self, at: float, length: float, command: tuple[str, ...], **fields: Any) -> float:
        chance = self.chance
        seconds = max(20.0, length * chance.lognormvariate(0, self.noise))
        fails = chance.random() < 0.06
        if fails:
            seconds *= chance.choice((0.02, chance.random()))
        given_up = chance.uniform(0, 8 * HOUR) if chance.random() < 0.04 else None
        tells = chance.choice((10.0, MINUTE, 10 * MINUTE)) if chance.random() < self.telling else None
        gpus = fields.pop("gpus", 1)
        spec = JobSpec(command=command, cwd="/home/ann/work", gpus=gpus, **fields)
        if chance.random() < 0.05:
            spec = JobSpec(command=command, cwd=spec.cwd, gpus=gpus, priority="high", **fields)
        self.orders.append(Order(at, spec, seconds, fails, given_up, tells, chance.gauss(0, 0.05)))
        return float(gpus * seconds)

    def _length(self) -> float:
        length: float = math.exp(self.chance.gauss(7.6, 1.1))
        return min(14 * HOUR, length)

    def _nightly(self) -> float:
        length, work = self._length(), 0.0
        for day in range(DAYS):
            work += self._add(START + day * DAY + 2 * HOUR, length * (1 + 0.01 * day), ("sh", "nightly.sh"))
        return work

    def _sweep(self) -> float:
        """Of one script: over things that change nothing, a model that does, and sometimes the number of epochs."""
        chance, at, which, work = self.chance, self._arrival(), self.chance.randrange(40), 0.0
        base, script = self.scripts[which] * chance.lognormvariate(0, 0.2), f"train{which}.py"
        name = f"sweep{len(self.orders)}"
        models = {f"net{size}": self.models[3 * which + size] for size in range(chance.choice((1, 1, 2, 3)))}
        epochs = chance.choice(((10,), (10,), (5, 10, 20)))
        rates, gpus = range(chance.randrange(2, 8)), self._width()
        limit = float(round(base * 6)) if chance.random() < 0.2 else None
        for rate in rates:
            for model, factor in models.items():
                for some in epochs:
                    command = ("python", script, "--lr", f"0.{rate + 1}", "--model", model, "--epochs", str(some))
                    given = {"group": name} | ({} if limit is None else {"time_limit": limit * some / 10})
                    work += self._add(at + rate, base * factor * some / 10, command, gpus=gpus, **given)
        return work

    def _width(self) -> int:
        return self.chance.choice((2, self.gpus)) if self.gpus > 1 and self.chance.random() < 0.15 else 1

    def _single(self) -> float:
        """Somebody works at something: the same command again and again, with a seed that changes now and then."""
        chance, at, length, work = self.chance, self._arrival(), self._length(), 0.0
        script = f"work{chance.randrange(1000)}.py"
        for _ in range(chance.randrange(1, 5)):
            command = ("python", "-u", script, f"--seed={chance.randrange(3)}")
            work += self._add(at, length, command, gpus=self._width())
            at += chance.expovariate(1 / (3 * HOUR))
        return work

    def _new(self) -> float:
        length = self._length()
        limit = float(round(length * self.chance.uniform(1.2, 5) + 60)) if self.chance.random() < 0.6 else None
        command = ("./run", f"thing{len(self.orders)}", "--fast")
        return self._add(
            self._arrival(), length, command, gpus=self._width(), **({"time_limit": limit} if limit else {})
        )


@dataclass(slots=True)
class Asked:
    """What was expected of a job, and what came of it; seconds from then on."""

    at: float
    job: int
    expected: Expected
    baseline: float | None


@dataclass(slots=True)
class Week:
    gpus: int
    asked: list[Asked] = field(default_factory=list[Asked])
    ends: list[Asked] = field(default_factory=list[Asked])
    started: dict[int, float] = field(default_factory=dict[int, float])
    ended: dict[int, float] = field(default_factory=dict[int, float])
    cost: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Waiting jobs, and seconds of a forecast."""


class Life:
    """The core lives through it."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.week = lab, Week(lab.gpus)
        self.past = Remembered()
        self.core = Core([f"GPU-{index}" for index in range(lab.gpus)], past=self.past)
        self.lengths = Lengths(self.past)
        self.orders: dict[int, Order] = {}
        self.recent: deque[float] = deque(maxlen=100)
        """Run times of all that have ended."""
        self.due: list[tuple[float, int, str, int]] = []
        self._number = 0

    def live(self) -> Week:
        orders = self.lab.week()
        for at, order in enumerate(orders):
            self._at(order.at, "submit", at)
        for hour in range(DAYS * 24 + 1):
            self._at(START + hour * HOUR, "ask", 0)
        while self.due:
            now, _, what, which = heapq.heappop(self.due)
            if what == "ask":
                self.ask(now, None)
            elif what == "submit":
                job_id = self.core.next_id
                self.orders[job_id] = orders[which]
                self._handle(ev.Submit((orders[which].spec,), "ann"), now)
                if (patience := orders[which].given_up) is not None:
                    self._at(now + patience, "give up", job_id)
                self.ask(now, job_id)
            elif which in self.core.jobs:
                self._end(which, now, cancelled=what == "give up")
        return self.week

    def _at(self, at: float, what: str, which: int) -> None:
        self._number += 1
        heapq.heappush(self.due, (at, self._number, what, which))

    def _handle(self, event: ev.Event, now: float) -> None:
        for effect in self.core.handle(event, now):
            if isinstance(effect, fx.Start):
                job = effect.job
                self._at(now + self.orders[job.id].seconds, "end", job.id)
                self.week.started[job.id] = now
                self._handle(ev.AttemptStarted(job.id, job.attempt, 1, now), now)
            elif isinstance(effect, fx.Changed) and isinstance(effect.job.state, Completed):
                seconds = effect.job.state.run_time
                assert seconds is not None
                self.past.ended(effect.job.spec, seconds)
                self.lengths.ended(effect.job.spec, seconds)
                self.week.ended[effect.job.id] = now
            elif isinstance(effect, fx.Changed) and isinstance(effect.job.state, Failed | Cancelled):
                self.lengths.broken_off(effect.job.spec, effect.job.state.run_time or 0.0)

    def _end(self, job_id: int, now: float, *, cancelled: bool) -> None:
        job, order = self.core.jobs[job_id], self.orders[job_id]
        if cancelled:
            self._handle(ev.Cancel(job_id), now)
            if job_id not in self.core.jobs:
                return
        ran = now - self.week.started[job_id]
        self.recent.append(ran)
        code = 1 if order.fails and not cancelled else 0
        result = ev.Result(code, None, "cancel" if cancelled else None, "", now - ran, now, ran)
        self._handle(ev.AttemptEnded(job_id, job.attempt, result), now)

    def _tell(self, now: float) -> None:
        """What the running jobs have said of themselves by now."""
        for job in self.core.active():
            order = self.orders[job.id]
            if order.tells is None or not isinstance(job.state, Running):
                continue
            ran = now - job.state.started_at
            at = ran - ran % order.tells
            whole = order.seconds if not order.fails else order.seconds * 3
            part = at / whole
            if part > 0:
                left = (whole - at) * math.exp(order.off * (1 - part) / max(part, 0.2) ** 0.5)
                told = {"fraction": part, "eta": left, "updated_at": now - (ran - at)}
                self._handle(ev.Progressed(job.id, job.attempt, told), now)

    def ask(self, now: float, only: int | None) -> None:
        """Of one waiting job, or of all jobs."""
        self._tell(now)
        waiting = [*self.core.line.page(0, len(self.core.line))]
        if (only is not None and not isinstance(getattr(self.core.jobs.get(only), "state", None), Queued)) or not (
            waiting or self.core.active()
        ):
            return
        began = time.perf_counter()
        found = at_once(foretell(at_once(present(self.core, now)), self.lengths))
        self.week.cost.append((len(waiting), time.perf_counter() - began))
        mean = statistics.mean(self.recent) if self.recent else None
        for position, job in enumerate(waiting, 1):
            if only in {None, job.id}:
                simple = None if mean is None else position * mean
                self.week.asked.append(Asked(now, job.id, found[job.id], simple))
        for job in self.core.active() if only is None else ():
            self.week.ends.append(Asked(now, job.id, found[job.id], None))


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def minutes(values: list[float]) -> str:
    return f"{quantile(values, 0.5) / 60:7.1f} {quantile(values, 0.9) / 60:7.1f}"


def parts(values: list[float]) -> str:
    return f"{quantile(values, 0.5):7.0%} {quantile(values, 0.9):7.0%}"


def report(title: str, weeks: list[Week]) -> None:
    asked = [(week, one, week.started[one.job]) for week in weeks for one in week.asked if one.job in week.started]
    known = [(week, one, at) for week, one, at in asked if one.expected.start is not None and one.baseline is not None]
    waits = [max(1.0, at - one.at) for _, one, at in known]
    ours = [abs(at - (one.expected.start or 0.0)) for _, one, at in known]
    simple = [abs(at - one.at - (one.baseline or 0.0)) for _, one, at in known]
    shared = [abs(at - one.at - (one.baseline or 0.0) / week.gpus) for week, one, at in known]
    print(f"\n{title}: {len(weeks)} weeks, asked {len(asked):,} times, median wait {quantile(waits, 0.5) / 60:.0f} min")
    print(f"{'':28}{'minutes: median, 90 %':>22}{'of the wait: median, 90 %':>28}")
    for name, errors in (("expected start", ours), ("position x mean", simple), ("the same / GPUs", shared)):
        relative = [error / wait for error, wait in zip(errors, waits, strict=True)]
        print(f"{name:28}{minutes(errors):>22}{parts(relative):>28}")
    print(f"unknown: {1 - len(known) / max(1, len(asked)):.0%}, {coverage('start', asked)}")
    print(f"starts later than expected: {sum(at > (one.expected.start or 0) for _, one, at in known) / len(known):.0%}")
    ends = [(week, one, week.ended[one.job]) for week in weeks for one in week.ends if one.job in week.ended]
    sure = [(one, at) for _, one, at in ends if one.expected.end is not None]
    off = [abs(at - (one.expected.end or 0.0)) for one, at in sure]
    relative = [abs(at - (one.expected.end or 0.0)) / max(1.0, at - one.at) for one, at in sure]
    print(f"{'expected end, completed':28}{minutes(off):>22}{parts(relative):>28}")
    print(f"unknown: {1 - len(sure) / max(1, len(ends)):.0%}, {coverage('end', ends)}")


def coverage(what: str, asked: list[tuple[Week, Asked, float]]) -> str:
    """How often the truth lay in the range, where that has both sides; and before or behind it."""
    sides = [
        (low - 1, at, high + 1)
        for _, one, at in asked
        for low, high in [
            (one.expected.earliest, one.expected.latest)
            if what == "start"
            else (one.expected.end_earliest, one.expected.end_latest)
        ]
        if low is not None and high is not None
    ]
    count = max(1, len(sides))
    before, behind = sum(at < low for low, at, _ in sides), sum(at > high for _, at, high in sides)
    return f"in range {1 - (before + behind) / count:.0%} (before {before / count:.0%}, behind {behind / count:.0%})"


def main() -> None:
    weeks = int(sys.argv[1]) if len(sys.argv) > 1 else 48
    lived = {seed: Life(Lab(seed)).live() for seed in range(weeks)}
    for title, odd in (("odd seeds, to choose constants by", 1), ("even seeds, untouched", 0)):
        some = [week for seed, week in lived.items() if seed % 2 == odd]
        report(title, some)
        for gpus in (1, 2, 4):
            report(f"  {gpus} GPU", [week for week in some if week.gpus == gpus])
    each = [(1e6 * seconds / max(1, waiting), seconds) for week in lived.values() for waiting, seconds in week.cost]
    print(
        f"\na forecast takes {1e3 * quantile([cost for _, cost in each], 0.5):.2f} ms (median), "
        f"{1e3 * max(cost for _, cost in each):.0f} ms at the most"
    )


if __name__ == "__main__":
    main()
