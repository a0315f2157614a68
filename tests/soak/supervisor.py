"""Keeps a daemon running as an init system would, and buries whoever falls to us.

The driver is a subreaper: whatever the daemon has started stays below it, however its parents died. So "no child is
left" (ECHILD) proves that nothing lives on, and nobody else's process is ever taken for ours.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from soak.history import Life
from soak.processes import below, kill, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soak.history import History
    from soak.protocol import Line

PR_SET_CHILD_SUBREAPER = 36
ACTORS = Path(__file__).resolve().parents[2] / "actors"
DAEMON = ("-m", "trainqueue.daemon")
LOOK = 0.02
"""Seconds between two looks, where there is nothing to wait on."""


def become_subreaper() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


class Supervisor(threading.Thread):
    """Starts the daemon, and starts it again whenever it has died, until `stop`."""

    def __init__(
        self, home: Path, gpus: str, history: History, config: str = "", program: Sequence[str] = DAEMON
    ) -> None:
        super().__init__(name="supervisor")
        self.home, self.history = home, history
        self.env = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_CONFIG": config, "TRAINQ_FAKE_GPUS": gpus}
        self.program = program
        self.line: Line | None = None
        self.expected: set[int] = set()
        """Daemons that somebody told to end."""
        self.draining = False
        """Somebody wants that a daemon ends when nothing runs any more."""
        self.stopping = False
        self._log = os.open(home.parent / "daemon.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def age(self) -> int:
        """How many daemons have died."""
        return sum(life.ended is not None for life in self.history.lives)

    @property
    def life(self) -> Life:
        return self.history.lives[-1]

    def spawn(self) -> None:
        """As its user does it; in a session of its own, since a terminal's death is not what we test."""
        argv = [sys.executable, *self.program, "--home", str(self.home)]
        null = os.open(os.devnull, os.O_RDONLY)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, self._log, 1)]
        actions.append((os.POSIX_SPAWN_DUP2, self._log, 2))
        pid = os.posix_spawn(sys.executable, argv, self.env, file_actions=actions, setsid=True)
        os.close(null)
        self.expected.discard(pid)  # numbers come again
        self.history.lives.append(Life(pid, time.monotonic()))

    def start(self) -> None:
        self.spawn()
        super().start()

    def run(self) -> None:
        while not (self.stopping and self.life.ended is not None):
            pid, status = os.waitpid(-1, 0)
            if pid == self.life.pid:
                self._ended(os.waitstatus_to_exitcode(status))
                if not self.stopping:
                    self.spawn()

    def _ended(self, code: int) -> None:
        life = self.life
        if life.pid not in self.expected and not (self.draining and code == 0):
            self.history.faults.append(f"the daemon {life.pid} ended by itself with {code}; see {self.home.parent}")
        elif code not in {0, -signal.SIGKILL, -signal.SIGTERM}:
            self.history.faults.append(f"the daemon {life.pid} was told to end and ended with {code}")
        life.ended = time.monotonic()

    def serves(self) -> bool:
        """Ask the daemon; notes when it was first seen to answer."""
        life = self.life
        if life.served is None and life.ended is None and self.line is not None:
            try:
                found = self.line.once("ping", 1.0)
            except Exception:  # noqa: BLE001  (any sort of not yet)
                return False
            if found["pid"] == life.pid:
                life.served = time.monotonic()
        return life.served is not None and life.ended is None

    def until_it_serves(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.serves():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True

    def stop(self, seconds: float) -> None:
        """End the daemon as its user does; then see whether anything is left. Kills that, at the end."""
        self.stopping = True
        life = self.life
        self.expected.add(life.pid)
        if life.ended is None:
            os.kill(life.pid, signal.SIGTERM)
        self.join(seconds)
        if self.is_alive():
            self.history.faults.append(f"the daemon {life.pid} did not stop in {seconds:.0f} s")
            os.kill(life.pid, signal.SIGKILL)
            self.join(seconds)
        self._bury(time.monotonic() + seconds)
        os.close(self._log)

    def _bury(self, deadline: float) -> None:
        while buried():
            if time.monotonic() > deadline:
                self.history.left += [f"{pid} {named(pid)}" for pid in below(os.getpid())]
                for pid in below(os.getpid()):
                    kill(pid)
                deadline += 5
            time.sleep(LOOK)


def buried() -> bool:
    """Bury all the dead; whether some child lives."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
