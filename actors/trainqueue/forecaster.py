"""Part of the arbiter: makes forecasts when somebody asks and something has changed, bit by bit between messages.

A forecast is made of what was known when it began. A short one is ready at once, or after a few turns of the arbiter,
for which whoever has asked waits; of a long line the newest one is told, and the next one is made meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from dataclasses import dataclass
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
    from collections.abc import Generator, Iterable

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


@dataclass(frozen=True, slots=True)
class Ready:
    """A forecast, of what was true at a moment; whoever is not in it is unknown. `at` and `until` are wall time."""

    expected: dict[int, Expected]
    version: int = -1
    """Of what has happened."""
    at: float = 0.0
    until: float = 0.0
    """When the next thing is expected to happen."""

    def holds(self, version: int, now: float) -> bool:
        return self.version == version and self.at <= now < min(self.until, self.at + LASTS)


@dataclass(slots=True)
class Making:
    """One that is being made, and the seconds that this has taken."""

    steps: Generator[None, None, None]
    spent: float = 0.0


@dataclass(frozen=True, slots=True)
class Resting:
    """None is being made; one of a long line may be again from then on (monotonic)."""

    until: float = 0.0


class Forecaster:
    """In the arbiter's thread: the newest forecast, and what is done for the next one."""

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter = arbiter
        self.lengths = Lengths(arbiter.core.past)
        self.version = 0
        """Another one whenever something has happened."""
        self._ready = Ready({})
        self._doing: Making | Resting = Resting()
        self._recalled = False
        self._learnt = deque[int](maxlen=RECALLED)
        """Jobs that have ended before the earlier ones were looked up: the journal has them, too."""
        self._askers: list[tuple[Call, int]] = []
        """They wait for a forecast of this version, or of a later one."""
        self._lines: list[tuple[Call, Generator[None, None, object]]] = []
        """Long answers that are being made, each of what was true when it was begun."""
        self._is_told = False
        """Whether a message to ourselves is under way."""

    # -- what happens

    def ended(self, job: Job) -> None:
        """What has been lost, or skipped since another one has failed, says nothing."""
        if isinstance(job.state, Completed | Failed | Cancelled):
            if not self._recalled:
                self._learnt.append(job.id)
            self._learn(job.spec, job.state.name, job.state.run_time)

    def _learn(self, spec: JobSpec, state: str, seconds: float | None, *, before_all: bool = False) -> None:
        if state == "completed" and seconds is not None:
            (self.lengths.recall if before_all else self.lengths.ended)(spec, seconds)
        elif state == "cancelled" or (state == "failed" and seconds is not None):
            self.lengths.broken_off(spec, seconds or 0.0, before_all=before_all)

    def of(self, job: Job) -> dict[str, Any]:
        """The fields of a Job that tell what is expected; what should have happened by now is expected now."""
        return fields(job, self._ready.expected.get(job.id, NOTHING), self.arbiter.clock.now())

    def expected(self, jobs: Iterable[Job]) -> list[Expected]:
        """Of many."""
        known = self._ready.expected
        return [known.get(job.id, NOTHING) for job in jobs]

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
        if not isinstance(call.request, READS) or self._ready.holds(self.version, self.arbiter.clock.now()):
            return False
        core = self.arbiter.core
        if not (len(core.line) or core.leases.jobs()):
            self._ready = Ready({})
            return False
        short = len(core.line) <= SHORT
        if isinstance(self._doing, Resting):
            if not short and self._ready.version >= 0 and time.monotonic() < self._doing.until:
                return False
            self._work(Making(self._make()))
        if isinstance(self._doing, Resting) or not short:
            return False
        self._askers.append((call, self.version))
        return True

    def waiting(self) -> list[Call]:
        """Those that have no answer yet; they are forgotten here."""
        calls = [call for call, _ in (*self._askers, *self._lines)]
        self._askers, self._lines = [], []
        return calls

    # -- the making

    def _make(self) -> Generator[None, None, None]:
        if not self._recalled:
            yield from self._recall()
        version, now, last = self.version, self.arbiter.clock.now(), self._ready.expected
        world = yield from present(self.arbiter.core, now)
        expected = yield from foretell(world, self.lengths)
        first = islice(expected.values(), SHORT)  # those that run, and the head of the line
        coming = (at for one in first for at in (one.start, one.end) if at is not None and at > now)
        self._ready = Ready(expected, version, now, min(coming, default=now + LASTS))
        while last:  # here and there, as everything that is long
            last.popitem()
            yield

    def step(self) -> None:
        """A turn of the arbiter."""
        self._is_told = False
        if self._lines:
            self._write_line()
        if isinstance(self._doing, Making):
            self._work(self._doing)
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

    def _work(self, making: Making) -> None:
        """For as long as nobody minds; then a message to ourselves comes behind what others have sent meanwhile."""
        began, self._doing = time.perf_counter(), making
        is_over = False
        try:
            while time.perf_counter() - began < SLICE:
                next(making.steps)
        except StopIteration:
            is_over = True
        except Exception:
            logger.exception("making a forecast failed; nothing is expected")
            now, is_over = self.arbiter.clock.now(), True
            self._ready = Ready({}, self.version, now, now + LASTS)
        making.spent += time.perf_counter() - began
        if is_over:
            self._doing = Resting(time.monotonic() + max(AGAIN, making.spent / PART))
        else:
            self._again()

    def _answer(self) -> None:
        """Those who have asked before this forecast was begun; the others wait for the next one."""
        if isinstance(self._doing, Making):
            return
        made = self._ready.version
        ready = [call for call, version in self._askers if version <= made]
        self._askers = [(call, version) for call, version in self._askers if version > made]
        for call in ready:
            if not self._takes_long(call):
                self.arbiter.serve_now(call)
        if self._askers:
            self._doing = Making(self._make())
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
            for before, state, spec, seconds in found:
                if before[1] not in self._learnt:
                    self._learn(spec, state, seconds, before_all=True)
            if len(found) < AT_ONCE:
                break
            yield
        self._recalled = True
        self._learnt.clear()
