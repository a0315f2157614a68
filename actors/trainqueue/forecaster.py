"""Part of the arbiter: makes forecasts when somebody asks and something has changed, bit by bit between messages.

A forecast is made of what was known when it began. A short one is ready at once, or after a few turns of the arbiter,
for which whoever has asked waits; of a long line the newest one is told, and the next one is made meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from math import inf
from typing import TYPE_CHECKING, Any

from trainqueue import wire
from trainqueue.core.forecast import NOTHING, foretell
from trainqueue.core.job import Cancelled, Completed, Failed, Pending, Queued, Running
from trainqueue.core.lengths import Lengths
from trainqueue.core.world import present
from trainqueue.errors import RequestError
from trainqueue.messages import Foretell

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.forecast import Expected
    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec
    from trainqueue.messages import Call

logger = logging.getLogger(__name__)
READS = (wire.Status, wire.Queue, wire.Line, wire.Jobs)
"""Whose answers tell what is expected."""
COLUMNS = ("expected_start_at", "expected_start_range", "expected_end_at", "expected_gpu_ids")
"""Of the op `line`."""
SLICE = 0.0005
"""Seconds for which the arbiter's thread is held at a time."""
SHORT = 200
"""Waiting jobs; of so many whoever asks is told what is true now."""
AGAIN = 1.0
"""Seconds between two forecasts of a longer line; at the least, since ..."""
PART = 0.1
"""... they may take this part of the arbiter's time."""
LASTS = 10.0
"""Seconds that a forecast holds where nothing happens."""
RECALLED, AT_ONCE = 1000, 10
"""Ended jobs that are looked up at first, and how many of them in one step."""


class Forecaster:
    """In the arbiter's thread. `newest` by job; who is not in it is unknown."""

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter = arbiter
        self.lengths = Lengths(arbiter.core.past)
        self.newest: dict[int, Expected] = {}
        self.version = 0
        """Another one whenever something has happened."""
        self._made: int | None = None
        """The version that the newest forecast is of."""
        self._at = self._until = 0.0
        """When that was begun, and when the next thing is expected to happen; wall time."""
        self._next = 0.0
        """When a long one may be made again; monotonic."""
        self._steps: Generator[None, None, None] | None = None
        self._askers: list[tuple[Call, int]] = []
        """They wait for a forecast of this version, or of a later one."""
        self._recalled = False

    # -- what happens

    def ended(self, job: Job) -> None:
        """What has been lost, or skipped since another one has failed, says nothing."""
        if isinstance(job.state, Completed | Failed | Cancelled):
            self._learn(job.spec, job.state.name, job.state.run_time)

    def _learn(self, spec: JobSpec, state: str, seconds: float | None, *, before_all: bool = False) -> None:
        if state == "completed" and seconds is not None:
            (self.lengths.recall if before_all else self.lengths.ended)(spec, seconds)
        elif state == "cancelled" or (state == "failed" and seconds is not None):
            self.lengths.broken_off(spec, seconds or 0.0)

    def of(self, job: Job) -> dict[str, Any]:
        """The fields of a Job that tell what is expected; what should have happened by now is expected now."""
        return fields(job, self.newest.get(job.id, NOTHING), self.arbiter.clock.now())

    def columns(self, jobs: Iterable[Job]) -> dict[str, list[Any]]:
        """The same of many waiting jobs, by field."""
        now, newest = self.arbiter.clock.now(), self.newest
        rows = [newest.get(job.id, NOTHING) for job in jobs]
        columns: tuple[list[Any], ...] = (
            [_not_before(now, one.start) for one in rows],
            [_range(now, one.earliest, one.latest) for one in rows],
            [_not_before(now, one.end) for one in rows],
            [one.gpu_ids for one in rows],
        )
        return dict(zip(COLUMNS, columns, strict=True))

    # -- who asks

    def delays(self, call: Call) -> bool:
        """Whether this call is answered later, with a forecast that is being made."""
        if not isinstance(call.request, READS) or self._is_fresh():
            return False
        core = self.arbiter.core
        if not (len(core.line) or core.leases.jobs()):
            self.newest = {}
            return False
        short = len(core.line) <= SHORT
        if self._steps is None:
            if not short and self._made is not None and time.monotonic() < self._next:
                return False
            self._begin()
            self._work()
        if self._steps is None or not short:
            return False
        self._askers.append((call, self.version))
        return True

    def waiting(self) -> list[Call]:
        """Those that have no answer yet; they are forgotten here."""
        calls, self._askers = [call for call, _ in self._askers], []
        return calls

    def _is_fresh(self) -> bool:
        now = self.arbiter.clock.now()
        return self._made == self.version and self._at <= now < min(self._until, self._at + LASTS)

    # -- the making

    def _begin(self) -> None:
        self._steps = self._make()
        self._spent = 0.0

    def _make(self) -> Generator[None, None, None]:
        if not self._recalled:
            yield from self._recall()
        version, now = self.version, self.arbiter.clock.now()
        world = yield from present(self.arbiter.core, now)
        newest = yield from foretell(world, self.lengths)
        self.newest, self._made, self._at = newest, version, now
        coming = (at for one in newest.values() for at in (one.start, one.end) if at is not None and at > now)
        self._until = min(coming, default=now + LASTS)

    def step(self) -> None:
        """A turn of the arbiter."""
        if self._steps is None:
            return
        self._work()
        self._answer()

    def _work(self) -> None:
        """For as long as nobody minds; then a message to ourselves comes behind what others have sent meanwhile."""
        assert self._steps is not None
        began = time.perf_counter()
        try:
            while time.perf_counter() - began < SLICE:
                next(self._steps)
        except StopIteration:
            self._steps = None
        except Exception:
            logger.exception("making a forecast failed; nothing is expected")
            self._steps, self.newest, self._made = None, {}, self.version
            self._at = self._until = self.arbiter.clock.now()
            self._until += LASTS
        self._spent += time.perf_counter() - began
        if self._steps is not None:
            self.arbiter.actor_ref.tell(Foretell())
        else:
            self._next = time.monotonic() + max(AGAIN, self._spent / PART)

    def _answer(self) -> None:
        """Those who have asked before this forecast was begun; the others wait for the next one."""
        if self._steps is not None:
            return
        made = -1 if self._made is None else self._made
        ready = [call for call, version in self._askers if version <= made]
        self._askers = [(call, version) for call, version in self._askers if version > made]
        for call in ready:
            self.arbiter.serve_now(call)
        if self._askers:
            self._begin()
            self.arbiter.actor_ref.tell(Foretell())

    def _recall(self) -> Generator[None, None, None]:
        """Runs of earlier days, the newest first: the journal finds those of one command, not those of its likes."""
        before, journal = (inf, 0), self.arbiter.journal
        for _ in range(RECALLED // AT_ONCE):
            try:
                found = journal.ended(before, AT_ONCE)
            except (sqlite3.Error, RequestError) as error:
                logger.warning("cannot look up earlier runs: %s", error)
                break
            for before, state, spec, seconds in found:  # noqa: B007  (the oldest is where the next look begins)
                self._learn(spec, state, seconds, before_all=True)
            if len(found) < AT_ONCE:
                break
            yield
        self._recalled = True


def fields(job: Job, expected: Expected, now: float) -> dict[str, Any]:
    """As the wire shows them."""
    start = start_range = end = end_range = gpu_ids = None
    if isinstance(job.state, Queued):
        start, start_range = _not_before(now, expected.start), _range(now, expected.earliest, expected.latest)
        gpu_ids = None if expected.gpu_ids is None else list(expected.gpu_ids)
    if isinstance(job.state, Queued | Pending | Running):
        end, end_range = _not_before(now, expected.end), _range(now, expected.end_earliest, expected.end_latest)
    return {
        "expected_start_at": start,
        "expected_start_range": start_range,
        "expected_end_at": end,
        "expected_end_range": end_range,
        "expected_gpu_ids": gpu_ids,
    }


def _not_before(now: float, at: float | None) -> float | None:
    return None if at is None else max(now, at)


def _range(now: float, earliest: float | None, latest: float | None) -> list[float | None] | None:
    if earliest is None and latest is None:
        return None
    return [_not_before(now, earliest), _not_before(now, latest)]
