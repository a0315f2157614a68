"""What may be done to a running job beyond its end, and what its state is then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import events as ev
from trainqueue.core.job import Running
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from trainqueue.core.job import Job, Pending

DONE = {"Signal": "sent a signal", "Suspend": "suspended", "Continue": "continued", "Preempt": "preempted"}


def obeyed(job: Job, event: ev.Control) -> Running:
    """Its state when it has been told. Raises RequestError ("conflict") for a job that cannot be."""
    state, verb = job.state, DONE[type(event).__name__]
    if not isinstance(state, Running):
        raise RequestError("conflict", f"job {job.id} is {state.name}; only a running job can be {verb}")
    if state.is_ending:
        raise RequestError("conflict", f"job {job.id} is being stopped; it cannot be {verb} any more")
    match event:
        case ev.Signal():
            return state
        case ev.Suspend():
            if state.preempting:
                raise RequestError("conflict", f"job {job.id} is being preempted; it cannot be suspended any more")
            return state if state.suspended else replace(state, suspended=True, suspended_at=event.at)
        case ev.Continue():
            return awake(state, event.at)
        case ev.Preempt():
            return replace(awake(state, event.at), preempting=True, preempt_hold=event.hold)
        case _:
            assert_never(event)


def stopped(state: Pending | Running) -> Pending | Running:
    """Told to end: a suspended one goes on for that, and its run time stands where it stood."""
    if isinstance(state, Running):
        return replace(state, stopping=True, suspended=False)
    return replace(state, stopping=True)


def awake(state: Running, at: float | None) -> Running:
    """Its run time goes on where it stood when it was suspended."""
    idle = state.idle
    if state.suspended_at is not None and at is not None:
        idle += max(0.0, at - state.suspended_at)
    return replace(state, suspended=False, suspended_at=None, idle=idle)
