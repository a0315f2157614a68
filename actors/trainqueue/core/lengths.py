"""How long jobs take: by what they say themselves, by earlier runs of theirs and of their likes, by their time limit.

The sources, the best first: the progress of a running job; completed runs of the same command; of one of the same shape
(shape.py: the arguments differ); of the same script; of the same group; a run of the same shape that is under way and
tells when it ends; the time limit. Who has none of them is unknown, and stays so: nobody is served with a guess.

Only completed runs tell how long one takes. One that has failed or was cancelled has not shown that, and a failure
after three seconds would make the next run of the same command look short, which is the one run that has been mended.
How often jobs fail or are cancelled, and when, is counted by itself (fates.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING
from zlib import crc32

from trainqueue.core import chances, fates
from trainqueue.core.expect import FRESH, is_sane, told_end
from trainqueue.core.fates import SURE, Fate, Fates, factors
from trainqueue.core.job import Pending, Running
from trainqueue.core.likeness import Likeness, Run, learn
from trainqueue.core.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import Job
    from trainqueue.core.past import Past
    from trainqueue.core.spec import JobSpec

KEPT = 40
"""Runs of one kind that count."""
KINDS = 4000
"""Kinds of jobs that are remembered, the last used ones."""
ENOUGH = 3
"""Jobs with a limit that have shown which part of it they use."""
PRIOR = {"exact": 0.08, "whole": 0.15, "script": 0.25, "group": 0.25}
"""How widely runs of one kind spread, as the natural logarithm of a factor, until they show it themselves."""
WEIGHT = 2.0
"""For so many runs that counts."""
FEW = 3
"""Runs of a kind; with fewer, the next wider kind is asked."""
FITS = 20_000
"""Kinds of which it is kept what they tell."""
SAYS = 0.06
"""How widely the truth spreads about the time left that a script tells."""
BELIEVED = 4.0
"""A script that contradicts its earlier runs by so many times that is right, and they are not like it."""
ENDING = 5.0
"""Seconds that a job takes to end that was told to; at the most its grace."""


@dataclass(frozen=True, slots=True)
class Length:
    """`doubt` is about the middle itself, so it is the same for all jobs that are known from the same runs, `of`."""

    middle: float
    spread: float
    doubt: float = 0.0
    of: int = 0
    limit: float | None = None
    """It is ended then."""
    fate: Fate = SURE

    @property
    def wide(self) -> float:
        """Of both."""
        return sqrt(self.spread**2 + self.doubt**2)

    def draw(self, who: int, draws: int) -> list[float]:
        """What it takes in each draw, and behind them its median."""
        middle, ranks, most = self.middle, chances.order(draws, who), inf if self.limit is None else self.limit
        spreads, doubts = factors(self.spread, self.fate, draws), _doubts(self.doubt, self.of, draws)
        found = [middle * spreads[rank] * doubt for rank, doubt in zip(ranks, doubts, strict=True)]
        found.append(middle)
        return found if most >= max(found) else [min(most, seconds) for seconds in found]


@dataclass(frozen=True, slots=True)
class Limited:
    """A job of which nothing is known but its time limit: it may end at any moment before, and rather late.

    How far too long people's limits are is not known of any such job, so they all go by one order of ranks.
    """

    limit: float

    def draw(self, who: int, draws: int) -> list[float]:
        """As of a Length."""
        del who
        times = [self.limit * min(1.0, 0.1 + 2 * (rank + 0.5) / draws) for rank in range(draws)]
        return [*[times[rank] for rank in chances.order(draws, 0)], self.limit]

    def left(self, ran: float, draws: int) -> list[float]:
        """By rank."""
        over = min(0.95, max(0.0, (ran / self.limit - 0.1) / 2))
        parts = (over + (rank + 0.5) / draws * (1 - over) for rank in range(draws))
        return [max(0.0, self.limit * min(1.0, 0.1 + 2 * part) - ran) for part in parts]


@lru_cache(maxsize=512)
def _doubts(doubt: float, of: int, draws: int) -> tuple[float, ...]:
    """By draw, the same for all that are in doubt about the same."""
    found = factors(doubt, SURE, draws)
    return tuple(found[rank] for rank in chances.order(draws, of))


class Lengths:
    """What is known of ended jobs, and of those that run; asked for each waiting job at each forecast."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self._runs: dict[object, list[Run]] = {}
        """By kind, the newest first."""
        self._ratios: list[float] = []
        """Run time in parts of the time limit."""
        self._under_way: dict[object, list[Run]] = {}
        """What running jobs of a kind are expected to take, by their own words."""
        self._fits: dict[object, Likeness | None] = {}
        self.fates = Fates()

    def broken_off(self, spec: JobSpec, seconds: float) -> None:
        """It has failed, or was cancelled, so long after its start."""
        usual = self.of(spec)
        part = seconds / usual.middle if isinstance(usual, Length) else None
        self.fates.ended(shape(spec).whole, early=True, part=part)

    def ended(self, spec: JobSpec, seconds: float) -> None:
        """It has completed."""
        self.fates.ended(shape(spec).whole, early=False)
        run = _run(spec, seconds)
        for _, kind in kinds(spec):
            runs = self._runs.pop(kind, [])
            self._runs[kind] = [run, *runs][:KEPT]
            self._fits.pop(kind, None)
        while len(self._runs) > KINDS:
            del self._runs[next(iter(self._runs))]
        if spec.time_limit:
            self._ratios = [min(1.0, seconds / spec.time_limit), *self._ratios][:KEPT]

    def recall(self, spec: JobSpec, seconds: float) -> None:
        """One that has completed before all that are known."""
        self.fates.ended(shape(spec).whole, early=False)
        for _, kind in kinds(spec):
            runs = self._runs.setdefault(kind, [])
            if len(runs) < KEPT:
                runs.append(_run(spec, seconds))
                self._fits.pop(kind, None)
        if spec.time_limit and len(self._ratios) < KEPT:
            self._ratios.append(min(1.0, seconds / spec.time_limit))

    def look(self, running: Iterable[Job], now: float) -> None:
        """What those that run say of themselves is also told of their likes."""
        for kind in self._under_way:
            self._fits.pop(kind, None)
        self._under_way = {}
        for job in running:
            if (said := told(job, now)) is not None and said[0] > 0:
                for level, kind in kinds(job.spec):
                    if level != "exact":
                        self._under_way.setdefault(kind, []).append(_run(job.spec, said[0]))
                        self._fits.pop(kind, None)

    def of(self, spec: JobSpec) -> Length | Limited | None:
        """Of a whole run."""
        limit = spec.time_limit
        exact, *others = kinds(spec)
        like, fate = None, self.fates.of(shape(spec).whole)
        for level, kind in others:
            found = self._fit(level, kind)
            if found is not None and (like is None or like[0].runs < FEW):
                like = found, kind
        same = self._fit(*exact) or self._same(exact[1], spec)
        values = _values(spec)
        if same is not None:
            spread = same.spread if like is None else _mixed(same, like[0])
            doubt = spread / sqrt(same.runs)
            return Length(exp(same.base), _rounded(spread), _rounded(doubt), _number(exact[1]), limit, fate)
        if like is not None:
            expected, doubt, unseen = like[0].of(values)
            return Length(
                exp(expected), _rounded(like[0].spread), _rounded(doubt), _number((like[1], unseen)), limit, fate
            )
        if limit is None:
            return None
        if len(self._ratios) < ENOUGH:
            return Limited(limit)
        usual = learn([Run(log(max(ratio, 1e-3)), {}) for ratio in self._ratios], 0.25, WEIGHT)
        doubt = _rounded(usual.spread / sqrt(usual.runs))
        return Length(limit * exp(usual.base), _rounded(usual.spread), doubt, 0, limit, fate)

    def _fit(self, level: str, kind: object) -> Likeness | None:
        if kind not in self._fits:
            if len(self._fits) > FITS:
                self._fits.clear()
            runs = [*self._under_way.get(kind, ()), *self._runs.get(kind, ())]
            runs = runs[:5] if level == "exact" else runs
            self._fits[kind] = learn(runs, PRIOR[level], WEIGHT) if runs else None
        return self._fits[kind]

    def _same(self, kind: object, spec: JobSpec) -> Likeness | None:
        """Runs of the very same command that only the journal remembers."""
        times = self.past.runs(spec).times
        if times:
            runs = [Run(log(max(seconds, 1e-3)), {}) for seconds in times]
            self._fits[kind] = learn(runs, PRIOR["exact"], WEIGHT)
        return self._fits[kind]

    def left(self, job: Job, now: float, draws: int, grace: float) -> list[float] | None:
        """Seconds that a pending or running job has still to go, by rank; None where nobody knows."""
        state, limit = job.state, job.spec.time_limit
        assert isinstance(state, Pending | Running)
        since = min(now, state.at if isinstance(state, Pending) else state.started_at + state.idle)
        ran = now - since
        stopping = state.stopping or (isinstance(state, Running) and (state.preempting or state.is_ending))
        if stopping or (limit is not None and ran >= limit):
            most = min(ENDING, grace if job.spec.grace is None else job.spec.grace)
            return [most * (rank + 0.5) / draws for rank in range(draws)]
        if isinstance(state, Running) and state.suspended:
            return None
        length, said = self.of(job.spec), told(job, now)
        if said is not None:
            length, had = _both(length, *said), max(0.0, (job.progress or {})["updated_at"] - since)
            rest = max(1e-3, length.middle - had)
            its = rest, min(1.0, length.spread * length.middle / rest)
            fate = self.fates.of(shape(job.spec).whole).after(ran / length.middle)
            found = fates.left(its, fate, ran - had, draws)
        elif length is None:
            return None
        elif isinstance(length, Limited):
            return length.left(ran, draws)
        else:
            found = fates.left((length.middle, length.wide), length.fate, ran, draws)
        return found if limit is None else [min(seconds, limit - ran) for seconds in found]

    def order(self, job: Job, now: float, draws: int) -> tuple[int, ...]:
        """The ranks of a running job, draw by draw: what is doubted of its likes is doubted of it in the same draws."""
        length = self.of(job.spec)
        if isinstance(length, Limited):
            return chances.order(draws, 0)
        if length is None or told(job, now) is not None:
            return chances.order(draws, job.id)
        return chances.joint(draws, (job.id, length.spread), (length.of, length.doubt))


def kinds(spec: JobSpec) -> list[tuple[str, object]]:
    """Of which jobs a job may be, those that are the most like it first."""
    its = shape(spec)
    found: list[tuple[str, object]] = [
        ("exact", (spec.cwd, spec.command, spec.gpus)),
        ("whole", its.whole),
        ("script", its.script),
    ]
    return found if spec.group is None else [*found, ("group", (spec.group, spec.gpus))]


def told(job: Job, now: float) -> tuple[float, float] | None:
    """What a running job says by its progress: the length of the whole run, and how widely that may spread."""
    state, progress = job.state, job.progress or {}
    if not isinstance(state, Running):
        return None
    since = state.started_at + state.idle
    end, at, part = told_end(progress), progress.get("updated_at"), progress.get("fraction")
    if end is None and at is not None and part and at > since:
        rest = (at - since) * (1 - part) / part
        end = (at, at + rest) if is_sane(rest) else None
    if end is None:
        return None
    at, end_at = end
    rest, total = max(0.0, end_at - at), end_at - since
    if not 0 <= now - at <= max(FRESH, rest / 2) or total <= 0:
        return None
    return total, max(1e-3, SAYS * rest / total)


def _both(length: Length | Limited | None, total: float, spread: float) -> Length:
    """What it says, and what its earlier runs say, each for what it is worth."""
    if not isinstance(length, Length) or abs(log(total / length.middle)) > BELIEVED * length.wide:
        return Length(total, spread)
    its, theirs = spread**-2, length.wide**-2
    middle = exp((its * log(total) + theirs * log(length.middle)) / (its + theirs))
    return Length(middle, (its + theirs) ** -0.5)


def _run(spec: JobSpec, seconds: float) -> Run:
    return Run(log(max(seconds, 1e-3)), _values(spec))


def _values(spec: JobSpec) -> Mapping[str, str]:
    its = shape(spec)
    return its.values if spec.group is None else {**its.values, "group": spec.group}


def _mixed(same: Likeness, like: Likeness) -> float:
    """How widely runs of one command spread, for which its likes stand as long as it has shown little itself."""
    return sqrt((same.runs * same.spread**2 + FEW * like.spread**2) / (same.runs + FEW))


def _rounded(spread: float) -> float:
    """So that many jobs share their draws."""
    return max(0.005, round(spread, 3))


@lru_cache(maxsize=16_384)
def _number(kind: object) -> int:
    return crc32(repr(kind).encode(errors="replace"))
