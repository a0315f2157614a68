"""The states that an attempt's end means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainqueue.core.dependencies import FAILED
from trainqueue.core.job import Cancelled, Completed, Failed, Lost, Pending, Running
from trainqueue.core.stalls import UNTOLD

SIGUSR1 = 10

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainqueue.core.events import AttemptLost, Result
    from trainqueue.core.job import Cause, Ended, Job, StateName
    from trainqueue.core.spec import JobSpec


def lost(job: Job, event: AttemptLost, now: float) -> Lost:
    started_at = job.state.started_at if isinstance(job.state, Running) else None
    how = "the machine went down" if event.cause == "reboot" else "its runner was killed"
    message = f"{how} while it ran; nobody knows how it ended"
    return Lost(after(started_at, now), event.cause, started_at, job.gpu_ids, message, event.run_time)


def after(started_at: float | None, ended_at: float) -> float:
    """Nothing ends before it has started, whatever was done to the clock meanwhile."""
    return ended_at if started_at is None else max(started_at, ended_at)


def unmet(spec: JobSpec, dep: int, state: StateName) -> str:
    """Why what the job waits for can no longer be met, as a sentence."""
    if dep in spec.after_failed and state not in FAILED:
        return f"job {dep} did not fail: it ended {state}"
    return f"job {dep} did not complete: it ended {state}"


def is_preempted(job: Job, result: Result | None) -> bool:
    """Whether it goes back to the line, however it has ended; nobody knows how where there is no `result`.

    One that ended before its runner came to read the order has ended by itself.
    """
    if result is None:
        return isinstance(job.state, Running) and job.state.preempting
    return result.reason == "preempt"


def outcome(job: Job, result: Result) -> Ended:
    """The state that an exit record means."""
    cause: Cause
    asked = isinstance(job.state, Pending | Running) and job.state.stopping
    result = warned(job, stalled(job, result, asked=asked))
    ended_at = after(result.started_at, result.ended_at)
    how = (result.started_at, job.gpu_ids, result.exit_code, result.signal, result.message, result.run_time)
    # It may have ended just before the signal.
    if asked and (result.reason is None or result.reason == "out-of-memory"):
        return Cancelled(ended_at, "user", *how)
    match result.reason:
        case "cancel" | "preempt":
            return Cancelled(ended_at, "user", *how)
        case None if result.exit_code == 0:
            return Completed(ended_at, result.started_at, job.gpu_ids, result.run_time)
        case None:
            cause = "exit" if result.exit_code is not None else "signal"
        case reason:
            cause = reason
    return Failed(ended_at, cause, *how)


def stalled(job: Job, result: Result, *, asked: bool) -> Result:
    """With the words for an end that we have wanted since it hung; a runner of old calls it a cancel."""
    words = job.state.stall_ends_it if isinstance(job.state, Running) else ""
    if result.reason == "stalled" or (words and result.reason == "cancel" and not asked):
        return replace(result, reason="stalled", message=result.message or words or UNTOLD)
    return result


def warned(job: Job, result: Result) -> Result:
    """A program that does not handle the signal of `warn` dies of it, which nobody would guess."""
    if result.signal != SIGUSR1 or job.spec.warn is None or result.reason is not None or result.message:
        return result
    words = "SIGUSR1 ended it, the signal of warn, which is sent before its time limit and before a preemption"
    return replace(result, message=f"{words}: it must handle that, or be submitted without warn")


def with_errors(message: str, errors: Iterable[str]) -> str:
    """What the driver has reported belongs to the story of a failure."""
    return "; ".join(
        [message] * bool(message) + [f"the driver reported {error}" for error in errors if error not in message]
    )
