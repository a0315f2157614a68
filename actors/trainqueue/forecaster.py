"""Part of the arbiter: makes forecasts when somebody asks and something has changed, bit by bit between messages.

A forecast is made of what was known when it began. A short one is ready at once, or after a few turns of the arbiter,
for which whoever has asked waits; of a long line the newest one is told, and the next one is made meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from trainqueue import reads, wire
from trainqueue.core.forecast import NOTHING, foretell
from trainqueue.core.job import Cancelled, Completed, Failed
from trainqueue.core.lengths import Lengths
from trainqueue.core.world import present
from trainqueue.errors import RequestError
from trainqueue.expectations import fields
from trainqueue.messages.arbiter import Foretell

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.forecast import Expected
    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec
    from trainqueue.messages.clients import Call

logger = logging.getLogger(__name__)
READS = (wire.Status, wire.Queue, wire.Line, wire.Jobs)
"""Whose answers tell what is expected."""
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
        self._lines: list[tuple[Call, Generator[None, None, object]]] = []
        """Long answers that are being made, each of what was true when it was begun."""
        self._is_told = False
        """Whether a message to ourselves is under way."""

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

    # -- who asks

    def delays(self, call: Call) -> bool:
        """Whether this call is answered later, with a forecast that is being made, or since its answer is long."""
        return self._waits(call) or self._takes_long(call)

    def _takes_long(self, call: Call) -> bool:
        request = call.request
        if not isinstance(request, wire.Line) or min(request.limit, len(self.arbiter.core.line)) <= SHORT:
            return False
        self._lines.append((call, reads.line(self.arbiter, request.limit)))
        self._again()
        return True

    def _waits(self, call: Call) -> bool:
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
        calls = [call for call, _ in (*self._askers, *self._lines)]
        self._askers, self._lines = [], []
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
        first = islice(newest.values(), SHORT)  # those that run, and the head of the line
        coming = (at for one in first for at in (one.start, one.end) if at is not None and at > now)
        self._until = min(coming, default=now + LASTS)

    def step(self) -> None:
        """A turn of the arbiter."""
        self._is_told = False
        if self._lines:
            self._write_line()
        if self._steps is not None:
            self._work()
            self._answer()

    def _again(self) -> None:
        """Behind what others have sent meanwhile."""
        if not self._is_told:
            self._is_told = True
            self.arbiter.actor_ref.tell(Foretell())

    def _write_line(self) -> None:
        call, steps = self._lines[0]
        answer = None
        try:
            next(steps)
        except StopIteration as done:
            answer = wire.answer(call.request.id, done.value)
        except Exception:
            logger.exception("the line cannot be told")
            answer = wire.refusal(call.request.id, "internal", "a fault of trainq's own; see trainqd.log")
        if answer is not None:
            self._lines.pop(0)
            self.arbiter.ledger.answer(call, answer, promises=False)
            self.arbiter.changed()
        if self._lines:
            self._again()

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
            self._again()
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
            if not self._takes_long(call):
                self.arbiter.serve_now(call)
        if self._askers:
            self._begin()
            self._again()

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
