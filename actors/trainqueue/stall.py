"""The watchdog: which running jobs have a `stall_timeout`, and since when each of them has done nothing.

A trainer feels the pulse of its job (log, progress, processor); the GPUs are what the watch has seen of them anyway.
Only when all of that has been quiet for longer than the timeout does the job count as stalled. What a daemon has not
seen itself it does not hold against a job: after a restart it counts anew. Jobs without a timeout cost nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from trainqueue.core import events as ev
from trainqueue.core.job import Running
from trainqueue.core.stalls import is_watched
from trainqueue.messages.attempts import FeelPulse

if TYPE_CHECKING:
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.core.reading import Sighting
    from trainqueue.core.spec import JobSpec

OFTEN, SELDOM = 1.0, 60.0
"""Seconds between looks at a job: at least, and at most. In between an eighth of its timeout."""
BUSY = 5.0
"""Per cent: a desktop that draws on the GPU of an idle job uses less."""
FRESH = 30.0
"""Seconds: nobody calls a GPU idle that was not seen to be, for so long (its driver is in trouble)."""


class Rule(NamedTuple):
    """For jobs that do not say: `timeout` in seconds, 0 for none."""

    timeout: float = 0.0
    action: Literal["warn", "stop"] = "warn"

    def of(self, spec: JobSpec) -> Rule:
        """What holds for this job: each of the two as it says itself, or as we do."""
        timeout = self.timeout if spec.stall_timeout is None else spec.stall_timeout
        return Rule(timeout, spec.stall_action or self.action)


@dataclass(slots=True)
class Watched:
    """An attempt under watch; times are monotonic. `moved`: when it was last known to do anything, or we came."""

    attempt: int
    rule: Rule
    moved: float
    suspended: bool = False


class Stalls:
    """Part of the arbiter: called from its thread only."""

    def __init__(self, arbiter: GPUArbiter, rule: Rule) -> None:
        self.arbiter, self.rule = arbiter, rule
        self.jobs: dict[int, Watched] = {}
        self._busy: dict[str, float] = {}
        """When each GPU that tells it was last seen at work."""
        self._told: dict[str, float] = {}
        """When it last told anything."""

    def changed(self, job: Job) -> None:
        """At each step of a job: one that has just begun to run is watched from now on."""
        watched = self.jobs.get(job.id)
        if not isinstance(job.state, Running):
            self.jobs.pop(job.id, None)
        elif watched is None or watched.attempt != job.attempt:
            self.watch(job)
        elif watched.suspended or job.state.suspended:
            watched.suspended, watched.moved = job.state.suspended, time.monotonic()

    def watch(self, job: Job) -> None:
        """It has begun to run, was adopted, or has another trainer, which has to be told."""
        rule = self.rule.of(job.spec)
        if not rule.timeout or not isinstance(job.state, Running):
            return
        self.jobs[job.id] = Watched(job.attempt, rule, time.monotonic(), job.state.suspended)
        every = min(max(rule.timeout / 8, OFTEN), SELDOM)
        log = self.arbiter.home.log_name(job.id, job.attempt)
        self.arbiter.bench.tell(job.id, job.attempt, FeelPulse(every, log))

    def sighted(self, sighting: Sighting) -> None:
        """What the watch has seen of the GPUs."""
        if not self.jobs:
            return
        now = time.monotonic()
        for reading in sighting.readings:
            if reading.measured and reading.utilization is not None:
                self._told[reading.id] = now
                if reading.utilization >= BUSY:
                    self._busy[reading.id] = now

    def pulse(self, job_id: int, attempt: int, *, beats: bool) -> None:
        """A trainer has felt the pulse of its job."""
        watched, job = self.jobs.get(job_id), self.arbiter.core.jobs.get(job_id)
        if watched is None or watched.attempt != attempt or job is None or not isinstance(job.state, Running):
            return
        now = time.monotonic()
        gpus = [self._busy_at(gpu, now) for gpu in job.state.gpu_ids if gpu in self._told]
        moved = max([now if beats or not is_watched(job.state) else watched.moved, *gpus])
        if moved > watched.moved:
            watched.moved = moved
            if job.state.stalled_since is not None and not job.state.stall_ends_it:
                self.arbiter.apply(ev.Stirred(job_id, attempt))
        silent, stop = now - watched.moved, watched.rule.action == "stop"
        if self.arbiter.orders.under_way(job_id):
            return  # it is being told something, which must not meet another end; the next pulse will say
        if silent > watched.rule.timeout and (stop or job.state.stalled_since is None):
            since = self.arbiter.clock.now() - silent
            self.arbiter.apply(ev.Stalled(job_id, attempt, since, silent, quiet(len(gpus)), stop))

    def _busy_at(self, gpu: str, now: float) -> float:
        """When it was last at work, for all that anybody knows."""
        return now if now - self._told[gpu] > FRESH else self._busy.get(gpu, 0.0)


def quiet(gpus: int) -> str:
    """What was looked at; `gpus`: how many tell what they do."""
    idle = {0: "processor", 1: "GPU and processor"}.get(gpus, f"{gpus} GPUs and processor")
    return f"no output, no progress, {idle} idle"
