"""The start after a stop or a crash: what became of the attempts that were under way.

Runs before anything is served or dispatched. A waiting job whose attempt's row exists was armed: its runner may
have been told to go just before the daemon died, so it is treated like one that runs.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from typing import TYPE_CHECKING, Any, Literal

from trainqueue import controlops
from trainqueue.core import events as ev
from trainqueue.core.events import Result
from trainqueue.core.job import Queued, Running
from trainqueue.damage import BOOT
from trainqueue.errors import TrainqError
from trainqueue.launch import leftovers, local, verdict
from trainqueue.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job

logger = logging.getLogger(__name__)
AttemptOfOld = tuple[int, int, dict[str, Any], tuple[str, ...]]
"""As the journal has it: job, attempt, the runner's identity, GPUs."""
PATIENCE = 5.0
"""Seconds to wait for a runner that is about to exit, or to say what it does."""


def recover(arbiter: GPUArbiter) -> None:
    """Decide every attempt in the journal by its runner, its record and its claim.

    Raises TrainqError, OSError when the disk does not let us; nothing is lost then, and the next start tries again.
    """
    rows = [row for row in arbiter.journal.attempts() if is_current(arbiter, *row[:2])]
    jobs = arbiter.core.jobs
    seen = {row[0] for row in rows}
    for job in [*jobs.values()]:
        if job.id not in seen and not isinstance(job.state, Queued):
            arbiter.apply_quietly(ev.AttemptVoid(job.id, job.attempt))  # committed, never handed to a runner
    for job_id, _, identity, gpu_ids in sorted(rows, key=lambda row: begun(arbiter, jobs[row[0]])):
        decide(arbiter, jobs[job_id], identity, gpu_ids)
    if is_new_boot(arbiter, rows):
        hold_after_reboot(arbiter)


def begun(arbiter: GPUArbiter, job: Job) -> tuple[bool, float]:
    """Sorts attempts as they went: an armed one after another had ended, and those one after the other."""
    if not isinstance(job.state, Queued):
        return False, 0.0
    words = verdict.started_in(arbiter.home.attempt(job.id, job.attempt))
    return True, float(words.get("began") or math.inf)


def is_current(arbiter: GPUArbiter, job_id: int, number: int) -> bool:
    job = arbiter.core.jobs.get(job_id)
    return job is not None and job.attempt == number


def decide(arbiter: GPUArbiter, job: Job, identity: dict[str, Any], gpu_ids: tuple[str, ...]) -> None:
    folder = arbiter.home.attempt(job.id, job.attempt)
    controlops.recall(arbiter, job)
    if identity["boot_id"] != arbiter.bench.boot:
        decide_rebooted(arbiter, job, gpu_ids)
        return
    runner = local.find(identity, arbiter.bench.boot)
    if runner is not None and verdict.record_in(folder) is None:
        if isinstance(job.state, Running) or (not verdict.claim(folder) and has_words(folder)):
            hold_gpus(arbiter, job, gpu_ids)
            take_over(arbiter, job, runner)
            return
        runner.signal(signal.SIGKILL)  # the claim is ours, and it must never start
        runner.gone(PATIENCE)
    if runner is not None:
        runner.close()  # with a record written it is about to exit, or carries another attempt by now
    if left_no_word(arbiter, job, gpu_ids):
        arbiter.bench.adopt(job, None)
        arbiter.watch(job.id, job.attempt)  # the trainer says so, once nothing of it lives


def left_no_word(arbiter: GPUArbiter, job: Job, gpu_ids: tuple[str, ...]) -> bool:
    """Decide an attempt without a runner by claim and record; True when it has run and nobody knows how it ended.

    Raises OSError: nobody can say now.
    """
    found = fate(arbiter, job)
    if found == "void":
        if not isinstance(job.state, Queued):
            arbiter.apply_quietly(ev.AttemptVoid(job.id, job.attempt))
        return False
    hold_gpus(arbiter, job, gpu_ids)
    if found == "lost":
        return True
    tell_progress(arbiter, job, found)
    arbiter.apply_quietly(ev.AttemptEnded(job.id, job.attempt, found))
    return False


def fate(arbiter: GPUArbiter, job: Job) -> Result | Literal["void", "lost"]:
    """The verdict on a job whose runner is gone; one that is known to have run is not void when its claim is gone.

    Raises OSError: nobody can say now.
    """
    found = verdict.verdict(arbiter.home.attempt(job.id, job.attempt))
    return "lost" if found == "void" and isinstance(job.state, Running) else found


def decide_rebooted(arbiter: GPUArbiter, job: Job, gpu_ids: tuple[str, ...]) -> None:
    """Of an attempt from before the machine was restarted: nothing of it lives, so no process is looked for.

    Its pid may be anybody's by now. After a power cut its claim may be gone, although it is known to have run.
    """
    if left_no_word(arbiter, job, gpu_ids):
        tell_progress(arbiter, job, "lost")
        logger.warning("job %d is lost: the machine went down while it ran", job.id)
        arbiter.apply_quietly(ev.AttemptLost(job.id, job.attempt, "reboot", seen_to_run(arbiter, job)))


def seen_to_run(arbiter: GPUArbiter, job: Job) -> float | None:
    """Seconds from its start to the last thing that it wrote, the best that can be said of a job that was cut off."""
    started_at = verdict.started_in(arbiter.home.attempt(job.id, job.attempt)).get("at")
    started_at = started_at or getattr(job.state, "started_at", None)
    signs = [0.0]
    for path in (arbiter.home.log_of(job.id, job.attempt), arbiter.home.progress_of(job.id)):
        with contextlib.suppress(OSError):
            signs.append(path.stat().st_mtime)
    return None if started_at is None else max(0.0, max(signs) - float(started_at))


def is_new_boot(arbiter: GPUArbiter, rows: Iterable[AttemptOfOld]) -> bool:
    """Whether the machine was restarted since a daemon last served this home; the first one to ask notes it."""
    last, boot = arbiter.journal.setting(BOOT), arbiter.bench.boot
    if last != boot:
        arbiter.ledger.batch.settings[BOOT] = boot
    return last != boot if last else any(identity["boot_id"] != boot for _, _, identity, _ in rows)


def hold_after_reboot(arbiter: GPUArbiter) -> None:
    """Pause if that is wanted and something waits: an empty queue that stands still would only be a trap."""
    core = arbiter.core
    logger.info("the machine was restarted; %d jobs wait", len(core.line))
    if arbiter.after_reboot == "hold" and len(core.line) and not core.paused:
        reason = "the machine was restarted"
        arbiter.apply_quietly(ev.SetMode(paused=True, draining=core.draining, reason=reason))


def has_words(folder: Path) -> bool:
    """Whether the runner that made the claim has said so in it, which takes it a moment."""
    deadline = time.monotonic() + PATIENCE
    while not verdict.started_in(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def take_over(arbiter: GPUArbiter, job: Job, runner: local.Runner) -> None:
    started = verdict.started_in(arbiter.home.attempt(job.id, job.attempt))
    at = float(started.get("at") or arbiter.clock.now())
    arbiter.bench.adopt(job, runner)
    arbiter.apply_quietly(ev.AttemptStarted(job.id, job.attempt, started.get("pid"), at, started.get("began")))
    controlops.recall(arbiter, job)
    arbiter.watch(job.id, job.attempt)
    logger.info("adopted job %d, attempt %d", job.id, job.attempt)


def tell_progress(arbiter: GPUArbiter, job: Job, found: Result | str) -> None:
    """What an attempt that nobody watched has said at last, in its file and in its log."""
    log = arbiter.home.log_name(job.id, job.attempt)
    command = (*job.spec.command, *(job.spec.resume_args if job.attempt > 1 else ()))
    sources = Sources(arbiter.home.job(job.id), log, command, grown=True)
    progress = sources.last_words(well=isinstance(found, Result) and found.exit_code == 0)
    sources.close()
    known = (job.progress or {}).get("fraction")
    if progress is not None and (known is None or (progress["fraction"] or 0) >= known):
        arbiter.apply_quietly(ev.Progressed(job.id, job.attempt, progress))


def hold_gpus(arbiter: GPUArbiter, job: Job, gpu_ids: tuple[str, ...]) -> None:
    """An armed job that turns out to have gone holds the GPUs that its claim names.

    It has them for itself, since those that share do not go before their row is written (starts.py): whoever held one
    of them before is over.
    """
    if not isinstance(job.state, Queued):
        return
    held = verdict.gpus_in(arbiter.home.attempt(job.id, job.attempt)) or gpu_ids
    for before in arbiter.core.leases.in_the_way(job.id, held, None):
        finish(arbiter, arbiter.core.jobs[before])
    arbiter.apply_quietly(ev.Adopt(job.id, held))


def finish(arbiter: GPUArbiter, job: Job) -> None:
    """The job whose GPU was handed on is over: another one could only go because it was.

    If it has ended, its runner lives until that is written down. Raises TrainqError when that takes too long.
    """
    folder = arbiter.home.attempt(job.id, job.attempt)
    attempt = arbiter.bench.attempts.get((job.id, job.attempt))
    lives = attempt is not None and attempt.runner is not None and not attempt.runner.gone(PATIENCE)
    if lives and verdict.record_in(folder) is None:
        msg = f"job {job.id} has ended, but its exit record cannot be written; is the disk full? Nothing is lost"
        raise TrainqError(msg)
    found = fate(arbiter, job)
    tell_progress(arbiter, job, found)
    if isinstance(found, Result):
        arbiter.apply_quietly(ev.AttemptEnded(job.id, job.attempt, found))
    elif found == "void":
        arbiter.apply_quietly(ev.AttemptVoid(job.id, job.attempt))
    else:
        leftovers.sweep(folder)
        arbiter.apply_quietly(ev.AttemptLost(job.id, job.attempt, "runner-died", seen_to_run(arbiter, job)))
