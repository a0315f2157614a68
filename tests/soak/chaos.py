"""The blows: whom to kill, and when. Each is one kill -9, of one process or of several that die together."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
from typing import TYPE_CHECKING

from soak import processes
from soak.history import Kill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soak.clients import Client
    from soak.history import History
    from soak.supervisor import Supervisor

STUCK = 60.0
"""Seconds after which a daemon that does not serve, or does not end, is a fault; far more than it ever needs."""
LAG = 3.0
"""Seconds that a blow waits at most for the clients to catch up."""


class Blows:
    """What can be done to a daemon and to what it has started; who says when is a subclass."""

    def __init__(self, supervisor: Supervisor, history: History, seed: int | str, wanted: int) -> None:
        self.supervisor, self.history, self.wanted = supervisor, history, wanted
        self.dice = random.Random(seed)
        self.done = 0

    def again(self, age: int) -> None:
        """Wait for the next daemon, and often kill it, too, while it starts."""
        self.until_reborn(age)
        while self.dice.random() < 0.3 and self.done < self.wanted:
            age = len(self.history.lives)
            time.sleep(self.dice.uniform(0.0, 1.3 * self.usual_start()))
            if self.strike("daemon", self.supervisor.life.pid, "starting"):
                self.done += 1
                self.until_reborn(age)
        if not self.supervisor.until_it_serves(STUCK):
            self.history.faults.append(f"daemon {self.supervisor.life.pid} does not serve after {STUCK:.0f} s")

    def until_reborn(self, age: int) -> None:
        until = time.monotonic() + STUCK
        while len(self.history.lives) <= age:
            if time.monotonic() > until:
                self.history.faults.append(f"daemon {self.supervisor.life.pid} does not end")
                return
            time.sleep(0.001)

    def usual_start(self) -> float:
        """Seconds from a daemon's birth to its first answer."""
        lives = [life.served - life.spawned for life in self.history.lives[-50:] if life.served is not None]
        return statistics.median(lives) if lives else 0.5

    def strike(self, what: str, pid: int, kind: str, how: Callable[[int], bool] = processes.kill) -> bool:
        """Written down first, since its effect may be seen at once."""
        kill = Kill(what, pid, time.monotonic(), kind)
        self.history.kills.append(kill)
        if what == "daemon":
            self.supervisor.expected.add(pid)
        if how(pid):
            return True
        self.history.kills.remove(kill)
        self.supervisor.expected.discard(pid)
        return False

    def strike_one(self, what: str, pids: list[int], kind: str, how: Callable[[int], bool] = processes.kill) -> bool:
        return bool(pids) and self.strike(what, self.dice.choice(pids), kind, how)

    # -- the blows

    def daemon(self) -> bool:
        return self.strike("daemon", self.supervisor.life.pid, "daemon")

    def frozen(self) -> bool:
        """Stopped for a moment first, so that its sockets fill and its runners move on without it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.supervisor.life.pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.0, 0.5))
        return self.strike("daemon", self.supervisor.life.pid, "frozen")

    def hand_over(self) -> bool:
        """Just after a job has stamped its end (or start): the next one is told to go before that is written down."""
        until_written(self.supervisor.home.parent / "stamps")
        time.sleep(self.dice.uniform(0.0, 0.006))
        return self.strike("daemon", self.supervisor.life.pid, "hand-over")

    def house(self) -> bool:
        """The daemon's process group, and all nurseries."""
        nurseries = processes.nurseries(processes.runners())
        struck = self.strike("daemon", self.supervisor.life.pid, "house", processes.kill_group)
        for pid in nurseries:
            self.strike("nursery", pid, "")
        return struck

    def nursery(self) -> bool:
        return self.strike_one("nursery", processes.nurseries(processes.runners()), "nursery")

    def runner(self) -> bool:
        return self.strike_one("runner", processes.busy(processes.runners()), "runner")

    def idle_runner(self) -> bool:
        runners = processes.runners()
        others = {*processes.busy(runners), *processes.nurseries(runners)}
        return self.strike_one("runner", [pid for pid in runners if pid not in others], "idle runner")

    def job(self) -> bool:
        """A job's own process group; its runner lives."""
        return self.strike_one("job", processes.jobs(), "job's group", processes.kill_group)

    def daemon_and_runner(self) -> bool:
        blows = [self.runner, self.daemon]
        self.dice.shuffle(blows)
        first = blows[0]()
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.0, 0.02))
        return blows[1]() or first

    def nursery_and_runner(self) -> bool:
        """Then only marks tell what was the job's."""
        self.nursery()
        return self.runner()

    def everything(self) -> bool:
        """All of ours but the jobs, which nobody looks after any more."""
        daemon, runners = self.supervisor.life.pid, processes.runners()
        self.dice.shuffle(runners)
        if self.dice.random() < 0.5:
            self.strike("daemon", daemon, "everything")
            struck = True
        else:
            struck = False
        for pid in runners:
            self.strike("runner", pid, "")
        return struck or self.strike("daemon", daemon, "everything")

    def stop(self) -> bool:
        """Asked to end, which it does with code 0."""
        pid = self.supervisor.life.pid
        self.supervisor.expected.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True


class Chaos(Blows):
    """Strikes until it has struck often enough; a blow that finds nobody does not count."""

    def __init__(self, supervisor: Supervisor, client: Client, history: History, seed: int, wanted: int) -> None:
        super().__init__(supervisor, history, seed, wanted)
        self.client = client
        self.blows: dict[Callable[[], bool], int] = {
            self.daemon: 16,
            self.commit: 18,
            self.hand_over: 18,
            self.frozen: 4,
            self.house: 10,
            self.nursery: 6,
            self.runner: 16,
            self.idle_runner: 5,
            self.job: 8,
            self.daemon_and_runner: 8,
            self.nursery_and_runner: 6,
            self.everything: 6,
            self.stop: 4,
        }

    def run(self, deadline: float) -> None:
        while self.done < self.wanted and time.monotonic() < deadline and not self.history.faults:
            self.pace()
            [blow] = self.dice.choices([*self.blows], [*self.blows.values()])
            age, daemon = len(self.history.lives), self.supervisor.life.pid
            struck = blow()
            self.done += struck and blow != self.stop
            if daemon in self.supervisor.expected:
                self.again(age)

    def pace(self) -> None:
        """Let the clients do their part, then choose a moment."""
        book, until = self.client.book, time.monotonic() + LAG
        book.part = self.done / self.wanted
        while book.submitted() < book.wanted * book.part and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(self.dice.uniform(0.0, 0.3))

    def commit(self) -> bool:
        """While it writes down a submit of ours, which is then repeated under its key."""
        age = len(self.history.lives)
        key, orders, specs = self.client.prepare(self.dice.randint(1, 8))
        with contextlib.suppress(OSError), self.client.book.line.sent("submit", jobs=specs, key=key):
            self.moment_of_writing()
            struck = self.strike("daemon", self.supervisor.life.pid, "commit")
            if struck:
                self.until_reborn(age)
            self.client.acknowledge(key, orders, specs)
            return struck
        self.client.acknowledge(key, orders, specs)
        return False

    def moment_of_writing(self) -> None:
        """When the journal grows, or a part of the usual time of an answer."""
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.0, 1.3 * self.usual_answer()))
            return
        until_written(self.client.book.line.home / "trainq.db-wal")
        if self.dice.random() < 0.5:
            time.sleep(self.dice.uniform(0.0, 0.002))

    def usual_answer(self) -> float:
        answers = [order.answered - order.sent for order in self.history.orders[-50:] if order.answered is not None]
        return min(statistics.median(answers), 0.05) if answers else 0.01


def until_written(path: Path) -> None:
    """Half a second at most; without a pause, since the moment is short."""
    before, until = written(path), time.monotonic() + 0.5
    while written(path) == before and time.monotonic() < until:
        pass


def written(path: Path) -> tuple[int, int]:
    """When and how far a file was written."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
