"""What the forecast needs to know of the present: who runs, who waits for what, which GPUs there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainqueue.core.gates import Gates
from trainqueue.core.job import Queued
from trainqueue.core.lanes import Lanes
from trainqueue.core.line import Line, place
from trainqueue.core.retries import moment

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec

SOON = 1.0
"""Seconds until the memory of a job that has left is back."""
PAGE = 20
"""Waiting jobs that are looked at in one step."""
MANY = 1000
"""Members of groups that a job waits for; beyond that its start is unknown."""


@dataclass(slots=True)
class World:
    """A copy: a forecast is made bit by bit while the queue goes on, and jobs are moved, edited, started and ended."""

    now: float
    slots: list[Slot]
    opens: dict[str, float | None]
    """When a GPU may be used that nothing of ours keeps from it; None where a stranger is on it, so nobody knows."""
    running: list[Job]
    waiting: list[Job]
    """In the order of the line, those beside it among them: all that may start some day by themselves."""
    ready: set[int]
    """Those of them that need nothing but their turn."""
    later: dict[int, float]
    """When others may start at the earliest."""
    jobs: dict[int, Job] = field(default_factory=dict[int, "Job"])
    """All of them by id."""
    waits_for: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    dependents: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    cpu_jobs: int = 1
    plain: bool = True
    """All waiting jobs ask for one GPU, whichever, and nothing bounds them but the GPUs: no plan is needed then."""
    settle: float = 0.0
    lanes: Lanes = field(default_factory=lambda: Lanes({}))

    def gates(self, line: Line) -> Gates:
        """With those that run."""
        lanes = Lanes(self.lanes.given)
        lanes.all, lanes.choices, lanes.waiting = dict(self.lanes.all), self.lanes.choices, self.lanes.waiting
        found = Gates(line, lanes)
        for job in self.running:
            found.hold(job)
        return found


def present(core: Core, now: float) -> Generator[None, None, World]:
    """A job that only a person, or a change of the machine, can let start is not among the waiting.

    Who runs and who waits is taken down in the first step, each as he is then or some steps later; who does not wait
    any more by then is left out.
    """
    slots = core.board.slots()
    opens = dict[str, float | None]()
    for slot in slots:
        if not slot.usable and not slot.tenants:
            opens[slot.id] = now + SOON if core.board.use(core.board.cards[slot.id]) == "memory" else None
    running, everybody = [job.snapshot() for job in core.active()], core.line.everybody()
    world = World(now, slots, opens, running, [], set(), {}, cpu_jobs=core.leases.cpu_jobs)
    world.jobs = {job.id: job for job in world.running}
    world.settle, world.lanes = core.limits.settle_time, core.lanes
    if not (core.paused or core.draining):
        in_order, last = True, None
        for at in range(0, len(everybody), PAGE):
            for job in everybody[at : at + PAGE]:
                _wait(world, core, job)
                in_order, last = in_order and (last is None or last <= place(job)), place(job)
            yield
        if not in_order:
            world.waiting.sort(key=place)
    return world


def _wait(world: World, core: Core, known: Job) -> None:
    state, spec = known.state, known.spec
    if known.id in world.jobs or not isinstance(state, Queued):
        return
    job = known.snapshot()
    if state.is_held or not core.needs.met(job) or core.lanes.closed(spec) is not None:
        return
    if job.waits_for or job.waits_for_groups:
        if not (found := _awaited(core, job)):
            return
        world.waits_for[job.id] = found
        for dep in found:
            world.dependents.setdefault(dep, []).append(job.id)
    at = moment(job)
    if at is not None and at > world.now:
        world.later[job.id] = at
    if job.id not in world.waits_for and job.id not in world.later:
        world.ready.add(job.id)
    world.waiting.append(job)
    world.jobs[job.id] = job
    if world.plain and not is_plain(core, spec):
        world.plain = False


def _awaited(core: Core, job: Job) -> set[int]:
    """Empty where nobody knows: a job that waits for a failure, or for what has gone."""
    if job.waits_for & {*job.spec.after_failed} or not job.waits_for <= core.jobs.keys():
        return set()
    found = {*job.waits_for}
    for group in job.waits_for_groups:
        if core.groups().count(job, group) > MANY:
            return set()
        found |= {*core.groups().members(job, group)}
    return found


def is_plain(core: Core, spec: JobSpec) -> bool:
    if not spec.gpus:
        return True
    if spec.gpus > 1 or spec.gpu_memory is not None or spec.gpu_from or spec.gpu_name or spec.gpu_min_memory:
        return False
    return spec.max_running is None and core.lanes.cap(spec) is None
