"""`move` and `edit` of one job, or of several with an answer per job."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec import UNSET

from trainqueue import wire
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trainqueue.core.job import Job

R = TypeVar("R", wire.Move, wire.Edit)


def one_or_several(
    request: R,
    act: Callable[[R, int], None],
    view: Callable[[int], object],
    answered: Callable[[int, RequestError | None], object],
) -> object:
    """`act` on each of them; of one job the answer is all of it, as `view` shows it.

    Raises RequestError for one job, and for a request that is wrong for any.
    """
    if isinstance(request.jobs, tuple) == isinstance(request.job, int):
        raise RequestError("bad-request", "$: exactly one of job, jobs is needed")
    if isinstance(request.job, int):
        act(request, request.job)
        return {"job": view(request.job)}
    jobs = [*dict.fromkeys(cast("tuple[int, ...]", request.jobs))]
    refused: dict[int, RequestError] = {}
    for step, ids in steps(request, jobs):
        for job in ids:
            if job not in refused:
                try:
                    act(step, job)
                except RequestError as refusal:
                    refused[job] = refusal
    return {"jobs": [answered(job, refused.get(job)) for job in jobs]}


def steps(request: R, jobs: list[int]) -> Iterable[tuple[R, list[int]]]:
    """So that they stand in the order given: those to the front go there from the last to the first.

    For a position all leave the places before it first, or each that goes would shift the others.
    """
    if isinstance(request, wire.Edit) or request.to == "back" or request.before is not UNSET:
        return [(request, jobs)]
    if request.position is UNSET:
        return [(request, jobs[::-1])]
    away = msgspec.structs.replace(request, to="back", position=UNSET)
    return [(away, jobs), (request, jobs[::-1])]


def refuse_edit(job: Job, fields: Iterable[str]) -> None:
    """Raises RequestError ("conflict") unless it waits, naming each field that was to be changed."""
    if job.state.name == "queued":
        return
    named = ", ".join(f"$.set.{field}" for field in fields) or "no field"
    instead = "retry it with what you would change" if job.ended else "preempt it first, or retry it when it has ended"
    raise RequestError(
        "conflict", f"job {job.id} is {job.state.name}, and only while it waits can be changed: {named}; {instead}"
    )
