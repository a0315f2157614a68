"""What the ops that only look tell, in the arbiter's thread: one function per op, from memory or the journal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue import laneops, logfile, user, wire
from trainqueue.attempts import attempts
from trainqueue.bulk import anywhere
from trainqueue.clock import run_time
from trainqueue.core.job import Pending, Running
from trainqueue.core.words import number
from trainqueue.errors import RequestError
from trainqueue.expectations import COLUMNS, columns
from trainqueue.gpuview import gpu_views
from trainqueue.masked import masked
from trainqueue.messages.files import LookUp

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.messages.clients import Call

AT_ONCE = 250
"""Waiting jobs of a long line."""
MODES = ("paused", "draining", "pause_reason", "paused_since")


def status(arbiter: GPUArbiter, call: Call, job: Job, *, env: bool) -> object:
    """Of a job's first attempt all is known; of those before the current one their folders tell."""
    found: dict[str, Any] = {"job": arbiter.view(job)}
    if env:
        given = user.plain_environment() if job.spec.env is None else job.spec.env
        found["env"] = masked({**given, **job.spec.env_extra}, arbiter.secret)
    if job.attempt > 1 and arbiter.desk is not None:
        return LookUp(arbiter.desk, call.slot, call, job.snapshot(), found)
    return {**found, "attempts": attempts(job, arbiter.home)}


def queue(arbiter: GPUArbiter, request: wire.Queue) -> object:
    core = arbiter.core
    running = [job for job in core.active() if isinstance(job.state, Pending | Running)]
    running.sort(key=lambda job: job.id)
    waiting = core.line.page(request.offset, request.limit)
    return {
        **{name: getattr(core, name) for name in MODES},
        "lanes": laneops.views(core) if core.lanes.special() else [],
        "running": [arbiter.view(job) for job in running],
        "queued": [arbiter.view(job) for job in waiting],
        "counts": counts(arbiter),
        "seq": known(arbiter),
        "epoch": arbiter.ledger.epoch,
        "gpus": gpu_views(core),
    }


def line(arbiter: GPUArbiter, limit: int) -> Generator[None, None, dict[str, Any]]:
    """What changes for everybody at each start, and nothing else: the whole order, for who has the jobs already.

    Step by step, of what was true at the first one.
    """
    line, now = arbiter.core.line, arbiter.clock.now()
    waiting = [*line.page(0, limit)]
    expected = arbiter.forecaster.expected(waiting)
    rest = {"ready": line.ready, "seq": known(arbiter), "epoch": arbiter.ledger.epoch}
    parts: dict[str, list[bytes]] = {"jobs": [], **{name: [] for name in COLUMNS}}
    for at in range(0, len(waiting), AT_ONCE):
        some = waiting[at : at + AT_ONCE]
        told = columns(expected[at : at + AT_ONCE], now)
        for name, column in {"jobs": [job.id for job in some], **told}.items():
            parts[name].append(wire.items(column))
        if at + AT_ONCE < len(waiting):
            yield
    return {name: wire.array(len(waiting), some) for name, some in parts.items()} | rest


def known(arbiter: GPUArbiter) -> int:
    """The newest sequence number that will stand."""
    return arbiter.ledger.seq if arbiter.ledger.error is None else arbiter.journal.last_seq()


def counts(arbiter: GPUArbiter) -> dict[str, int]:
    return {state: count for state, count in arbiter.core.counts.items() if count}


def stats(arbiter: GPUArbiter) -> object:
    """Of all jobs that have started, those whose records are gone among them; kept, not counted."""
    arbiter.ledger.show()
    arbiter.meter.note(arbiter.clock.now())
    totals, now = arbiter.journal.totals(), arbiter.clock.now()
    running = [(job, job.state) for job in arbiter.core.active() if isinstance(job.state, Running)]
    used = sum(len(state.gpu_ids) * (run_time(state, now) or 0.0) for _, state in running)
    waited = sum(max(0.0, state.started_at - job.submitted_at) for job, state in running)
    return {
        "counts": counts(arbiter),
        "gpu_seconds_used": used + sum(found.gpu_seconds for found in totals.values()),
        "seconds_waited": waited + sum(found.waited for found in totals.values()),
        "gpu_seconds_lost": totals["lost"].gpu_seconds,
        "log_bytes": sum(found.log_bytes for found in totals.values()),
        "removed": totals["removed"].jobs,
        "gpus": arbiter.meter.figures(),
    }


def jobs(arbiter: GPUArbiter, request: wire.Jobs) -> object:
    arbiter.ledger.show()
    found = arbiter.journal.find(request, request.limit + 1)
    shown = [arbiter.view(arbiter.core.jobs.get(job.id, job)) for job in found[: request.limit]]
    return {"jobs": shown, "more": len(found) > request.limit}


def log(arbiter: GPUArbiter, request: wire.Log) -> object:
    job = anywhere(arbiter, request.job)
    attempt = known_attempt(job, request.attempt)
    over = job.ended or attempt < job.attempt
    data, start, size = b"", 0, 0
    try:
        with logfile.opened(arbiter.home.log_name(job.id, attempt)) as fd:
            if fd is not None:
                size = os.fstat(fd).st_size
                start = max(0, size + request.offset) if request.offset < 0 else min(request.offset, size)
                start, data = logfile.read(fd, start, request.limit)
    except FileNotFoundError:
        pass  # it has not begun yet
    except OSError as error:
        raise RequestError("unavailable", f"the log of job {job.id} cannot be read: {error.strerror}") from None
    end = start + len(data)
    size = max(size, end)  # it may have grown meanwhile
    eof = over and end >= size
    removed = job.log_removed_at(attempt)
    part = {"data": data, "attempt": attempt, "offset": start, "next": end, "size": size, "eof": eof}
    return {**part, "removed_at": removed}


def known_attempt(job: Job, asked: int | None) -> int:
    """The newest one where none is asked for. Raises RequestError."""
    attempt = asked or job.attempt
    if attempt > job.attempt:
        raise RequestError(
            "not-found", f"$.attempt: job {job.id} has had {number(job.attempt, 'attempt')}, not {attempt}"
        )
    return attempt


def series(arbiter: GPUArbiter, call: Call, job: Job, attempt: int | None) -> LookUp:
    """From a file: not in the arbiter's thread."""
    assert arbiter.desk is not None
    return LookUp(arbiter.desk, call.slot, call, job.snapshot(), {"attempt": known_attempt(job, attempt)})


def events(arbiter: GPUArbiter, after: int, limit: int) -> object:
    if arbiter.ledger.error is None:  # else they may never be written, and their numbers be given to others
        arbiter.ledger.show()
    found = arbiter.journal.events_after(after, limit)
    answer = {"events": [msgspec.Raw(body) for body in found], "last": known(arbiter), "epoch": arbiter.ledger.epoch}
    return {**answer, "first": arbiter.journal.first_seq()}
