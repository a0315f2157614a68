"""What each op does, in the arbiter's thread: one function per op, from a typed request to its result.

A refusal is raised as RequestError and changes nothing. Reads answer from memory or the journal, and are sent when
the batch has been written; where the disk refuses it, they are sent even so, and tell what may be forgotten if the
daemon dies before there is space. No change is confirmed then, not even one that changed nothing: a repeated key may
stand on a first submit in the same batch.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue import controlops, gpuops, laneops, wire, wishes
from trainqueue.bulk import answered, anywhere, each, position
from trainqueue.core import events as ev
from trainqueue.core.dependencies import named
from trainqueue.core.groups import is_let_down
from trainqueue.core.spec import check, check_all
from trainqueue.core.steps import at_once
from trainqueue.errors import RequestError
from trainqueue.frozen import kept
from trainqueue.messages.files import LookUp
from trainqueue.reads import MODES, events, jobs, line, log, queue, series, stats, status
from trainqueue.severalops import one_or_several, refuse_edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec
    from trainqueue.ledger import Answer
    from trainqueue.messages.clients import Call

logger = logging.getLogger(__name__)
CHANGES = (
    *(wire.Submit, wire.Cancel, wire.Hold, wire.Release, wire.Retry, wire.Move, wire.Edit),
    *(wire.Pause, wire.Resume, wire.Drain, wire.Enable, wire.Disable, wire.Lane),
    *(wire.Copy, wire.Signal, wire.Suspend, wire.Continue, wire.Preempt),
)
"""What must be on disk before it is answered; refused while nothing can be written."""


def serve(arbiter: GPUArbiter, call: Call) -> tuple[Answer, bool]:
    """The answer to one call, or who is to look it up; and whether it promises a change.

    Raises only what is a fault of ours in the middle of a change.
    """
    request = call.request
    try:
        if isinstance(request, CHANGES):
            refuse_change(arbiter, request)
            arbiter.ledger.batch.promised = True
        found = result(arbiter, call)
        answer = found if isinstance(found, LookUp) else wire.answer(request.id, found)
        return answer, isinstance(request, CHANGES)
    except RequestError as error:
        return wire.refusal(request.id, error.code, error.message), False
    except Exception:
        if isinstance(request, CHANGES):
            raise  # it may be half done, and must not be built upon: the arbiter ends
        logger.exception("%s failed", type(request).__name__)
        return wire.refusal(request.id, "internal", "a fault of trainq's own; see trainqd.log"), False


def may_change(arbiter: GPUArbiter) -> bool:
    """Whether an order may be given; else nothing is written for it, and its refusal says why."""
    return not arbiter.closing and arbiter.ledger.error is None


def refuse_change(arbiter: GPUArbiter, request: object) -> None:
    """Raises RequestError while nothing can be written, and once a shutdown has been answered.

    A job that fills the disk must be stopped even so; what needs little space may use the reserve.
    """
    if arbiter.orders.given():
        return
    if arbiter.closing:
        raise RequestError("unavailable", "the daemon is shutting down; nothing was changed")
    if isinstance(request, wire.Cancel):
        return
    safe = "nothing was changed, what was accepted before is safe"
    reserve = arbiter.ledger.reserve
    if reserve.disk_is_full and isinstance(request, wire.Submit | wire.Copy | wire.Edit | wire.Retry):
        raise RequestError("unavailable", f"the disk of {arbiter.home.path} is full ({reserve.error}); {safe}")
    if arbiter.ledger.error is not None:
        raise RequestError("unavailable", f"nothing can be written ({arbiter.ledger.error}); {safe}")


def result(arbiter: GPUArbiter, call: Call) -> object:  # noqa: PLR0912  (one arm an op)
    match call.request:
        case wire.Ping():
            return arbiter.identity | {name: getattr(arbiter.core, name) for name in MODES}
        case wire.Submit() as request:
            return submit(arbiter, request, call.user)
        case wire.Status(job=job, env=env):
            return status(arbiter, call, anywhere(arbiter, job), env=env)
        case wire.Queue() as request:
            return queue(arbiter, request)
        case wire.Line(limit=limit):
            return at_once(line(arbiter, limit))
        case wire.Jobs() as request:
            return jobs(arbiter, request)
        case wire.Cancel(jobs=ids, force=force):
            return each(arbiter, ids, lambda job: ev.Cancel(job, force))
        case wire.Hold(jobs=ids):
            return each(arbiter, ids, ev.Hold)
        case wire.Release(jobs=ids):
            return each(arbiter, ids, ev.Release)
        case wire.Retry(jobs=ids, set=changes):
            return each(arbiter, ids, lambda job: retry(arbiter, job, changes), again=True)
        case wire.Signal() | wire.Suspend() | wire.Continue() | wire.Preempt() as request:
            return controlops.told(arbiter, request)
        case wire.Copy() as request:
            return copy(arbiter, request, call.user)
        case wire.Lanes():
            return {"lanes": laneops.views(arbiter.core)}
        case wire.Lane() as request:
            return laneops.change(arbiter, request)
        case wire.Move() as request:
            return one_or_several(
                in_order(arbiter, request), partial(move, arbiter), partial(shown, arbiter), partial(answered, arbiter)
            )
        case wire.Edit() as request:
            return one_or_several(request, partial(edit, arbiter), partial(shown, arbiter), partial(answered, arbiter))
        case wire.Pause():
            return mode(arbiter, paused=True, draining=arbiter.core.draining)
        case wire.Drain():
            return mode(arbiter, paused=arbiter.core.paused, draining=True)
        case wire.Resume():
            return mode(arbiter, paused=False, draining=False)
        case wire.Log() as request:
            return log(arbiter, request)
        case wire.Series(job=job, attempt=attempt):
            return series(arbiter, call, anywhere(arbiter, job), attempt)
        case wire.Gpus():
            return gpuops.gpus(arbiter)
        case wire.Enable(gpus=names):
            return gpuops.switch(arbiter, names, enabled=True)
        case wire.Disable(gpus=names):
            return gpuops.switch(arbiter, names, enabled=False)
        case wire.Events(after=after, limit=limit):
            return events(arbiter, after, limit)
        case wire.Stats():
            return stats(arbiter)
        case wire.Shutdown(jobs=what):
            return shutdown(arbiter, cancel=what == "cancel")


def submit(arbiter: GPUArbiter, request: wire.Submit, user: str) -> object:
    def specs() -> tuple[JobSpec, ...]:
        check_all(request.jobs, "$.jobs")
        wishes.check(arbiter, ((f"$.jobs[{at}]", spec) for at, spec in enumerate(request.jobs)))
        kept.refuse_strangers(arbiter.home, request.jobs, "$.jobs[{}]".format)
        arbiter.journal.environments.share(request.jobs)
        return request.jobs

    return enter(arbiter, specs, user, request.key)


def enter(arbiter: GPUArbiter, specs: Callable[[], tuple[JobSpec, ...]], user: str, key: str | None) -> object:
    """New jobs of these specs, which nobody asks for where the key is known already."""
    if key is not None:
        known = arbiter.ledger.batch.keys.get(key) or arbiter.journal.answer_to(key)
        if known is not None:
            return msgspec.Raw(known)
    wanted, first = specs(), arbiter.core.next_id
    ended, groups = ended_among(arbiter, wanted), groups_among(arbiter, wanted)
    arbiter.apply(ev.Submit(wanted, user, ended, groups))
    made = [anywhere(arbiter, job) for job in range(first, first + len(wanted))]
    answer = {"jobs": [{"id": job.id, "state": job.state.name, "position": position(arbiter, job)} for job in made]}
    if key is not None:
        arbiter.ledger.batch.keys[key] = wire.pack(answer)
    return answer


def ended_among(arbiter: GPUArbiter, specs: Iterable[JobSpec]) -> dict[int, Any]:
    """The states of the ended jobs that these specs depend on."""
    return states(arbiter, {job for spec in specs for job in named(spec)})


def states(arbiter: GPUArbiter, jobs: set[int]) -> dict[int, Any]:
    """Of those that have ended."""
    wanted = {job for job in jobs if job not in arbiter.core.jobs}
    found: dict[int, Any] = {}
    for job in wanted:
        fresh = arbiter.ledger.batch.jobs.get(job)
        if fresh is not None:
            found[job] = fresh.state.name
    return {**arbiter.journal.states_of(wanted - found.keys()), **found}


def groups_among(
    arbiter: GPUArbiter, specs: Iterable[JobSpec], without: int | None = None, below: int = 2**62
) -> dict[str, Any]:
    """The groups of ended jobs that these specs depend on, each with a job that has not completed, if it has one."""
    wanted = {group for spec in specs for group in spec.after_group}
    if not wanted:
        return {}
    arbiter.ledger.show()
    found = {group: arbiter.journal.group_end(group, without, below) for group in wanted}
    return {group: None if end[1] == "completed" else end for group, end in found.items() if end is not None}


def reconsidered(arbiter: GPUArbiter, jobs: Iterable[int]) -> Iterator[ev.Reconsidered]:
    """What is known by now of that by which these were let down. Raises RequestError while nothing can be looked up."""
    for job in filter(None, map(arbiter.core.jobs.get, jobs)):
        if is_let_down(job):
            by = getattr(job.state, "unmet_by", 0)
            ended = states(arbiter, {*named(job.spec), by})
            yield ev.Reconsidered(job.id, ended, groups_among(arbiter, [job.spec], job.id, job.bound))


def retry(arbiter: GPUArbiter, job_id: int, changes: dict[str, Any]) -> ev.Event:
    job = anywhere(arbiter, job_id)
    spec = changed(arbiter, job.spec, changes)
    known = ended_among(arbiter, [spec]), groups_among(arbiter, [spec], job.id)
    return ev.Retry(job, *known, spec if changes else None, held="hold" in changes and spec.hold)


def changed(arbiter: GPUArbiter, spec: JobSpec, changes: dict[str, Any]) -> JobSpec:
    """Raises RequestError naming the field."""
    if not changes:
        return spec
    made = wire.edited(spec, changes)
    check(made, "$.set")
    wishes.check(arbiter, [("$.set", made)])
    kept.refuse_edit(arbiter.home, made, changes)
    arbiter.journal.environments.share([made])
    return made


def copy(arbiter: GPUArbiter, request: wire.Copy, user: str) -> object:
    """New jobs like these, all or none; of what they have waited for, met or not, the new ones decide anew."""

    def specs() -> tuple[JobSpec, ...]:
        return tuple(changed(arbiter, anywhere(arbiter, job).spec, request.set) for job in request.jobs)

    return enter(arbiter, specs, user, request.key)


def in_order(arbiter: GPUArbiter, request: wire.Move) -> wire.Move:
    """Its jobs in the order in which they shall stand."""
    if request.order == "given" or not isinstance(request.jobs, tuple):
        return request
    return msgspec.structs.replace(request, jobs=tuple(sorted(request.jobs, key=arbiter.core.stands)))


def move(arbiter: GPUArbiter, request: wire.Move, job_id: int) -> None:
    given = [name for name in ("to", "before", "position") if getattr(request, name) is not msgspec.UNSET]
    if len(given) != 1:
        raise RequestError("bad-request", "$: exactly one of to, before, position is needed")
    position = 1 if request.to == "front" else None
    before = None
    if request.position is not msgspec.UNSET:
        position = request.position
    if request.before is not msgspec.UNSET:
        before = waiting(arbiter, request.before).id
    job = waiting(arbiter, job_id)
    arbiter.apply(ev.Move(job.id, position, before))


def shown(arbiter: GPUArbiter, job_id: int) -> object:
    return arbiter.view(anywhere(arbiter, job_id))


def waiting(arbiter: GPUArbiter, job_id: int) -> Job:
    job = anywhere(arbiter, job_id)
    if job.state.name != "queued":
        raise RequestError("conflict", f"job {job_id} is {job.state.name}; only a queued job can be changed")
    return job


def edit(arbiter: GPUArbiter, request: wire.Edit, job_id: int) -> None:
    job = anywhere(arbiter, job_id)
    refuse_edit(job, request.set)
    spec = changed(arbiter, job.spec, request.set)
    hold = spec.hold if "hold" in request.set else None
    ended = ended_among(arbiter, [spec])
    arbiter.apply(ev.Edit(job.id, spec, hold, ended, groups_among(arbiter, [spec], job.id)))


def mode(arbiter: GPUArbiter, *, paused: bool, draining: bool) -> object:
    arbiter.apply(ev.SetMode(paused, draining))
    return {"paused": paused, "draining": draining}


def shutdown(arbiter: GPUArbiter, *, cancel: bool) -> object:
    arbiter.closing = True
    if not cancel:
        arbiter.leaving = True
        return {}
    arbiter.apply(ev.SetMode(arbiter.core.paused, draining=True))
    for job in arbiter.core.active():
        arbiter.apply(ev.Cancel(job.id))
    return {}
