"""The bench of runners: one idle, a few armed with the jobs that start next, the rest at work.

Arming prepares everything of an attempt but its GPUs, so that a hand-over is one packet. An armed job is
still queued: its attempt's row is in the journal, so that a later daemon asks the claim what became of it.
"""

from __future__ import annotations

import os
import pwd
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainqueue.actor import stop_and_join
from trainqueue.errors import FaultError
from trainqueue.launch import local, verdict
from trainqueue.messages import StopAttempt
from trainqueue.trainer import TrainerActor

if TYPE_CHECKING:
    from pathlib import Path

    import pykka

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec
    from trainqueue.gpus import Inventory
    from trainqueue.home import Home
    from trainqueue.launch.nursery import Nursery

STOP = 5.0
"""Seconds that a trainer gets to stop."""
MAX_TRAINERS = 3
"""That may crash over one attempt; more are no accident."""
CALM, BUSY = 0.02, 0.001
MAX_ARMED = 4
"""Moves and holds may change the head of the line; armed runners (9 MB each) are kept up to this number."""


@dataclass(slots=True)
class Attempt:
    """An attempt and who runs it; `durable` once its row is on disk."""

    job: int
    number: int
    spec: JobSpec
    runner: local.Runner
    trainer: pykka.ActorRef[TrainerActor]
    durable: bool = False
    going: bool = False
    trainers: int = 1


class Bench:
    """Owned by the arbiter and called from its thread only."""

    def __init__(
        self, arbiter: pykka.ActorRef[Any], home: Home, gpus: Inventory, grace: float, nursery: Nursery
    ) -> None:
        self.arbiter, self.home, self.gpus, self.grace, self.nursery = arbiter, home, gpus, grace, nursery
        self.boot = local.boot_id()
        self._cold = 0
        self.idle: local.Runner | None = None
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self._leaving: list[pykka.ActorRef[TrainerActor]] = []

    def note(self, *, hot: bool) -> None:
        """A start was hot (armed before) or cold: a row of cold ones means short jobs."""
        self._cold = 0 if hot and self._cold < MAX_ARMED else min(self._cold + (not hot), 2 * MAX_ARMED)

    def ahead(self) -> int:
        """How many of the first in line to arm."""
        return MAX_ARMED if self._cold else 1

    def patience(self) -> float:
        """Seconds from a hand-over to the next arming, which would steal time from the start under way."""
        return BUSY if self._cold else CALM

    def warm(self) -> None:
        """Have an idle runner."""
        if self.idle is None or self.idle.gone():
            if self.idle is not None:
                self.idle.reap()
                self.idle.close()
            self.idle = self.nursery.runner()

    def armed(self) -> int:
        return sum(not attempt.going for attempt in self.attempts.values())

    def arm(self, job: Job) -> Attempt:
        """The job's attempt, armed. Raises OSError when its folder cannot be made or no runner be had."""
        known = self.attempts.get((job.id, job.attempt))
        if known is not None and known.spec is job.spec:
            return known
        folder = self.home.attempt(job.id, job.attempt)
        self.home.progress_of(job.id).unlink(missing_ok=True)  # of an earlier attempt
        verdict.prepare(folder, job.spec, self._handed(job))
        if known is not None:
            known.runner.arm(folder)
            known.spec = job.spec
            return known
        runner, self.idle = self.idle or self.nursery.runner(), None
        try:
            runner.arm(folder)
        except OSError:
            runner.close()  # the idle one had died: a fresh one cannot have yet
            runner = self.nursery.runner()
            runner.arm(folder)
        trainer = self._trainer(job.id, job.attempt, runner, started=False)
        attempt = Attempt(job.id, job.attempt, job.spec, runner, trainer)
        self.attempts[job.id, job.attempt] = attempt
        return attempt

    def go(self, attempt: Attempt, gpu_ids: tuple[str, ...]) -> None:
        """Raises OSError when the runner has died; its trainer then says what became of the attempt."""
        attempt.going = True
        visible = self.gpus.visible(gpu_ids) if attempt.spec.gpus else ""
        attempt.runner.go({"CUDA_VISIBLE_DEVICES": visible, "TRAINQ_GPU_IDS": ",".join(gpu_ids)})

    def adopt(self, job: Job, runner: local.Runner) -> None:
        """Watch an attempt that an earlier daemon started."""
        trainer = self._trainer(job.id, job.attempt, runner, started=True)
        self.attempts[job.id, job.attempt] = Attempt(
            job.id, job.attempt, job.spec, runner, trainer, durable=True, going=True
        )

    def watch_again(self, job: int, number: int) -> None:
        """Its trainer has crashed. Raises FaultError when that goes on and on."""
        attempt = self.attempts[job, number]
        attempt.trainers += 1
        if attempt.trainers > MAX_TRAINERS:
            msg = f"{MAX_TRAINERS} trainers in a row have crashed over job {job}"
            raise FaultError(msg)
        attempt.trainer = self._trainer(job, number, attempt.runner, started=attempt.going)

    def _trainer(self, job: int, number: int, runner: local.Runner, *, started: bool) -> pykka.ActorRef[TrainerActor]:
        folder = self.home.attempt(job, number)
        return TrainerActor.start(self.arbiter, runner, job, number, folder, started=started)

    def stop(self, job: int, number: int, *, force: bool) -> None:
        attempt = self.attempts.get((job, number))
        if attempt is not None and attempt.trainer.is_alive():
            attempt.trainer.tell(StopAttempt(force))

    def discard(self, job: int, number: int) -> None:
        """The job has ended while waiting: its armed runner is not needed any more."""
        attempt = self.attempts.get((job, number))
        if attempt is not None and not attempt.going:
            attempt.runner.signal(signal.SIGKILL)

    def forget(self, job: int, number: int) -> None:
        """Its runner has gone and its trainer is about to end."""
        attempt = self.attempts.pop((job, number), None)
        self._leaving = [ref for ref in self._leaving if ref.is_alive()]
        if attempt is not None:
            self._leaving.append(attempt.trainer)

    def close(self) -> None:
        """Let all runners go: idle and armed ones exit, the others run on without us."""
        if self.idle is not None:
            self.idle.close()
        self.nursery.close()
        for attempt in self.attempts.values():
            if not attempt.going:
                attempt.runner.signal(signal.SIGKILL)
            self._leaving.append(attempt.trainer)
        for trainer in self._leaving:
            stop_and_join(trainer, STOP)

    def _handed(self, job: Job) -> dict[str, Any]:
        spec = job.spec
        return {
            "job": job.id,
            "attempt": job.attempt,
            "cwd": spec.cwd,
            "umask": spec.umask,
            "log": str(self.home.log_of(job.id, job.attempt)),
            "grace": self.grace if spec.grace is None else spec.grace,
            "env": {**(plain_environment() if spec.env is None else spec.env), **self._marks(job)},
        }

    def _marks(self, job: Job) -> dict[str, str]:
        folder: Path = self.home.job(job.id)
        marks = {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "PYTHONUNBUFFERED": "1",
            "TRAINQ_JOB_ID": str(job.id),
            "TRAINQ_ATTEMPT": str(job.attempt),
            "TRAINQ_JOB_DIR": str(folder),
            "TRAINQ_PROGRESS": str(self.home.progress_of(job.id)),
        }
        return marks | ({"TRAINQ_RESUME": "1"} if job.attempt > 1 else {})


def plain_environment() -> dict[str, str]:
    """What a job gets when its submitter sent no environment (contract, section 3)."""
    user = pwd.getpwuid(os.getuid())
    plain = {"HOME": user.pw_dir, "USER": user.pw_name, "SHELL": user.pw_shell, "LANG": "C.UTF-8"}
    return plain | {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
