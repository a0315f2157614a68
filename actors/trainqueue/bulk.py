"""One verb on many jobs: an answer per job, whatever happens to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core import events as ev
    from trainqueue.core.job import Job

Answer = dict[str, Any]


def anywhere(arbiter: GPUArbiter, job_id: int) -> Job:
    """A living job from memory or an ended one from the journal."""
    job = arbiter.core.jobs.get(job_id) or arbiter.ledger.batch.jobs.get(job_id) or arbiter.journal.job(job_id)
    if job is None:
        gone = f"the record of job {job_id} is gone: the settings [history] say how many are kept"
        raise RequestError("not-found", gone if job_id < arbiter.core.next_id else f"there is no job {job_id}")
    return job


def position(arbiter: GPUArbiter, job: Job) -> int | None:
    return arbiter.core.line.position(job) if job.state.name == "queued" else None


def standing(arbiter: GPUArbiter, job_id: int) -> Answer:
    """What every answer tells of its job, as it is by then; nulls for one that there is not."""
    try:
        job = anywhere(arbiter, job_id)
    except RequestError:
        return {"state": None, "position": None}
    return {"state": job.state.name, "position": position(arbiter, job)}


def answered(arbiter: GPUArbiter, job_id: int, refusal: RequestError | None) -> Answer:
    """Of one of several jobs: whether it was done, and how the job stands then."""
    error = None if refusal is None else {"code": refusal.code, "message": refusal.message}
    return {"id": job_id, "ok": refusal is None, **standing(arbiter, job_id), "error": error}


def each(arbiter: GPUArbiter, ids: Collection[int], event: Callable[[int], ev.Event], *, again: bool = False) -> Answer:
    """Once for each of them. `again`: also of those that have ended."""
    alive = arbiter.core.jobs.keys() & {*ids}
    return {"jobs": [one(arbiter, job_id, event, again=again, alive=job_id in alive) for job_id in dict.fromkeys(ids)]}


def one(arbiter: GPUArbiter, job_id: int, event: Callable[[int], ev.Event], *, again: bool, alive: bool) -> Answer:
    """`changed` is false where the job was already as it was asked to be.

    `alive`: it was, when the verb began. Who waits for a job that is cancelled ends with it, and need not be told.
    """
    refused, changed = None, None
    try:
        job = anywhere(arbiter, job_id)
        before = job.state
        over = job.ended and not again
        if over and not alive:
            raise RequestError("conflict", f"job {job_id} has ended already ({job.state.name})")
        if not over:
            arbiter.apply(event(job_id))
        changed = over or anywhere(arbiter, job_id).state != before
    except RequestError as refusal:
        refused = refusal
    return {**answered(arbiter, job_id, refused), "changed": changed}
