"""The ops on running jobs: signal, suspend, continue, preempt.

The order is written into the attempt's folder before the state says so: a disk that refuses it has refused all of it,
and a daemon that dies in between finds the order there at its next start (`recall`).
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from trainqueue import wire
from trainqueue.bulk import each
from trainqueue.core import events as ev
from trainqueue.core.control import obeyed
from trainqueue.core.job import Running
from trainqueue.errors import RequestError
from trainqueue.launch import orders
from trainqueue.view import is_stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.launch.orders import Order

    Request = wire.Signal | wire.Suspend | wire.Continue | wire.Preempt

INSTEAD = {
    signal.SIGKILL: "use `cancel` with `force`",
    signal.SIGSTOP: "use `suspend`, which stops all of its processes and its time limit with them",
    signal.SIGCONT: "use `continue`",
}


def told(arbiter: GPUArbiter, request: Request) -> object:
    """An answer per job. That of a signal says whether the job is suspended: it gets it when it is continued."""
    found = each(arbiter, request.jobs, event_of(arbiter, request))
    if isinstance(request, wire.Signal):
        for answer in found["jobs"]:
            job = arbiter.core.jobs.get(answer["id"])
            answer["suspended"] = job is not None and getattr(job.state, "suspended", False)
    return found


def event_of(arbiter: GPUArbiter, request: Request) -> Callable[[int], ev.Event]:
    """From a job's id to what the core is told. Raises RequestError, as does what it returns."""
    number = number_of(request.signal) if isinstance(request, wire.Signal) else 0

    def event(job_id: int) -> ev.Event:
        at = time.monotonic()
        match request:
            case wire.Signal():
                return ordered(arbiter, ev.Signal(job_id), {"signal": number})
            case wire.Suspend():
                return ordered(arbiter, ev.Suspend(job_id, at), {"suspend": True})
            case wire.Continue():
                return ordered(arbiter, ev.Continue(job_id, at), {"continue": True})
            case wire.Preempt(hold=hold):
                words = {"warn": warning(arbiter, job_id), "hold": hold}
                return ordered(arbiter, ev.Preempt(job_id, hold, at), {"preempt": words})

    return event


def number_of(name: str | int) -> int:
    """Of a signal by its name, with or without SIG, in whatever case. Raises RequestError ("bad-request")."""
    if isinstance(name, int) or name.isdecimal():
        number = int(name)
    else:
        plain = name.upper().removeprefix("SIG")
        number = int(getattr(signal.Signals, f"SIG{plain}", 0))
    if not 1 <= number <= 64:
        raise RequestError("bad-request", f"$.signal: there is no signal {name!r}; a name as USR1, or 1 to 64")
    if number in INSTEAD:
        wanted = signal.Signals(number)
        raise RequestError("bad-request", f"$.signal: {wanted.name} is not sent: {INSTEAD[wanted]}")
    return number


def warning(arbiter: GPUArbiter, job_id: int) -> float:
    """Seconds from SIGUSR1 to SIGTERM."""
    job = arbiter.core.jobs.get(job_id)
    return 0.0 if job is None or job.spec.warn is None else job.spec.warn


def ordered(arbiter: GPUArbiter, event: ev.Control, order: Order) -> ev.Event:
    """Write the order, once it is sure that the core will take it. Raises RequestError, with nothing written."""
    job = arbiter.core.jobs.get(event.job)
    if job is None:
        return event  # the core says so
    obeyed(job, event)
    if is_stopping(job, arbiter.clock.now()):
        raise RequestError("conflict", f"job {job.id} is being stopped: its time limit is over")
    folder = arbiter.home.attempt(job.id, job.attempt)
    if not orders.are_taken(folder):
        raise RequestError(
            "conflict", f"the runner of job {job.id} was started by an older trainqd: cancel and retry it"
        )
    try:
        orders.append(folder, order)
    except OSError as error:
        sentence = f"the order for job {job.id} cannot be written: {error.strerror}; nothing was changed"
        raise RequestError("unavailable", sentence) from None
    return event


def recall(arbiter: GPUArbiter, job: Job) -> None:
    """After a restart: what the last daemon has ordered and not written down."""
    for event in meant(job, orders.given(arbiter.home.attempt(job.id, job.attempt))):
        arbiter.apply_quietly(event)


def meant(job: Job, given: list[Order]) -> list[ev.Event]:
    """What the orders say and the job's state does not."""
    state, at = job.state, time.monotonic()
    if not isinstance(state, Running) or state.stopping:
        return []
    preempt = next((order["preempt"] for order in given if "preempt" in order), None)
    if preempt is not None:
        return [] if state.preempting else [ev.Preempt(job.id, bool(preempt.get("hold")), at)]
    sleeps = [("suspend" in order) for order in given if "suspend" in order or "continue" in order]
    if not sleeps or sleeps[-1] == state.suspended:
        return []
    return [ev.Suspend(job.id, at) if sleeps[-1] else ev.Continue(job.id, at)]
