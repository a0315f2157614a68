"""What must hold after every step (design, section 4), looked at from outside the core's own bookkeeping."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trainqueue.core.expect import would_do
from trainqueue.core.groups import is_let_down
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.core.line import place
from trainqueue.core.placement import plan
from trainqueue.core.retries import moment
from trainqueue.errors import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job


class InvariantError(FaultError):
    """The state is broken; a fault of ours."""


def check(core: Core, now: float) -> None:
    """Raises InvariantError with a sentence for each promise that is broken."""
    if found := [*problems(core, now)]:
        raise InvariantError("; ".join(found))


def problems(core: Core, now: float) -> Iterator[str]:
    """A sentence for each promise that is broken."""
    yield from lists(core)
    yield from orders(core)
    yield from waits(core)
    yield from leases(core)
    yield from alarms(core)
    yield from gates(core)
    yield from starts(core)
    yield from gpus(core)
    yield from stalls(core)
    if core.may_start():
        yield from idle(core, now)


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


def waits(core: Core) -> Iterator[str]:
    """Whoever waits for others waits for some that live, and none for itself in the end; so all have their turn."""
    after: dict[int, set[int]] = {}
    for job in core.jobs.values():
        some = {*job.waits_for}
        for group in job.waits_for_groups:
            members = core.groups().members(job, group)
            if not members:
                yield f"job {job.id} waits for group {group}, of which nobody is left"
            some |= {*members}
        if some and not isinstance(job.state, Queued):
            yield f"job {job.id} is {job.state.name} and waits for {some}"
        if some and core.line.position(job) is not None:
            yield f"job {job.id} stands in line and waits for {some}"
        if not (is_let_down(job) or some <= core.jobs.keys()):
            yield f"job {job.id} waits for {some - core.jobs.keys()}, which have ended"
        after[job.id] = some & core.jobs.keys()
    while free := [waiter for waiter, some in after.items() if not some & after.keys()]:
        for waiter in free:
            del after[waiter]
    if after:
        yield f"these wait for each other: {after}"


def orders(core: Core) -> Iterator[str]:
    """What somebody wants of a running job at the same time, and cannot have."""
    for job in core.jobs.values():
        state = job.state
        if isinstance(state, Running) and state.suspended and (state.stopping or state.preempting):
            yield f"job {job.id} is to stand still and to end: {state}"
        if isinstance(state, Queued) and state.until is not None and job.attempt == 1:
            yield f"job {job.id} waits for a retry before its first attempt"


def leases(core: Core) -> Iterator[str]:
    held: dict[str, dict[int, int | None]] = {}
    for job in core.jobs.values():
        for gpu in job.gpu_ids:
            held.setdefault(gpu, {})[job.id] = getattr(job.state, "share", None)
    for gpu, shares in held.items():
        card = core.board.cards.get(gpu)
        total = card.reading.memory_total if card is not None else None
        if card is None:
            yield f"GPU {gpu} is held and not known"
        if len(shares) > 1 and (
            None in shares.values() or sum(share or 0 for share in shares.values()) > (total or 2**60)
        ):
            yield f"GPU {gpu} with {total} bytes is held by {shares}"
    if held != core.leases.held():
        yield f"leases {core.leases.held()} differ from what jobs hold {held}"
    active = {job.id for job in core.jobs.values() if isinstance(job.state, Pending | Running)}
    if active != {*core.leases.jobs()}:
        yield f"leases know the jobs {core.leases.jobs()}, active are {active}"


def stalls(core: Core) -> Iterator[str]:
    for job in core.jobs.values():
        if isinstance(job.state, Running):
            told = (job.state.stalled_since is not None, bool(job.state.quiet))
            if told[0] != told[1] or (job.state.stall_ends_it and not told[0]):
                yield f"job {job.id} has stalled, or not: {job.state}"


def starts(core: Core) -> Iterator[str]:
    """What the last step has given away was proven free in that very step."""
    for gpu in (gpu for gpu_ids in core.started for gpu in gpu_ids):
        card = core.board.cards[gpu]
        if not core.is_fresh((gpu,)):
            yield f"{card.label} was given away without a look"
        if not core.board.is_available(card) or core.board.trouble or card.proof is not None or card.mute:
            yield f"{card.label} was given away: {card}"
        if core.board.strangers(card):
            yield f"{card.label} was given away with strangers on it: {card.reading.processes}"


def gpus(core: Core) -> Iterator[str]:
    board = core.board
    for card in board.cards.values():
        tenants = {*core.leases.on(card.id)}
        if not {*card.used} | card.settled <= tenants:
            yield f"{card.label} remembers jobs that have left it: {card.used}, {card.settled}, now there are {tenants}"
        if card.overdue and card.proof is None:
            yield f"{card.label} is overdue with nothing"
        if card.told != (board.ailment(card) is None, card.enabled):
            yield f"the world believes {card.told} of {card.label}"
    due = [gpu for gpu, card in board.cards.items() if card.proof is not None and not card.overdue]
    if sorted(due) != sorted(board.proving):
        yield f"open proofs {due}, looked after are {[*board.proving]}"
    for gpu in due:
        card = board.cards[gpu]
        if card.seen and not card.lost and not board.trouble and not core.looks.pending(gpu):
            yield f"nobody looks whether {card.label} is free"
    for job in core.jobs.values():
        if isinstance(job.state, Queued) and job.spec.gpus:
            enough = len(would_do(job.spec, [board.slot(card) for card in board.counted()])) >= job.spec.gpus
            if core.needs.met(job) != (enough or not board.known):
                yield f"job {job.id} is parked, or not, with {job.spec.gpus} GPUs of {board.cards}"


def idle(core: Core, now: float) -> Iterator[str]:
    if core.leases.room_without_gpu() and (job := core.line.first(needs_gpu=False)) is not None:
        yield f"job {job.id} could start and does not"
    at = now if core.plans.newest(now) is None else core.plans.at  # time alone need not bring a plan at once
    looking = any(core.looks.pending(gpu) for gpu in core.board.cards)
    for placement in plan(core.line, core.board.slots(), core.jobs.__getitem__, at, core.past):
        if core.is_fresh(placement.gpu_ids):
            yield f"job {placement.job.id} could start on {placement.gpu_ids} and does not"
        elif not looking:  # what is told next is decided anew
            yield f"job {placement.job.id} could start on {placement.gpu_ids}, and nobody looks"


def alarms(core: Core) -> Iterator[str]:
    for at, job_id in core.alarms.jobs:
        job = core.jobs.get(job_id)
        if job is None or not isinstance(job.state, Queued) or moment(job) != at:
            yield f"an alarm at {at} for job {job_id}, which does not wait for it"
        if core.alarms.set_for is None or core.alarms.set_for > at:
            yield f"woken at {core.alarms.set_for}, too late for job {job_id} at {at}"


def gates(core: Core) -> Iterator[str]:
    """Groups and lanes, counted anew from the jobs alone."""
    active = [job for job in core.jobs.values() if isinstance(job.state, Pending | Running)]
    used = Counter(("group", job.spec.group) for job in active if job.spec.group is not None)
    for job in active:
        used["lane", core.lanes.name(job.spec)] += job.spec.gpus
    if +used != core.gates.used:
        yield f"groups and lanes use {+used}, counted are {core.gates.used}"
    waiting = [job for job in core.jobs.values() if isinstance(job.state, Queued)]
    lanes = {name: {job.id for job in waiting if core.lanes.name(job.spec) == name} for name in core.lanes.all}
    if {name: jobs for name, jobs in lanes.items() if jobs} != {
        name: {*ids} for name, ids in core.lanes.waiting.items()
    }:
        yield f"in the lanes wait {lanes}, listed are {core.lanes.waiting}"
    yield from bounds(core, sorted((job for job in waiting if _is_ready(core, job)), key=place), used)


def _is_ready(core: Core, job: Job) -> bool:
    """For its gates, as far as that can be said without them: an alarm may be due and not have rung."""
    if core.lanes.closed(job.spec) is not None or not core.needs.met(job):
        return False
    state, spec = job.state, job.spec
    assert isinstance(state, Queued)
    if not (state.is_held or state.until or job.waits_for or job.waits_for_groups or spec.not_before):
        return True
    return core.line.has_ready(job) or core.gates.outside(job) is not None


def bounds(core: Core, ready: list[Job], used: Counter[tuple[str, str]]) -> Iterator[str]:
    """Going by their places, each is let in that fits with those before it that have its bound and do not lend.

    The first that does not fit may be inside all the same where it lends: nobody comes in behind it.
    """
    loads, full = Counter[object](), set[object]()
    for job in ready:
        inside, outside = True, core.gates.outside(job)
        kept_out = outside and (outside.key, outside.bound)
        for key, bound, weight in _bounds(core, job):
            lends = core.gates.lends_at(job, key, bound)
            if (key, bound) in full or used[key] + loads[key, bound] + weight > bound:
                inside = lends and (key, bound) not in full and (key, bound) != kept_out
                full.add((key, bound))
                if not inside:
                    break
            elif not lends:
                loads[key, bound] += weight
        if core.line.has_ready(job) != inside or (not inside and outside is None):
            yield f"job {job.id} stands in line ({not inside}) against the bounds {[*_bounds(core, job)]} with {used}"


def _bounds(core: Core, job: Job) -> Iterator[tuple[tuple[str, str], int, int]]:
    cap = core.lanes.cap(job.spec)
    if job.spec.group is not None and job.spec.max_running is not None:
        yield ("group", job.spec.group), job.spec.max_running, 1
    if job.spec.gpus and cap is not None:
        yield ("lane", core.lanes.name(job.spec)), cap, job.spec.gpus
