"""The start after a stop or a crash: what became of the attempts that were under way.

Runs before anything is dispatched. A waiting job whose attempt's row exists was armed: its runner may have
been told to go just before the daemon died, so it is treated like one that runs.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from trainqueue.core import events as ev
from trainqueue.core.job import Queued
from trainqueue.launch import leftovers, local, verdict
from trainqueue.progress import ProgressFile

if TYPE_CHECKING:
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Cause, Job

logger = logging.getLogger(__name__)
PATIENCE = 5.0
"""Seconds to wait for a killed runner."""


def recover(arbiter: GPUArbiter) -> None:
    """Decide every attempt in the journal by its runner, its record and its claim."""
    seen: set[int] = set()
    for job_id, number, identity, gpu_ids in arbiter.journal.attempts():
        job = arbiter.core.jobs.get(job_id)
        if job is None or job.attempt != number:
            continue
        seen.add(job_id)
        decide(arbiter, job, identity, gpu_ids)
    for job in [*arbiter.core.jobs.values()]:
        if job.id not in seen and not isinstance(job.state, Queued):
            arbiter.apply_quietly(ev.AttemptVoid(job.id, job.attempt))  # committed, never handed to a runner


def decide(arbiter: GPUArbiter, job: Job, identity: dict[str, Any], gpu_ids: tuple[str, ...]) -> None:
    folder = arbiter.home.attempt(job.id, job.attempt)
    boot = arbiter.bench.boot
    runner = local.find(identity, boot)
    if runner is not None and verdict.record_in(folder) is None and not verdict.claim(folder):
        take_over(arbiter, job, runner, gpu_ids)
        return
    if runner is not None:
        # It has written its record and is about to exit, or the claim is ours and it must never start.
        runner.signal(signal.SIGKILL)
        runner.gone(PATIENCE)
        runner.close()
    found = verdict.record_in(folder)
    if found is None:
        cause: Cause = "runner-died" if identity["boot_id"] == boot else "reboot"
        lost_or_void(arbiter, job, cause, gpu_ids, void=runner is not None or verdict.claim(folder))
        return
    hold_gpus(arbiter, job, gpu_ids)
    progress = ProgressFile(arbiter.home.progress_of(job.id))
    job.progress = progress.read()
    progress.close()
    arbiter.apply_quietly(ev.AttemptEnded(job.id, job.attempt, found))


def take_over(arbiter: GPUArbiter, job: Job, runner: local.Runner, gpu_ids: tuple[str, ...]) -> None:
    hold_gpus(arbiter, job, gpu_ids)
    started = verdict.started_in(arbiter.home.attempt(job.id, job.attempt))
    at = float(started.get("at") or time.time())
    arbiter.bench.adopt(job, runner)
    arbiter.apply_quietly(ev.AttemptStarted(job.id, job.attempt, started.get("pid"), at))
    if getattr(job.state, "stopping", False):
        arbiter.bench.stop(job.id, job.attempt, force=False)
    logger.info("adopted job %d, attempt %d", job.id, job.attempt)


def lost_or_void(arbiter: GPUArbiter, job: Job, cause: Cause, gpu_ids: tuple[str, ...], *, void: bool) -> None:
    if void:
        if not isinstance(job.state, Queued):
            arbiter.apply_quietly(ev.AttemptVoid(job.id, job.attempt))
        return
    leftovers.clear_away(arbiter.home.attempt(job.id, job.attempt), rebooted=cause == "reboot")
    hold_gpus(arbiter, job, gpu_ids)
    arbiter.apply_quietly(ev.AttemptLost(job.id, job.attempt, cause))


def hold_gpus(arbiter: GPUArbiter, job: Job, gpu_ids: tuple[str, ...]) -> None:
    """An armed job that turns out to have gone holds the GPUs that its claim names."""
    if isinstance(job.state, Queued):
        started = verdict.started_in(arbiter.home.attempt(job.id, job.attempt))
        named = str((started.get("env") or {}).get("TRAINQ_GPU_IDS", ""))
        held = tuple(named.split(",")) if named else gpu_ids
        arbiter.core.adopt(job, held, time.time())
