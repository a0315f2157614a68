"""The states that an attempt's end means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.job import Cancelled, Completed, Failed, Lost, Pending, Running

if TYPE_CHECKING:
    from trainqueue.core.events import Result
    from trainqueue.core.job import Cause, Ended, Job


def lost(job: Job, cause: Cause, now: float) -> Lost:
    started_at = job.state.started_at if isinstance(job.state, Running) else None
    how = "the machine went down" if cause == "reboot" else "its runner was killed"
    message = f"{how} while it ran; nobody knows how it ended"
    return Lost(now, cause, started_at, job.gpu_ids, message)


def unmet(dependency: int, now: float) -> Cancelled:
    return Cancelled(ended_at=now, cause="dependency", message=f"job {dependency} did not complete")


def outcome(job: Job, result: Result) -> Ended:
    """The state that an exit record means."""
    cause: Cause
    asked = isinstance(job.state, Pending | Running) and job.state.stopping
    if result.reason == "cancel" or (asked and result.reason is None):  # it may have ended just before the signal
        return Cancelled(result.ended_at, "user", result.started_at, job.gpu_ids, result.exit_code, result.signal)
    if result.reason is not None:
        cause = result.reason
    elif result.exit_code == 0:
        return Completed(result.ended_at, result.started_at, job.gpu_ids)
    else:
        cause = "exit" if result.exit_code is not None else "signal"
    return Failed(
        result.ended_at, cause, result.started_at, job.gpu_ids, result.exit_code, result.signal, result.message
    )
