"""The composition root: everything that serves one home, started bottom-up and stopped top-down.

Used by the daemon and by `trainqueue.Queue` alike, so it installs no signal and no log handlers, and takes
nothing from the process but the home.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pwd
import resource
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

import zmq

from trainqueue import __version__
from trainqueue.actor import stop_and_join
from trainqueue.arbiter import GPUArbiter
from trainqueue.core.arbiter import Core
from trainqueue.errors import HomeHeldError
from trainqueue.feed import Feed
from trainqueue.frontdesk import FrontDesk
from trainqueue.gpus import inventory
from trainqueue.journal import Journal
from trainqueue.messages import Open

if TYPE_CHECKING:
    from pathlib import Path

    import pykka

    from trainqueue.home import Home
    from trainqueue.settings import Settings

logging.getLogger("trainqueue").addHandler(logging.NullHandler())
STOP = 10.0
"""Seconds that an actor gets to stop."""


def hold(path: Path) -> int:
    """The single-instance guard: an exclusive flock, freed by the kernel on any death. Raises HomeHeldError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not locked(fd):
        holder = os.read(fd, 4096)
        os.close(fd)
        msg = f"{path.parent} is held by {holder_name(holder)}; it goes on serving it"
        raise HomeHeldError(msg)
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps({"pid": os.getpid(), "started_at": time.time()}).encode())
    return fd


def locked(fd: int) -> bool:
    """Whether the lock is ours now. A client that looks whether a daemon lives holds it for a moment, too."""
    for last in (False,) * 20 + (True,):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not last:
                time.sleep(0.005)
        else:
            return True
    return False


def holder_name(written: bytes) -> str:
    """Who holds the lock, from what it wrote there."""
    try:
        return f"process {int(json.loads(written)['pid'])}"
    except (ValueError, KeyError, TypeError):
        return "another process (which has not written its name yet)"


class Service:
    """A running trainq. `wait` returns when it was asked to shut down; `stop` is idempotent."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Starts everything. Raises TrainqError (home unusable or held, database unusable) with nothing left behind."""
        self.home, self.settings = home, settings
        self.leaving = threading.Event()
        self._undo = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise

    def _start(self) -> None:
        self.home.prepare()
        self._undo.callback(os.close, hold(self.home.lock))
        raise_file_limit()
        journal = Journal(self.home.database)
        self._undo.callback(journal.close)
        gpus = inventory()
        core = Core(
            gpus.gpu_ids(),
            cpu_jobs=os.cpu_count() or 1,
            next_id=journal.next_id(),
            max_waiting=self.settings.queue.max_waiting,
            counts=journal.ended_counts(),
        )
        load(core, journal)
        context: zmq.Context[Any] = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 4096)
        self._undo.callback(context.term)
        request = self.home.socket("trainqd.sock")
        events = self.home.socket("events.sock")
        identity = self._identity(f"ipc://{events}")
        grace = self.settings.queue.default_grace
        arbiter = GPUArbiter.start(core, journal, self.home, gpus, identity, grace, self.leaving.set)
        self._undo.callback(stop, arbiter)
        seq = journal.last_seq()
        feed = Feed.start(context, f"ipc://{events}", identity["epoch"], seq, lambda: events.chmod(0o600))
        self._undo.callback(stop, feed)
        user = pwd.getpwuid(os.getuid()).pw_name
        desk = FrontDesk.start(context, f"ipc://{request}", arbiter, user, lambda: request.chmod(0o600))
        self._undo.callback(stop, desk)
        arbiter.tell(Open(desk, feed))
        self._publish(request, events)

    def _identity(self, events: str) -> dict[str, Any]:
        fixed = {"server": "trainqd", "version": __version__, "protocol": 1, "pid": os.getpid()}
        return {
            **fixed,
            "started_at": time.time(),
            "home": str(self.home.path),
            "events": events,
            "epoch": secrets.token_hex(8),
        }

    def _publish(self, *sockets: Path) -> None:
        """Last of all: tell clients where we are; first of all at the end: take it back."""
        temporary = self.home.endpoint_file.with_suffix(".new")
        temporary.write_text(f"ipc://{sockets[0]}\n", encoding="utf-8")
        temporary.rename(self.home.endpoint_file)
        for path in (*sockets, self.home.endpoint_file):
            self._undo.callback(path.unlink, missing_ok=True)

    def wait(self) -> None:
        self.leaving.wait()

    def stop(self) -> None:
        """Stop serving; running jobs run on under their runners."""
        self._undo.close()


def load(core: Core, journal: Journal) -> None:
    """Waiting and active jobs from the journal, with what they depend on."""
    jobs = [*journal.alive()]
    alive = {job.id for job in jobs}
    wanted = {dep for job in jobs for dep in (*job.spec.after, *job.spec.after_any)} - alive
    ended = journal.states_of(wanted)
    now = time.time()
    for job in jobs:
        core.jobs[job.id] = job  # all known first: a dependency may have been moved behind
    for job in jobs:
        core.load(job, ended, now)
    core.paused, core.draining = bool(journal.setting("paused")), bool(journal.setting("draining"))


def raise_file_limit() -> None:
    """Libzmq aborts the process when it runs out of descriptors on ipc."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stop(ref: pykka.ActorRef[Any]) -> None:
    stop_and_join(ref, STOP)
