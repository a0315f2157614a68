"""The composition root: everything that serves one home, started bottom-up and stopped top-down.

Used by the daemon and by `trainqueue.Queue` alike, so it installs no signal and no log handlers, and takes
nothing from the process but the home.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from trainqueue import __version__, cells, crashrow, gpuops, gpuwatch, guard, laneops, user
from trainqueue.actor import stop_and_join
from trainqueue.arbiter import GPUArbiter
from trainqueue.bench import Bench
from trainqueue.clock import WallClock
from trainqueue.core.arbiter import Core
from trainqueue.core.dependencies import named
from trainqueue.core.lanes import Lane
from trainqueue.core.limits import Limits
from trainqueue.core.reading import Sighting
from trainqueue.feed import Feed
from trainqueue.frontdesk import FrontDesk
from trainqueue.gpus import HAD_GPUS, FakeGpus, NoGpu, inventory
from trainqueue.home import EVENTS, REQUESTS
from trainqueue.janitor import Janitor
from trainqueue.journal import Journal, JournalError
from trainqueue.launch import local
from trainqueue.launch.nursery import Nursery
from trainqueue.messages.arbiter import Open
from trainqueue.past import JournalPast
from trainqueue.reserve import Reserve, is_full
from trainqueue.stall import Rule

if TYPE_CHECKING:
    import pykka

    from trainqueue.gpus import Inventory
    from trainqueue.home import Home
    from trainqueue.settings import Settings

logging.getLogger("trainqueue").addHandler(logging.NullHandler())
logger = logging.getLogger(__name__)
STOP = 10.0
"""Seconds that an actor gets to stop."""


class Service:
    """A running trainq. `wait` returns when it was asked to shut down; `stop` is idempotent."""

    def __init__(self, home: Home, settings: Settings, *, job_files: int | None = None) -> None:
        """Starts everything. Raises TrainqError (home unusable or held, database unusable) with nothing left behind.

        `job_files` is the limit of open files that jobs get; None: that of this process.
        """
        self.home, self.settings, self.job_files = home, settings, job_files
        self.leaving = threading.Event()
        self.crash: BaseException | None = None
        """What ended an actor against its will; jobs run on, and a new service adopts them."""
        self._undo = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise

    def _start(self) -> None:
        self.home.prepare()
        self._undo.callback(os.close, guard.take(self.home.lock))
        self._undo.callback(os.close, guard.take_folder(self.home.path))
        journal = self._journal()
        self._undo.callback(journal.close)
        journal.refuse_older(self.home)
        journal.attempts()  # what cannot be read in them ends the start here, with words, and not the arbiter
        gpus = inventory(self.settings.gpus, self.home, expected=bool(journal.setting(HAD_GPUS)))
        measured = not isinstance(gpus, NoGpu | FakeGpus)
        at_once = Sighting() if measured else gpus.look(None, processes=False)
        past = JournalPast(journal)
        core = Core(
            [reading.id for reading in at_once.readings],
            next_id=self.home.next_unused(journal.next_id()),
            max_waiting=self.settings.queue.max_waiting,
            counts=journal.ended_counts(),
            limits=limits(self.settings),
            past=past,
        )
        clock = WallClock()
        self._undo.callback(clock.close)
        restore(core, journal, clock.now())
        context: zmq.Context[Any] = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 4096)
        self._undo.callback(context.destroy, 0)
        request, events = self._moored(self.home.socket(REQUESTS)), self._moored(self.home.socket(EVENTS))
        place = cells.find(self.home.path)
        identity = self._identity(f"ipc://{self.home.socket(EVENTS)}", place)
        grace = self.settings.queue.default_grace
        bench = partial(
            Bench,
            home=self.home,
            grace=grace,
            nursery=Nursery(self.job_files),
            on_crash=self._crashed,
            log_max_bytes=self.settings.logs.max_bytes,
            cells=place,
        )
        leave, crashed, chosen = self.leaving.set, self._crashed, self.settings.queue.after_reboot
        stall = Rule(self.settings.queue.stall_timeout, self.settings.queue.stall_action)
        settled = (clock, chosen, past, self.settings.environment.secret, stall)
        arbiter = GPUArbiter.start(core, journal, self.home, identity, bench, leave, crashed, *settled)
        self._undo.callback(stop, arbiter)
        seq = journal.last_seq()
        feed = Feed.start(context, events, identity["epoch"], seq, self._crashed)
        self._undo.callback(stop, feed)
        desk = FrontDesk.start(context, request, arbiter, user.name(), self._crashed)
        self._undo.callback(stop, desk)
        janitor = Janitor.start(arbiter, self.home, self.settings.history, self._crashed)
        self._undo.callback(stop, janitor)
        arbiter.tell(Open(desk, feed, janitor, self._watch(gpus, arbiter) if measured else None, at_once))
        self._publish(request, events)

    def _watch(self, gpus: Inventory, arbiter: pykka.ActorRef[Any]) -> pykka.ActorRef[Any]:
        watch = gpuwatch.GpuWatch.start(gpus, arbiter, self._crashed)
        self._undo.callback(gpuwatch.stop, watch)
        return watch

    def _journal(self) -> Journal:
        """On a full disk the reserve is what it takes to open it. Raises JournalError."""
        try:
            return Journal(self.home.database)
        except JournalError as error:
            if not (is_full(error.__cause__, self.home.path) and Reserve(self.home.reserve).spend()):
                raise
            return Journal(self.home.database)

    def _identity(self, events: str, place: cells.Place) -> dict[str, Any]:
        fixed = {"server": "trainqd", "version": __version__, "protocol": 1, "pid": os.getpid()}
        return {
            **fixed,
            "started_at": time.time(),
            "home": str(self.home.path),
            "events": events,
            "epoch": secrets.token_hex(8),
            "memory_trouble": place.sentence() if place.base is None else None,
        }

    def _moored(self, path: Path) -> Path:
        """The same place, even when its folder has been moved: ZeroMQ and we remove our files at the end, and none of
        a daemon that has come after us.
        """
        fd = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
        self._undo.callback(os.close, fd)
        return Path(f"/proc/self/fd/{fd}/{path.name}")

    def _publish(self, *sockets: Path) -> None:
        """Last of all: tell clients where we are; first of all at the end: take it back."""
        endpoint = self._moored(self.home.endpoint_file)
        temporary = endpoint.with_suffix(".new")
        try:
            temporary.touch(mode=0o600)
            temporary.write_text(f"ipc://{self.home.socket(REQUESTS)}\n", encoding="utf-8")
            temporary.rename(endpoint)
        except OSError as error:
            logger.warning("cannot write %s: %s; clients look at its usual place", self.home.endpoint_file, error)
        for path in (*sockets, endpoint):
            self._undo.callback(remove, path)

    def _crashed(self, error: BaseException | None) -> None:
        """A state that may be half changed must not be served: leave, and let the journal speak."""
        self.crash = self.crash or error
        self.leaving.set()

    def wait(self) -> None:
        self.leaving.wait()

    def stop(self) -> None:
        """Stop serving; running jobs run on under their runners."""
        self._undo.close()


def remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # nothing is there any more, or nothing may be changed
        path.unlink()


def restore(core: Core, journal: Journal, now: float) -> None:
    """Waiting and active jobs from the journal, with what they depend on."""
    jobs = [*journal.alive()]
    alive = {job.id for job in jobs}
    wanted = {dep for job in jobs for dep in named(job.spec)} - alive
    paused, draining = bool(journal.setting("paused")), bool(journal.setting("draining"))
    reason = journal.setting("pause_reason") or None
    ended = journal.states_of(wanted)
    core.restore(
        jobs,
        ended,
        now,
        paused=paused,
        draining=draining,
        pause_reason=reason,
        crashes=crashrow.kept(journal),
        paused_since=float(journal.setting("paused_since") or 0) or None,
        choices=gpuops.kept_choices(journal),
        lanes=laneops.kept(journal),
        traces=gpuops.kept_traces(journal, local.boot_id()),
    )


def limits(settings: Settings) -> Limits:
    """What the core needs of the settings."""
    gpus = settings.gpus
    return Limits(
        cpu_jobs=gpus.cpu_jobs or os.cpu_count() or 1,
        release_tolerance=gpus.release_tolerance,
        release_timeout=gpus.release_timeout,
        settle_time=gpus.settle_time,
        left_out=gpus.left_out,
        lanes={name: Lane(lane.gpus, lane.paused) for name, lane in settings.lanes.items()},
        crash_guard_jobs=settings.queue.crash_guard_jobs,
        crash_guard_seconds=settings.queue.crash_guard_seconds,
    )


def stop(ref: pykka.ActorRef[Any]) -> None:
    stop_and_join(ref, STOP)
