"""The ops on running jobs: signal, suspend, continue, preempt.

The order is written into the attempt's folder before the state says so: a disk that refuses it has refused all of it,
and a daemon that dies in between finds the order there at its next start (`recall`).
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING

from trainqueue import wire
from trainqueue.actor import tell
from trainqueue.bulk import each
from trainqueue.core import events as ev
from trainqueue.core.control import obeyed
from trainqueue.core.job import Running
from trainqueue.errors import RequestError
from trainqueue.launch import orders
from trainqueue.messages.files import WriteOrders
from trainqueue.view import is_stopping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.launch.orders import Order

    Request = wire.Signal | wire.Suspend | wire.Continue | wire.Preempt

logger = logging.getLogger(__name__)
CONTROL = (wire.Signal, wire.Suspend, wire.Continue, wire.Preempt)
INSTEAD = {
    signal.SIGKILL: "use `cancel` with `force`",
    signal.SIGSTOP: "use `suspend`, which stops all of its processes and its time limit with them",
    signal.SIGCONT: "use `continue`",
}


def told(arbiter: GPUArbiter, request: Request) -> object:
    """An answer per job, once all orders are written (Orders).

    That of a signal says whether the job is suspended: it gets it when it is continued.
    """
    if isinstance(request, wire.Signal):
        number_of(request.signal)
    found = each(arbiter, request.jobs, event_of(arbiter, request))
    if isinstance(request, wire.Signal):
        for answer in found["jobs"]:
            job = arbiter.core.jobs.get(answer["id"])
            answer["suspended"] = job is not None and getattr(job.state, "suspended", False)
    return found


def event_of(arbiter: GPUArbiter, request: Request) -> Callable[[int], ev.Event]:
    """From a job's id to what the core is told, once the order is written. It raises RequestError where it is not."""

    def event(job_id: int) -> ev.Event:
        arbiter.orders.check(job_id)
        return meaning(request, job_id)

    return event


def meaning(request: Request, job_id: int) -> ev.Control:
    at = time.monotonic()
    match request:
        case wire.Signal():
            return ev.Signal(job_id)
        case wire.Suspend():
            return ev.Suspend(job_id, at)
        case wire.Continue():
            return ev.Continue(job_id, at)
        case wire.Preempt(hold=hold):
            return ev.Preempt(job_id, hold, at)


def order_of(request: Request, job: Job) -> Order:
    """Raises RequestError."""
    match request:
        case wire.Signal(signal=name):
            return {"signal": number_of(name)}
        case wire.Suspend():
            return {"suspend": True}
        case wire.Continue():
            return {"continue": True}
        case wire.Preempt(hold=hold):
            return {"preempt": {"warn": job.spec.warn or 0.0, "hold": hold}}


class Orders:
    """Those of the call that is being served. Part of the arbiter: called from its thread only.

    The annals write them, and meanwhile no other call is served, so that what was checked before holds behind: only
    runners may be heard of in between, and an order for an attempt that is over by then does no harm.
    """

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter = arbiter
        self.waiting = False
        """They are being written."""
        self._written: dict[int, int] = {}
        """For which attempt of each job."""
        self._refused: dict[int, RequestError] = {}

    def begin(self, request: object) -> bool:
        """Whether the call has to wait for its orders to be written. With the second try they are."""
        if self._written or self._refused or not isinstance(request, CONTROL):
            return False
        wanted: list[tuple[int, Path, Order]] = []
        for job_id in dict.fromkeys(request.jobs):
            job = self.arbiter.core.jobs.get(job_id)
            if job is not None:  # else its answer says so
                try:
                    wanted.append((job_id, *self._wanted(job, request)))
                    self._written[job_id] = job.attempt
                except RequestError as refusal:
                    self._refused[job_id] = refusal
        self.waiting = bool(wanted)
        if wanted:
            tell(self.arbiter.annals, WriteOrders(wanted))
        return self.waiting

    def _wanted(self, job: Job, request: Request) -> tuple[Path, Order]:
        """Raises RequestError where the core would not take it."""
        obeyed(job, meaning(request, job.id))
        if is_stopping(job, self.arbiter.clock.now()):
            raise RequestError("conflict", f"job {job.id} is being stopped: its time limit is over")
        return self.arbiter.home.attempt(job.id, job.attempt), order_of(request, job)

    def given(self) -> bool:
        """The disk holds some, and a later daemon would find them: they are not to be refused any more."""
        return bool(self._written)

    def under_way(self, job_id: int) -> bool:
        """Whether one for this job is being written, or has been for the call that is served now."""
        return job_id in self._written

    def written(self, refused: dict[int, RequestError]) -> None:
        """All but these."""
        self.waiting = False
        self._refused |= refused
        for job_id in refused:
            del self._written[job_id]

    def check(self, job_id: int) -> None:
        """Raises RequestError where the job's order is not there."""
        if (refusal := self._refused.get(job_id)) is not None:
            raise refusal
        job = self.arbiter.core.jobs.get(job_id)
        if job is not None and self._written.get(job_id) != job.attempt:
            raise RequestError("conflict", f"job {job_id} has just begun another attempt; nothing was changed")

    def end(self) -> None:
        """The call is answered."""
        self._written, self._refused = {}, {}


def write(job_id: int, folder: Path, order: Order) -> None:
    """By the annals, which may wait for the disk. Raises RequestError, with nothing written."""
    if not orders.are_taken(folder):
        raise RequestError(
            "conflict", f"the runner of job {job_id} was started by an older trainqd: cancel and retry it"
        )
    try:
        orders.append(folder, order)
    except OSError as error:
        sentence = f"the order for job {job_id} cannot be written: {error.strerror}; nothing was changed"
        raise RequestError("unavailable", sentence) from None


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


def recall(arbiter: GPUArbiter, job: Job) -> None:
    """After a restart: what the last daemon has ordered and not written down."""
    for event in meant(job, orders.given(arbiter.home.attempt(job.id, job.attempt))):
        try:
            arbiter.apply_quietly(event)
        except RequestError as refusal:  # no order is worth a daemon that does not start
            logger.warning("an order of the last daemon does not count: %s", refusal)


def meant(job: Job, given: list[Order]) -> list[ev.Event]:
    """What the orders say and the job's state does not."""
    state, at = job.state, time.monotonic()
    if not isinstance(state, Running) or state.is_ending:
        return []
    preempt = next((order["preempt"] for order in given if "preempt" in order), None)
    if preempt is not None:
        return [] if state.preempting else [ev.Preempt(job.id, bool(preempt.get("hold")), at)]
    sleeps = [("suspend" in order) for order in given if "suspend" in order or "continue" in order]
    if not sleeps or sleeps[-1] == state.suspended:
        return []
    return [ev.Suspend(job.id, at) if sleeps[-1] else ev.Continue(job.id, at)]
