"""What happens to the machine over a weekend: daemons and runners die or are stopped, queue and lanes stand still."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

from soak import processes
from soak.chaos import Blows
from soak.history import Ask
from soak.protocol import GivenUpError, GoneError, RefusedError
from soak.wishes import GPUS, LANES

if TYPE_CHECKING:
    from collections.abc import Callable

    from soak.people import Office
    from soak.supervisor import Supervisor


STANDS = (0.2, 0.7, 1.5, 3.5)
"""Seconds that something stands still; some longer than a start takes."""


class Nights(Blows):
    """Blows, some seconds apart."""

    def __init__(self, office: Office, supervisor: Supervisor, seed: str, apart: float) -> None:
        super().__init__(supervisor, office.history, seed, 10**6)
        self.office, self.apart = office, apart
        self.gone = False
        """Whether the last blow has ended the daemon."""
        self.blows = {
            self.daemon: 16,
            self.hand_over: 12,
            self.frozen: 5,
            self.house: 6,
            self.nursery: 5,
            self.runner: 24,
            self.idle_runner: 4,
            self.job: 12,
            self.daemon_and_runner: 6,
            self.stop: 10,
            self.shutdown: 10,
        }

    def run(self, deadline: float) -> None:
        while time.monotonic() < deadline and not self.history.faults:
            time.sleep(self.dice.uniform(0.3, 1.7) * self.apart)
            age, self.gone = len(self.history.lives), False
            [blow] = self.dice.choices([*self.blows], [*self.blows.values()])
            self.done += blow()
            if self.gone:
                self.again(age)

    def strike(self, what: str, pid: int, kind: str, how: Callable[[int], bool] = processes.kill) -> bool:
        struck = super().strike(what, pid, kind, how)
        self.gone = self.gone or (struck and what == "daemon")
        return struck

    def stop(self) -> bool:
        self.gone = True
        return super().stop()

    def shutdown(self) -> bool:
        """By a request; who wants to may start it again."""
        self.gone = True
        self.supervisor.expected.add(self.supervisor.life.pid)
        try:
            self.office.line.once("shutdown", 5.0, jobs="keep")
        except (GoneError, RefusedError):
            return self.stop()
        return True


class Warden(threading.Thread):
    """Who pauses, drains and resumes the queue and its lanes, and sees to it that it goes on after a crash guard."""

    def __init__(self, office: Office, supervisor: Supervisor, seed: str) -> None:
        super().__init__(name="warden", daemon=True)
        self.office, self.supervisor, self.history = office, supervisor, office.history
        self.dice = random.Random(seed)
        self.guarded: list[str] = []
        """The reasons of queues that the crash guard has paused."""

    def run(self) -> None:
        every = [self.pause, self.pause_lane, self.pause_lane, self.bound_lane, self.disable_gpu, self.drain]
        acts: list[Callable[[], None]] = []
        try:
            while not self.office.stopping:
                self.guard()
                time.sleep(self.dice.uniform(0.2, 1.2))
                acts = acts or self.dice.sample(every, len(every))
                acts.pop()()
        except GivenUpError as error:
            self.history.faults.append(f"the warden was not answered ({error})")
        except Exception as error:  # noqa: BLE001  (nobody leaves in silence)
            self.history.faults.append(f"the warden died: {error!r}")

    def ask(self, op: str, **fields: Any) -> Any:
        ask = Ask(op, 0, time.monotonic(), fields=fields)
        self.history.asks.append(ask)
        before = self.office.line.tries()
        answer = self.office.line.call(op, **fields)
        ask.ok, ask.answered, ask.tries = True, time.monotonic(), self.office.line.tries() - before
        return answer

    def guard(self) -> None:
        found = self.office.line.call("ping")
        if found["paused"] and found["pause_reason"]:
            self.guarded.append(found["pause_reason"])
            time.sleep(self.dice.uniform(0.2, 1.0))
            self.ask("resume")

    def pause(self) -> None:
        self.ask("pause")
        time.sleep(self.dice.choice(STANDS))
        self.ask("resume")

    def pause_lane(self) -> None:
        lane = self.dice.choice([*LANES, "default"])
        self.ask("lane", name=lane, paused=True)
        time.sleep(self.dice.choice(STANDS))
        self.ask("lane", name=lane, paused=False)

    def bound_lane(self) -> None:
        self.ask("lane", name=self.dice.choice(LANES), gpus=self.dice.choice([1, 1, 2, GPUS, None]))

    def disable_gpu(self) -> None:
        gpus = [f"GPU-fake-{n}" for n in self.dice.sample(range(GPUS), self.dice.choice([1, 1, 2]))]
        self.ask("disable", gpus=gpus)
        time.sleep(self.dice.choice(STANDS))
        self.ask("enable", gpus=gpus)

    def drain(self) -> None:
        """Often somebody thinks better of it; else the daemon leaves when nothing runs, and is started again."""
        if self.dice.random() < 0.5:
            return
        age = self.supervisor.age()
        self.supervisor.draining = True  # whichever daemon hears of it
        self.ask("drain")
        until = time.monotonic() + self.dice.choice([0.5, 3.0, 8.0])
        while self.supervisor.age() == age and time.monotonic() < until:
            time.sleep(0.02)
        self.ask("resume")
        self.supervisor.draining = False

    def open_all(self) -> None:
        """On Monday."""
        self.ask("resume")
        for lane in (*LANES, "default"):
            self.ask("lane", name=lane, paused=False, gpus=None)
        self.ask("enable", gpus=[f"GPU-fake-{n}" for n in range(GPUS)])
