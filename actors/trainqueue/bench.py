"""The bench of runners: a few armed with the jobs that start next, the rest at work. The idle ones are the armourer's.

Arming prepares everything of an attempt but its GPUs, so that a hand-over is one packet. An armed job is
still queued: its attempt's row is in the journal, so that a later daemon asks the claim what became of it.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainqueue import user
from trainqueue.actor import stop_and_join
from trainqueue.armourer import Armourer
from trainqueue.cells import Place, mark
from trainqueue.frozen.kept import marks as frozen_marks
from trainqueue.launch import local
from trainqueue.messages.attempts import StopAttempt
from trainqueue.messages.runners import Arm, Spare, Warm
from trainqueue.trainer import TrainerActor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pykka

    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec
    from trainqueue.home import Home
    from trainqueue.launch.nursery import Nursery
    from trainqueue.messages.attempts import ToTrainer

STOP = 5.0
"""Seconds that a trainer gets to stop."""
NO_GPU = "cpu:0"
GENTLY = {"TQDM_MININTERVAL": "1"}
"""What a job finds where nobody has said otherwise: bars of ten frames a second would fill its log."""
CALM, BUSY = 0.02, 0.001
"""Seconds from a hand-over to the next arming, for usual and for very short jobs."""
MAX_ARMED = 16
"""Where jobs are very short, so many are armed at a time: one commit for all, and no hand-over waits for it."""


def visible(gpu_ids: tuple[str, ...]) -> str:
    """The value of CUDA_VISIBLE_DEVICES: UUIDs; nothing for a job without a GPU, and where there is none."""
    return ",".join(gpu for gpu in gpu_ids if gpu != NO_GPU)


@dataclass(slots=True)
class Attempt:
    """An attempt and who runs it.

    `runner` is None while it is being armed, and where it died before we came. `gpu_ids` are those that it goes on as
    soon as it can. `durable` once its row is on disk; `unwanted` when it shall not go at all.
    """

    job: int
    number: int
    spec: JobSpec
    runner: local.Runner | None = None
    trainer: pykka.ActorRef[TrainerActor] | None = None
    gpu_ids: tuple[str, ...] | None = None
    durable: bool = False
    going: bool = False
    unwanted: bool = False


class Bench:
    """Owned by the arbiter and called from its thread only; owns the runners."""

    def __init__(
        self,
        arbiter: pykka.ActorRef[Any],
        home: Home,
        grace: float,
        nursery: Nursery,
        on_crash: Callable[[BaseException | None], None],
        log_max_bytes: int = 0,
        cells: Place = Place(None, trouble="nobody has looked"),  # noqa: B008  (a constant)
    ) -> None:
        self.arbiter, self.home, self.grace = arbiter, home, grace
        self.log_max_bytes, self.cells = log_max_bytes, cells
        self.armourer = Armourer.start(arbiter, nursery, on_crash)
        self.boot = local.boot_id()
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self._cold = 0
        self._leaving: list[pykka.ActorRef[TrainerActor]] = []

    # -- how far ahead

    def note(self, *, hot: bool) -> None:
        """A start was hot (armed before) or cold: a row of cold ones means short jobs."""
        self._cold = max(0, self._cold - 1) if hot else 2 * MAX_ARMED

    def ahead(self) -> int:
        """How many of the first in line to arm."""
        return MAX_ARMED if self._cold else 1

    def unarmed(self, jobs: list[Job]) -> list[Job]:
        return [job for job in jobs if (job.id, job.attempt) not in self.attempts]

    def arm_ahead(self, core: Core) -> None:
        """Arm those that start next; many at a time or none, since one by one they would be in the way of every start.

        Raises OSError when the machine refuses.
        """
        wanted = core.next(self.ahead())
        missing = self.unarmed(wanted)
        if len(wanted) - len(missing) > MAX_ARMED // 4:
            return
        if missing and len(self.armed()) >= MAX_ARMED:
            for key in self.armed() - {(job.id, job.attempt) for job in wanted}:
                self.discard(*key)  # moved back, held: it must not keep others from being armed
        for job in missing:
            self.arm(job)

    def patience(self) -> float:
        """Seconds from a hand-over to the next arming, which would steal time from the start under way."""
        return BUSY if self._cold else CALM

    def warm(self) -> None:
        self.armourer.tell(Warm())

    def armed(self) -> set[tuple[int, int]]:
        return {key for key, attempt in self.attempts.items() if not attempt.going}

    # -- an attempt's life

    def arm(self, job: Job) -> Attempt:
        """The job's attempt, armed or being armed. Raises OSError while its runner is on its way out."""
        attempt = self.attempts.get((job.id, job.attempt))
        folder = self.home.attempt(job.id, job.attempt)
        if attempt is None:
            if job.attempt > 1:
                self.home.progress_of(job.id).unlink(missing_ok=True)
            attempt = self.attempts[job.id, job.attempt] = Attempt(job.id, job.attempt, job.spec)
            self.armourer.tell(Arm(job.id, job.attempt, folder, self._handed(job)))
        elif attempt.unwanted and attempt.runner is not None:
            msg = "its runner has just been let go"
            raise OSError(msg)
        elif attempt.runner is not None and attempt.spec is not job.spec:  # it has been edited
            attempt.runner.arm(folder, self._handed(job))
            attempt.spec = job.spec
        attempt.unwanted = False
        return attempt

    def armed_with(self, job: int, number: int, runner: local.Runner) -> Attempt | None:
        """The attempt that the runner is for, unless it is not wanted any more: then the runner goes away."""
        attempt = self.attempts[job, number]
        if attempt.unwanted:
            del self.attempts[job, number]
            runner.close()  # it exits when we hang up
            return None
        attempt.runner = runner
        attempt.trainer = self._trainer(job, number, runner, started=False)
        return attempt

    def go(self, attempt: Attempt, gpu_ids: tuple[str, ...], locked: dict[str, bool]) -> None:
        """Raises OSError when the runner has died; its trainer then says what became of the attempt."""
        assert attempt.runner is not None
        attempt.going = True
        env = {"CUDA_VISIBLE_DEVICES": visible(gpu_ids), "TRAINQ_GPU_IDS": ",".join(gpu_ids)}
        attempt.runner.go(env, locked, stay=True)
        os.sched_yield()  # else the kernel may have the runner wait behind us, on our processor

    def adopt(self, job: Job, runner: local.Runner | None) -> None:
        """An attempt that an earlier daemon started; without a runner, what became of it is to be found out."""
        attempt = Attempt(job.id, job.attempt, job.spec, runner, durable=True, going=True)
        self.attempts[job.id, job.attempt] = attempt

    def watch(self, job: int, number: int) -> None:
        """Adopted, or its trainer has crashed (which may have been the last thing that it had to do).

        Raises OSError when no descriptor is left for a trainer.
        """
        attempt = self.attempts.get((job, number))
        if attempt is not None:
            attempt.trainer = self._trainer(job, number, attempt.runner, started=attempt.going)

    def _trainer(
        self, job: int, number: int, runner: local.Runner | None, *, started: bool
    ) -> pykka.ActorRef[TrainerActor]:
        folder, spec = self.home.attempt(job, number), self.attempts[job, number].spec
        log, command = self.home.log_name(job, number), (*spec.command, *(spec.resume_args if number > 1 else ()))
        return TrainerActor.start(self.arbiter, runner, job, number, folder, log, command, started=started)

    def stop(self, job: int, number: int, *, force: bool, stalled: bool = False) -> None:
        attempt = self.attempts.get((job, number))
        if attempt is not None and not attempt.going:
            self.discard(job, number)
        else:
            self.tell(job, number, StopAttempt(force, stalled))

    def tell(self, job: int, number: int, message: ToTrainer) -> None:
        """The attempt's trainer, if there is one; nobody where it is over."""
        attempt = self.attempts.get((job, number))
        if attempt is not None and attempt.trainer is not None and attempt.trainer.is_alive():
            attempt.trainer.tell(message)

    def discard(self, job: int, number: int) -> None:
        """The job has ended while waiting, or others start first: its armed runner is not needed any more."""
        attempt = self.attempts.get((job, number))
        if attempt is None or attempt.going:
            return
        attempt.unwanted = True
        if attempt.runner is not None:
            attempt.runner.signal(signal.SIGKILL)

    def forget(self, job: int, number: int, *, free: bool = False) -> None:
        """Its runner has gone, or is free; its trainer, which does not look at it any more, is about to end."""
        attempt = self.attempts.pop((job, number), None)
        self._leaving = [ref for ref in self._leaving if ref.is_alive()]
        if attempt is None:
            return
        if attempt.trainer is not None:
            self._leaving.append(attempt.trainer)
        if attempt.runner is not None and free:
            self.armourer.tell(Spare(attempt.runner))
        elif attempt.runner is not None:
            attempt.runner.close()

    def close(self) -> None:
        """Let all runners go: idle and armed ones exit, the others run on without us."""
        stop_and_join(self.armourer, STOP)
        for key in self.attempts:
            self.discard(*key)
        trainers = [attempt.trainer for attempt in self.attempts.values() if attempt.trainer is not None]
        for trainer in (*self._leaving, *trainers):
            stop_and_join(trainer, STOP)
        for attempt in self.attempts.values():
            if attempt.runner is not None:
                attempt.runner.close()

    # -- what the runner is told

    def _handed(self, job: Job) -> dict[str, Any]:
        spec = job.spec
        return {
            "argv": (*spec.command, *(spec.resume_args if job.attempt > 1 else ())),
            "cwd": spec.snapshot or spec.cwd,
            "umask": spec.umask,
            "warn": spec.warn,
            "time_limit": spec.time_limit,
            "log": self.home.log_name(job.id, job.attempt),
            "log_max_bytes": self.log_max_bytes,
            **self._cell(job),
            "grace": self.grace if spec.grace is None else spec.grace,
            "env": {
                **GENTLY,
                **(user.plain_environment() if spec.env is None else spec.env),
                **spec.env_extra,
                **self._marks(job),
            },
        }

    def _cell(self, job: Job) -> dict[str, Any]:
        """The cgroup of a job whose memory is limited; one for each attempt in this home."""
        if job.spec.memory_limit is None:
            return {}
        name = f"{mark(self.home.path)}-{job.id}-{job.attempt}"
        return {"memory_limit": job.spec.memory_limit, "cell": self.cells.cell(name)}

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
        marks |= frozen_marks(self.home, job.spec)
        return marks | ({"TRAINQ_RESUME": "1"} if job.attempt > 1 else {})
