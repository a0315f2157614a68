"""What the forecast needs to know of the present: who runs, who waits for what, which GPUs there are.

Who waits for a group waits for a gathering: a negative number, which waits for the members itself and is shared by all
that wait for the same ones. So ten thousand jobs may wait for a group of ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainqueue.core.gates import Gates
from trainqueue.core.job import Queued
from trainqueue.core.lanes import Lanes
from trainqueue.core.retries import moment

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.core.line import Line
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec

SOON = 1.0
"""Seconds until the memory of a job that has left is back."""
GATHERED = 50_000
"""Members in all gatherings; whoever waits for still more of them starts nobody knows when."""
STEP = 100
"""Members that are gathered in one step."""


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
    where: dict[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    """The GPUs of those that run."""
    waits_for: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Of jobs and gatherings."""
    needs: dict[int, int] = field(default_factory=dict[int, int])
    """How many those are."""
    dependents: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    gatherings: dict[tuple[str, int, int], int] = field(default_factory=dict[tuple[str, int, int], int])
    """By group, its last member that counts, and the job that is a member itself."""
    gathered: int = 0
    """Members of all of them."""
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

    def forget(self, job: int) -> None:
        for known_of in (self.jobs, self.waits_for, self.dependents):
            known_of.pop(job, None)

    def wait(self, job: int, others: Sequence[int]) -> None:
        """For these as well."""
        self.waits_for.setdefault(job, []).extend(others)
        self.needs[job] = self.needs.get(job, 0) + len(others)
        for other in others:
            self.dependents.setdefault(other, []).append(job)


def present(core: Core, now: float) -> Generator[None, None, World]:
    """A job that only a person, or a change of the machine, can let start is not among the waiting.

    Who runs and who waits, in which order, is taken down in the first step; each waiting job as it is some steps later,
    and if it does not wait any more by then it is left out.
    """
    slots = core.board.slots()
    opens = dict[str, float | None]()
    for slot in slots:
        if not slot.usable and not slot.tenants:
            opens[slot.id] = now + SOON if core.board.use(core.board.cards[slot.id]) == "memory" else None
    running, everybody = [job.snapshot() for job in core.active()], core.line.everybody()
    world = World(now, slots, opens, running, [], set(), {}, cpu_jobs=core.leases.cpu_jobs)
    world.jobs = {job.id: job for job in world.running}
    world.where = {job.id: job.gpu_ids for job in world.running}
    world.settle, world.lanes = core.limits.settle_time, core.lanes
    if not (core.paused or core.draining):
        for known in everybody:
            if (job := core.jobs.get(known)) is not None and may_start(core, job) and known not in world.where:
                yield from _wait(world, core, job.snapshot())
            yield
    return world


def may_start(core: Core, job: Job) -> bool:
    """Some day, by itself."""
    if not isinstance(job.state, Queued) or job.state.is_held or core.lanes.closed(job.spec) is not None:
        return False
    if job.waits_for & {*job.spec.after_failed} or not job.waits_for <= core.jobs.keys():
        return False  # nobody knows: it waits for a failure, or for what has gone
    return core.needs.met(job)


def _wait(world: World, core: Core, job: Job) -> Generator[None, None, None]:
    others = [*job.waits_for]
    for group in job.waits_for_groups:
        found = yield from _gather(world, core, job, group)
        if found is None:
            return
        others.append(found)
    if others:
        world.wait(job.id, others)
    at = moment(job)
    if at is not None and at > world.now:
        world.later[job.id] = at
    if not others and job.id not in world.later:
        world.ready.add(job.id)
    world.waiting.append(job)
    world.jobs[job.id] = job
    if world.plain and not is_plain(core, job.spec):
        world.plain = False


def _gather(world: World, core: Core, job: Job, group: str) -> Generator[None, None, int | None]:
    """The gathering of those of the group that this job waits for; None where they are too many."""
    itself = job.spec.group == group and job.id < job.bound
    key = (group, core.groups().newest(group, job.bound), job.id if itself else 0)
    if key not in world.gatherings:
        if world.gathered + core.groups().count(job, group) > GATHERED:
            return None
        members = core.groups().members(job, group)
        world.gathered += len(members)
        world.gatherings[key] = made = -1 - len(world.gatherings)
        for at in range(0, len(members), STEP):
            world.wait(made, members[at : at + STEP])
            yield
    return world.gatherings[key]


def is_plain(core: Core, spec: JobSpec) -> bool:
    if not spec.gpus:
        return True
    if spec.gpus > 1 or spec.gpu_memory is not None or spec.gpu_from or spec.gpu_name or spec.gpu_min_memory:
        return False
    return spec.max_running is None and core.lanes.cap(spec) is None
