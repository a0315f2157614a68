"""Jobs that hang: what follows when one does nothing for too long, and when it does something again.

Whether it does is watched from outside (stall.py). A job that is suspended, or was told to end, is quiet by our own
wish; one that was told to end because it had stalled may be saving its work by now, and goes on ending.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.job import Running
from trainqueue.core.words import duration

if TYPE_CHECKING:
    from trainqueue.core.job import Job

UNTOLD = "it did nothing for longer than its stall_timeout"
"""Of an end whose words were lost with a daemon."""


def is_watched(state: object) -> bool:
    """Whether quiet would mean that it hangs."""
    return isinstance(state, Running) and not (state.suspended or state.is_ending or state.preempting)


def judge(job: Job | None, event: ev.Stalled | ev.Stirred) -> list[fx.Effect]:
    """The next state of the job, and what is to be done; nothing where the news is stale, or no news."""
    if job is None or job.attempt != event.attempt or not isinstance(job.state, Running):
        return []
    if isinstance(event, ev.Stirred):
        if job.state.stalled_since is None or job.state.stall_ends_it:
            return []
        job.restate(replace(job.state, stalled_since=None, quiet=""))
        return [fx.Changed(job.snapshot(), "stirred")]
    if not is_watched(job.state) or (job.state.stalled_since is not None and not event.stop):
        return []
    since = event.since if job.state.stalled_since is None else job.state.stalled_since
    words = f"{event.quiet} for {duration(event.seconds)}" if event.stop else ""
    job.restate(replace(job.state, stalled_since=since, quiet=event.quiet, stall_ends_it=words))
    changed = fx.Changed(job.snapshot(), "stalled")
    return [changed, fx.Stop(job.id, job.attempt, force=False, stalled=True)] if event.stop else [changed]
