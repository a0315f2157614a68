"""What must hold after every step (design, section 4), looked at from outside the core's own bookkeeping."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trainqueue.core.job import Pending, Queued, Running
from trainqueue.core.placement import choose
from trainqueue.errors import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.core.arbiter import Core


class InvariantError(FaultError):
    """The state is broken; a fault of ours."""


def check(core: Core) -> None:
    """Raises InvariantError with a sentence for each promise that is broken."""
    if found := [*problems(core)]:
        raise InvariantError("; ".join(found))


def problems(core: Core) -> Iterator[str]:
    """A sentence for each promise that is broken."""
    yield from lists(core)
    yield from leases(core)
    yield from alarms(core)
    if core.may_start() and (chosen := choose(core.line, core.leases)) is not None:
        yield f"job {chosen[0].id} could start and does not"


def lists(core: Core) -> Iterator[str]:
    queued = {job.id for job in core.jobs.values() if isinstance(job.state, Queued)}
    active = {job.id for job in core.jobs.values() if isinstance(job.state, Pending | Running)}
    if queued | active != set(core.jobs):
        yield f"ended jobs in memory: {set(core.jobs) - queued - active}"
    listed = [job.id for job in core.line.page(0, len(core.line))]
    if sorted(listed) != sorted(queued):
        yield f"the line holds {listed}, queued are {queued}"
    alive = Counter(job.state.name for job in core.jobs.values())
    if alive != Counter({name: core.counts[name] for name in ("queued", "pending", "running")}):
        yield f"counted {core.counts}, alive are {alive}"


def leases(core: Core) -> Iterator[str]:
    held: dict[str, int] = {}
    for job in core.jobs.values():
        for gpu in job.gpu_ids:
            if held.setdefault(gpu, job.id) != job.id:
                yield f"GPU {gpu} is held by jobs {held[gpu]} and {job.id}"
    if held != {gpu: job for gpu, job in core.leases.holder.items() if job is not None}:
        yield f"leases {core.leases.holder} differ from what jobs hold {held}"


def alarms(core: Core) -> Iterator[str]:
    for at, job_id in core.alarms.jobs:
        job = core.jobs.get(job_id)
        if job is None or not isinstance(job.state, Queued) or job.spec.not_before != at:
            yield f"an alarm at {at} for job {job_id}, which does not wait for it"
        if core.alarms.set_for is None or core.alarms.set_for > at:
            yield f"woken at {core.alarms.set_for}, too late for job {job_id} at {at}"
