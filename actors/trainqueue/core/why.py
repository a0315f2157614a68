"""Why a queued job waits: a code for programs and a sentence for people."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

from trainqueue.core.job import Queued
from trainqueue.core.retries import backing_off, moment
from trainqueue.core.scarcity import barred, gathered, in_use, missing, obstacle, reserved
from trainqueue.core.words import duration, number

if TYPE_CHECKING:
    from trainqueue.core.arbiter import Core
    from trainqueue.core.gates import Gate
    from trainqueue.core.job import Job

MOST = 3
"""So many of what a job waits for are named."""


def why(core: Core, job: Job, now: float) -> tuple[str, str] | tuple[None, None]:
    """(why_code, why), or (None, None) for a job that does not wait."""
    if not isinstance(job.state, Queued):
        return None, None
    if job.state.is_held:
        unmet = job.state.unmet and f"{job.state.unmet}; held: release starts it anyway, edit changes what it waits for"
        return "held", unmet or "held until it is released"
    if job.waits_for or job.waits_for_groups:
        return "dependency", f"waits for {awaited(core, job)}"
    if (sentence := backing_off(job, now)) is not None:
        return "backoff", sentence
    position = core.line.position(job)
    if position is None and (at := moment(job)) is not None and (at, job.id) in core.alarms.jobs:
        code = "not-before" if at == job.spec.not_before else "backoff"
        return code, f"its time comes in {duration(max(0.0, at - now))}"  # until its alarm has rung
    if core.draining:
        return "draining", "the queue is draining: nothing starts until it is resumed"
    if core.paused:
        since = f" since {core.pause_reason}; `trainq-cli resume` goes on" if core.pause_reason else None
        return "paused", "the queue is paused" + (since or ": nothing starts until it is resumed")
    if core.blocked:
        return "backoff", f"{core.blocked}; tried again every second"
    if position is None:
        return _beside_the_line(core, job)
    return _in_line(core, job, position, now)


def _beside_the_line(core: Core, job: Job) -> tuple[str, str]:
    if not core.needs.met(job):
        return "gpu-count", missing(core.board, job.spec)
    if (closed := core.lanes.closed(job.spec)) is not None:
        return closed
    if (gate := core.gates.outside(job)) is not None:
        return _outside(core, gate, job)
    return "position", "its turn has come"


def _outside(core: Core, gate: Gate, job: Job) -> tuple[str, str]:
    """Which bound keeps it out, who uses that up, and how many stand in front of it besides."""
    (kind, name), used = gate.key, core.gates.used[gate.key]
    before = len(gate.inside) + gate.before(job)
    rest = f"; {before} of it {'is' if before == 1 else 'are'} before this one" if before else ""
    if kind == "lane":
        return "position", f"lane {name} holds {used} of its {number(gate.bound, 'GPU')}{rest}"
    if used >= gate.bound:
        return "position", f"{used} of group {name} run, which is its max_running{rest}"
    return "position", f"{used} of group {name} run, and its max_running is {gate.bound}{rest}"


def awaited(core: Core, job: Job) -> str:
    """Jobs and groups, the first of them by name."""
    said = [f"job {dep}" for dep in nsmallest(MOST, job.waits_for)]
    groups, names = core.groups(), nsmallest(MOST - len(said), job.waits_for_groups)
    said += [f"{number(groups.count(job, name), 'job')} of group {name}" for name in names]
    more = len(job.waits_for) + len(job.waits_for_groups) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")


def _in_line(core: Core, job: Job, position: int, now: float) -> tuple[str, str]:
    needs_gpu = job.spec.gpus > 0
    if core.line.first(needs_gpu=needs_gpu) is not job:
        if needs_gpu and (found := barred(core, job)) is not None:
            return found
        return "position", f"position {position} in the line" + (reserved(core, job) if needs_gpu else "")
    if not needs_gpu:
        used, places = len(core.leases.without_gpu), core.leases.cpu_jobs
        return "position", f"next in line; {used} of {places} jobs without a GPU are running"
    return obstacle(core, job) or ("position", f"next in line; {gathered(core, job, now) or in_use(core)}")
