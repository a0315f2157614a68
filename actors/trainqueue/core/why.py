"""Why a queued job waits: a code for programs and a sentence for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.job import Queued

if TYPE_CHECKING:
    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job


def why(core: Core, job: Job, now: float) -> tuple[str, str] | tuple[None, None]:
    """(why_code, why), or (None, None) for a job that does not wait."""
    if not isinstance(job.state, Queued):
        return None, None
    if job.state.held:
        return "held", "held until it is released"
    if job.waits_for:
        some = ", ".join(str(dep) for dep in sorted(job.waits_for)[:5])
        return "dependency", f"waits for job {some}" + (" and others" if len(job.waits_for) > 5 else "")
    position = core.line.position(job)
    if position is None and (job.spec.not_before or 0) > now:
        return "not-before", "its time has not come yet"
    if core.draining:
        return "draining", "the queue is draining: nothing starts until it is resumed"
    if core.paused:
        since = f" since {core.pause_reason}; `trainq-cli resume` goes on" if core.pause_reason else None
        return "paused", "the queue is paused" + (since or ": nothing starts until it is resumed")
    if core.blocked:
        return "backoff", f"{core.blocked}; tried again every second"
    gpus = len(core.leases.present)
    if job.spec.gpus > gpus:
        return "gpu-count", f"needs {job.spec.gpus} GPUs, this machine has {gpus}"
    if position is None:
        return "position", "its turn has come"
    if position == 1:
        busy = sum(holder is not None for holder in core.leases.holder.values())
        return "position", f"next in line; {busy} of {gpus} GPUs are in use"
    return "position", f"position {position} in the line"
