"""Jobs as the wire shows them. Fields that do not apply are null, never missing; the environment is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.clock import run_time, shown
from trainqueue.core.expect import share_of
from trainqueue.core.job import Pending, Queued, Running, data_of
from trainqueue.core.spec import title
from trainqueue.core.why import why

if TYPE_CHECKING:
    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.home import Home


def news(job: Job) -> dict[str, Any]:
    """What an event tells of a job: all that its state holds. The rest of it is asked for (`status`, `jobs`)."""
    told = {"id": job.id, "name": title(job.spec), "state": job.state.name, "attempt": job.attempt}
    told |= data_of(job.state)
    if isinstance(job.state, Queued):
        told["held"] = job.state.is_held
        del told["unmet_by"]
    for ours in ("began", "suspended_at", "idle"):  # of this machine since its start: it means nothing to others
        told.pop(ours, None)
    if told.pop("stall_ends_it", ""):
        told["stopping"] = True
    return told


def gpu_seconds(job: Job, now: float) -> float | None:
    """Each of its GPUs counts, a shared one as well."""
    ran = run_time(job.state, now)
    return None if ran is None else len(getattr(job.state, "gpu_ids", ())) * ran


def is_stopping(job: Job, now: float) -> bool:
    """Told to stop: by somebody, or by its runner since its time is over."""
    if not isinstance(job.state, Pending | Running):
        return False
    limit, ran = job.spec.time_limit, run_time(job.state, now)
    told = job.state.is_ending if isinstance(job.state, Running) else job.state.stopping
    return told or (limit is not None and ran is not None and ran >= limit)


def gpu_share(job: Job, core: Core) -> int | None:
    """What it holds, or, where "auto" waits, would be given as things are."""
    if isinstance(job.state, Queued) and job.spec.gpu_memory == "auto":
        return share_of(job.spec, core.past)
    return getattr(job.state, "share", None)


def job_view(
    job: Job, core: Core, home: Home, now: float, stood: dict[str, float], expected: dict[str, Any]
) -> dict[str, Any]:
    """The contract's Job. `stood`: seconds that it stood first in line and could not start, by reason.

    `expected`: the fields that the forecaster makes.
    """
    spec, state = job.spec, job.state
    why_code, sentence = why(core, job, now)
    if why_code == "backoff" and isinstance(state, Queued) and state.until is not None:
        sentence = f"{sentence}, at {shown(state.until, now)}"
    return {
        "id": job.id,
        "name": title(spec),
        "state": state.name,
        "cause": getattr(state, "cause", None),
        "message": getattr(state, "message", None) or None,
        "why": sentence,
        "why_code": why_code,
        "waits_for": sorted(job.waits_for),
        "waits_for_groups": sorted(job.waits_for_groups),
        "position": core.line.position(job) if isinstance(state, Queued) else None,
        "attempt": job.attempt,
        "gpu_ids": list(getattr(state, "gpu_ids", ())),
        "stopping": is_stopping(job, now),
        "suspended": getattr(state, "suspended", False),
        "preempting": getattr(state, "preempting", False),
        "stalled_since": getattr(state, "stalled_since", None),
        "quiet": getattr(state, "quiet", None) or None,
        "user": job.user,
        "pid": getattr(state, "pid", None),
        "exit_code": 0 if state.name == "completed" else getattr(state, "exit_code", None),
        "signal": getattr(state, "signal", None),
        "submitted_at": job.submitted_at,
        "started_at": getattr(state, "started_at", None),
        "ended_at": getattr(state, "ended_at", None),
        "run_time": run_time(state, now),
        "gpu_seconds": gpu_seconds(job, now),
        "waited": stood,
        "gpu_share": gpu_share(job, core),
        "peak_memory": job.peak_memory,
        **expected,
        "progress": job.progress,
        "log": home.log_name(job.id, job.attempt),
        "log_removed_at": job.log_removed_at(job.attempt),
        "command": spec.command,
        "cwd": spec.cwd,
        "umask": spec.umask,
        "gpus": spec.gpus,
        "gpu_memory": spec.gpu_memory,
        "gpu_from": spec.gpu_from,
        "gpu_name": spec.gpu_name,
        "gpu_min_memory": spec.gpu_min_memory,
        "priority": spec.priority,
        "after": spec.after,
        "after_any": spec.after_any,
        "after_failed": spec.after_failed,
        "after_group": spec.after_group,
        "keep": spec.keep,
        "not_before": spec.not_before,
        "hold": state.is_held if isinstance(state, Queued) else spec.hold,
        "time_limit": spec.time_limit,
        "grace": spec.grace,
        "warn": spec.warn,
        "retries": spec.retries,
        "retry_delay": spec.retry_delay,
        "retry_backoff": spec.retry_backoff,
        "retry_place": spec.retry_place,
        "resume_args": spec.resume_args,
        "stall_timeout": spec.stall_timeout,
        "stall_action": spec.stall_action,
        "memory_limit": spec.memory_limit,
        "tags": spec.tags,
        "group": spec.group,
        "max_running": spec.max_running,
        "lane": spec.lane,
        "snapshot": spec.snapshot,
    }
