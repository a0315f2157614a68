"""How long jobs take: by what they say themselves, by earlier runs of theirs and of their likes, by their time limit.

The sources, the best first: the progress of a running job (said.py); completed runs of the same command; of one of the
same shape (shape.py: the arguments differ); of the same script; of the same shape in another folder, such as another
worktree; of the same group; a run of the same shape that is under way and tells when it ends; the time limit. Who has
none of them is unknown, and stays so: nobody is served with a guess. Of whom only the time limit is known, the latest
end is: what part of their limits other jobs use tells how long it will take, but not that it takes no less.

Only completed runs tell how long one takes. One that has failed or was cancelled has not shown that, and a failure
after three seconds would make the next run of the same command look short, which is the one run that has been mended.
How often jobs fail or are cancelled, and when, is counted by itself (fates.py).
"""

from __future__ import annotations

from collections import defaultdict
from math import exp, log, sqrt
from typing import TYPE_CHECKING
from zlib import crc32

from trainqueue.core import chances, fates
from trainqueue.core.fates import Fates
from trainqueue.core.job import Pending, Running
from trainqueue.core.length import Length, Limited, Rest
from trainqueue.core.lessons import WEIGHT, Lessons
from trainqueue.core.likeness import GROUP, Likeness, Run, learn
from trainqueue.core.said import said
from trainqueue.core.shape import number, shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import Job
    from trainqueue.core.past import Past
    from trainqueue.core.said import Said
    from trainqueue.core.spec import JobSpec

EXACT, WHOLE, SCRIPT, ELSEWHERE, GROUPED = "exact", "whole", "script", "elsewhere", "group"
"""The sorts of kinds, the most alike first."""
PRIOR = {EXACT: 0.08, WHOLE: 0.15, SCRIPT: 0.25, ELSEWHERE: 0.25, GROUPED: 0.25}
"""How widely runs of one kind spread, as the natural logarithm of a factor, until they show it themselves."""
KEPT, SAME = 40, 5
"""Runs of one kind that count, and of the very same command."""
FEW = 3
"""Runs of a kind; with fewer, the next wider kind is asked."""
HABIT, ENOUGH = 0.25, 3
"""How widely the parts of their limits spread that jobs use, and how many must have shown theirs."""
BELIEVED = 4.0
"""A script that contradicts its earlier runs by so many times that is right, and they are not like it."""
ENDING = 5.0
"""Seconds that a job takes to end that was told to; at the most its grace."""


class Lengths:
    """What is known of ended jobs, and of those that run; asked for each waiting job at each forecast."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.fates = Fates()
        self._lessons = {sort: Lessons(prior, SAME if sort == EXACT else KEPT) for sort, prior in PRIOR.items()}
        self._parts: list[float] = []
        """Run time in parts of the time limit, of the last jobs that have one."""

    # -- what happens

    def broken_off(self, spec: JobSpec, seconds: float, *, before_all: bool = False) -> None:
        """It has failed, or was cancelled, so long after its start; `before_all` that are known."""
        usual = self.of(spec)
        part = seconds / usual.middle if isinstance(usual, Length) else None
        self.fates.ended(shape(spec).whole, early=True, part=part, before_all=before_all)

    def ended(self, spec: JobSpec, seconds: float) -> None:
        """It has completed."""
        self.fates.ended(shape(spec).whole, early=False)
        run = _run(spec, seconds)
        for sort, kind in kinds(spec):
            self._lessons[sort].add(kind, _bare(run) if sort == EXACT else run)
        if spec.time_limit:
            self._parts = [min(1.0, seconds / spec.time_limit), *self._parts][:KEPT]

    def recall(self, spec: JobSpec, seconds: float) -> None:
        """One that has completed before all that are known."""
        self.fates.ended(shape(spec).whole, early=False)
        run = _run(spec, seconds)
        for sort, kind in kinds(spec):
            self._lessons[sort].recall(kind, _bare(run) if sort == EXACT else run)
        if spec.time_limit and len(self._parts) < KEPT:
            self._parts.append(min(1.0, seconds / spec.time_limit))

    def look(self, running: Iterable[Job], now: float) -> None:
        """What those that run say of themselves is also told of their likes."""
        under_way = {sort: defaultdict[int, list[Run]](list) for sort in self._lessons}
        for job in running:
            if (its := said(job, now)) is not None:
                run = _run(job.spec, its.total)
                for sort, kind in kinds(job.spec):
                    if sort != EXACT:
                        under_way[sort][kind].append(run)
        for sort, lessons in self._lessons.items():
            lessons.watch(under_way[sort])

    # -- who asks

    def of(self, spec: JobSpec) -> Length | Limited | None:
        """Of a whole run."""
        limit, fate = spec.time_limit, self.fates.of(shape(spec).whole)
        (_, exact), *others = kinds(spec)
        same, like = self._same(exact, spec), self._like(others)
        if same is not None:
            spread = same.spread if like is None else _mixed(same, like[0])
            return Length(exp(same.base), _rounded(spread), _rounded(spread / sqrt(same.runs)), exact, limit, fate)
        if like is not None:
            expected, doubt, unseen = like[0].of(_values(spec))
            of = crc32(f"{like[1]}{unseen}".encode(errors="replace"))
            return Length(exp(expected), _rounded(like[0].spread), _rounded(doubt), of, limit, fate)
        if limit is None:
            return None
        if len(self._parts) < ENOUGH:
            return Limited(limit)
        usual = learn([Run(log(max(part, 1e-3)), {}) for part in self._parts], HABIT, WEIGHT)
        doubt = _rounded(usual.spread / sqrt(usual.runs))
        return Length(limit * exp(usual.base), _rounded(usual.spread), doubt, 0, limit, fate, is_open=True)

    def _same(self, kind: int, spec: JobSpec) -> Likeness | None:
        """By runs of the very same command; some only the journal remembers."""
        lessons = self._lessons[EXACT]
        found = lessons.of(kind)
        if found is None and (times := self.past.runs(spec).times):
            found = lessons.learn(kind, [_bare(_run(spec, seconds)) for seconds in times])
        return found

    def _like(self, others: Iterable[tuple[str, int]]) -> tuple[Likeness, int] | None:
        """The kind that is the most alike and has runs enough; another folder counts where nothing is known of this."""
        like: tuple[Likeness, int] | None = None
        for sort, kind in others:
            if like is None or (like[0].runs < FEW and sort != ELSEWHERE):
                found = self._lessons[sort].of(kind)
                like = like if found is None else (found, kind)
        return like

    def left(self, job: Job, now: float, draws: int, grace: float) -> Rest | None:
        """What a pending or running job has still to go; None where nobody knows."""
        state, limit = job.state, job.spec.time_limit
        assert isinstance(state, Pending | Running)
        ran = now - min(now, state.at if isinstance(state, Pending) else state.started_at + state.idle)
        own = chances.order(draws, job.id)
        stopping = state.stopping or (isinstance(state, Running) and (state.preempting or state.is_ending))
        if stopping or (limit is not None and ran >= limit):
            most = min(ENDING, grace if job.spec.grace is None else job.spec.grace)
            return Rest([most * (rank + 0.5) / draws for rank in range(draws)], own)
        if isinstance(state, Running) and state.suspended:
            return None
        length, its = self.of(job.spec), said(job, now)
        if its is not None:
            rest = Rest(self._by_its_words(job.spec, length, its, draws), own)
        elif length is None:
            return None
        elif isinstance(length, Limited):
            return Rest(length.left(ran, draws), chances.order(draws, 0), is_open=True)
        else:  # what is doubted of its likes is doubted of it in the same draws
            order = chances.joint(draws, (job.id, length.spread), (length.of, length.doubt))
            rest = Rest(fates.left((length.middle, length.wide), length.fate, ran, draws), order, length.is_open)
        return rest if limit is None else rest._replace(seconds=[min(one, limit - ran) for one in rest.seconds])

    def _by_its_words(self, spec: JobSpec, length: Length | Limited | None, its: Said, draws: int) -> list[float]:
        whole = _both(length, its)
        rest = max(1e-3, whole.middle - its.had)
        spread = min(1.0, whole.spread * whole.middle / rest)
        fate = self.fates.of(shape(spec).whole).after((its.had + its.since) / whole.middle)
        found = fates.left((rest, spread), fate, its.since, draws)
        return [sum(both) for both in zip(found, its.held_up(draws), strict=True)]


def kinds(spec: JobSpec) -> list[tuple[str, int]]:
    """Of which jobs a job may be, of each sort, those that are the most like it first."""
    its = shape(spec)
    exact = number(spec.cwd, spec.command, spec.gpus)
    found = [(EXACT, exact), (WHOLE, its.whole), (SCRIPT, its.script), (ELSEWHERE, its.elsewhere)]
    return found if spec.group is None else [*found, (GROUPED, number(spec.group, spec.gpus))]


def _both(length: Length | Limited | None, its: Said) -> Length:
    """What it says, and what its earlier runs say, each for what it is worth."""
    if not isinstance(length, Length) or abs(log(its.total / length.middle)) > BELIEVED * length.wide:
        return Length(its.total, its.spread)
    own, theirs = its.spread**-2, length.wide**-2
    middle = exp((own * log(its.total) + theirs * log(length.middle)) / (own + theirs))
    return Length(middle, (own + theirs) ** -0.5)


def _run(spec: JobSpec, seconds: float) -> Run:
    return Run(log(max(seconds, 1e-3)), _values(spec))


def _bare(run: Run) -> Run:
    """Runs of the very same command have the same values, which need not be kept."""
    return Run(run.seconds, {})


def _values(spec: JobSpec) -> Mapping[str, str]:
    its = shape(spec).values
    return its if spec.group is None else {**its, GROUP: spec.group}


def _mixed(same: Likeness, like: Likeness) -> float:
    """How widely runs of one command spread, for which its likes stand as long as it has shown little itself."""
    return sqrt((same.runs * same.spread**2 + FEW * like.spread**2) / (same.runs + FEW))


def _rounded(spread: float) -> float:
    """So that many jobs share their draws."""
    return max(0.005, round(spread, 3))
