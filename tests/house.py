"""An arbiter with everything real below it (journal, runners, files) and recorders for its desk and its feed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from support import unpacked, wait_until

from trainqueue import wire
from trainqueue.actor import SelectingActor, stop_and_join
from trainqueue.arbiter import GPUArbiter
from trainqueue.bench import Bench
from trainqueue.clock import WallClock
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Job, Running
from trainqueue.core.spec import JobSpec
from trainqueue.journal import Journal
from trainqueue.launch import local, verdict
from trainqueue.launch.nursery import Nursery
from trainqueue.messages.arbiter import Open
from trainqueue.messages.clients import Answers, Call, Calls
from trainqueue.service import restore

if TYPE_CHECKING:
    from pathlib import Path

    import pykka

    from trainqueue.core.job import State
    from trainqueue.home import Home
    from trainqueue.settings import AfterReboot


T = TypeVar("T")


class Recorder(SelectingActor):
    """Stands for any actor: keeps what it is told. Use a `Told` to look at it."""

    def __init__(self, told: list[Any]) -> None:
        super().__init__()
        self.told = told

    def receive(self, message: Any) -> None:
        self.told.append(message)


class Told:
    """A recorder and what it has been told so far."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.ref: pykka.ActorRef[Recorder] = Recorder.start(self.messages)

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in [*self.messages] if isinstance(message, kind)]

    def hear(self, kind: type[T]) -> T:
        """Wait for a message of this kind; the first."""
        wait_until(lambda: self.of(kind))
        return self.of(kind)[0]

    def close(self) -> None:
        stop_and_join(self.ref, 5)


class WeakJournal(Journal):
    """A journal whose disk can be made to refuse: nothing of a batch is written then."""

    refuses = False

    def commit(self) -> None:
        if self.refuses and self._db.in_transaction:
            msg = "the test's disk is full"
            raise sqlite3.OperationalError(msg)
        super().commit()


class SteppedClock(WallClock):
    """A wall clock that can be set, for this arbiter only; like the kernel's, it keeps its alarm right."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset
        self.rings = 0
        self._at: float | None = None

    def now(self) -> float:
        return super().now() + self.offset

    def rang(self) -> bool:
        self.rings += 1
        return super().rang()

    def wake_at(self, at: float) -> None:
        self._at = at
        super().wake_at(at - self.offset)

    def step(self, seconds: float) -> None:
        self.offset += seconds
        if self._at is not None:
            self.wake_at(self._at)


class SeenArbiter(GPUArbiter):
    """Puts itself into `seen`, for a look at it from outside."""

    def __init__(self, seen: list[GPUArbiter], *collaborators: Any) -> None:
        super().__init__(*collaborators)
        seen.append(self)


class House:
    """One arbiter on a home; `start` may be called again after `stop`, which writes nothing down any more."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.slots = itertools.count()
        self.on_exit = threading.Event()
        self.crashes: list[BaseException | None] = []
        self.alive = False
        self.seen: list[GPUArbiter] = []
        self.after_reboot: AfterReboot = "continue"
        self.ahead = 0.0
        """By how many seconds the wall clock is ahead of the true one at the next start."""
        self.boot = local.boot_id()

    def start(self, *, opened: bool = True) -> None:
        self.home.prepare()
        self.journal = WeakJournal(self.home.database)
        self.desk, self.feed, self.clock = Told(), Told(), SteppedClock(self.ahead)
        self.on_exit.clear()
        core = Core(["cpu:0"], next_id=self.journal.next_id(), counts=self.journal.ended_counts())
        restore(core, self.journal, self.clock.now())
        bench = partial(Bench, home=self.home, grace=5.0, nursery=Nursery(), on_crash=self.crashes.append)
        self.ref: pykka.ActorRef[SeenArbiter] = SeenArbiter.start(
            self.seen,
            core,
            self.journal,
            self.home,
            {"epoch": "e"},
            bench,
            self.on_exit.set,
            self.crashes.append,
            self.clock,
            self.after_reboot,
        )
        self.actor.bench.boot = self.boot
        self.alive = True
        if opened:
            self.open()

    def open(self, janitor: pykka.ActorRef[Any] | None = None) -> None:
        self.ref.tell(Open(self.desk.ref, self.feed.ref, janitor))

    def stop(self) -> None:
        """What is not on disk by now is forgotten, as in a death."""
        if self.alive:
            self.alive = False
            stop_and_join(self.ref, 10)
            self.seen.clear()
            self.desk.close()
            self.feed.close()
            self.journal.close()
            self.clock.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill_runners(self) -> None:
        """Those that the journal names."""
        for (identity,) in rows(self.home, "SELECT runner FROM attempts"):
            kill(json.loads(identity)["pid"])

    def kill_runner(self, job: int) -> None:
        """That of its first attempt."""
        runner = self.actor.bench.attempts[job, 1].runner
        assert runner is not None
        kill(runner.pid)

    def power_cut(self) -> None:
        """Nothing that ran lives on, and nobody has told what became of it."""
        self.stop()
        self.kill_runners()
        for (pid,) in rows(self.home, "SELECT json_extract(detail, '$.pid') FROM jobs WHERE state = 'running'"):
            kill(-pid)

    def reboot(self) -> None:
        """The machine goes down and comes up again."""
        self.power_cut()
        self.boot = f"after {self.boot}"
        self.start()

    @property
    def actor(self) -> GPUArbiter:
        """To look at, and to break: its thread goes on meanwhile."""
        return self.seen[-1]

    # -- as the desk

    def ask(self, *requests: wire.Request) -> list[int]:
        """Tell the arbiter of these requests at once; their slots."""
        slots = [next(self.slots) for _ in requests]
        calls = [
            Call(cast("wire.AnyRequest", request), "me", slot) for request, slot in zip(requests, slots, strict=True)
        ]
        self.ref.tell(Calls(calls))
        return slots

    def answers(self) -> dict[int, Any]:
        found = [pair for answers in self.desk.of(Answers) for pair in answers.answers]
        assert len(dict(found)) == len(found), "a slot was answered twice"
        return {slot: unpacked(answer) for slot, answer in found}

    def answer(self, slot: int) -> Any:
        wait_until(lambda: slot in self.answers())
        return self.answers()[slot]

    def call(self, request: wire.Request) -> Any:
        """Its result; the test fails when it is refused."""
        answer = self.answer(self.ask(request)[0])
        assert answer["ok"], answer
        return answer["result"]

    def refused(self, request: wire.Request) -> tuple[str, str]:
        """(code, message); the test fails when it is not refused."""
        answer = self.answer(self.ask(request)[0])
        assert not answer["ok"], answer
        return answer["error"]["code"], answer["error"]["message"]

    def submit(self, *argv: str, **fields: Any) -> int:
        result = self.call(wire.Submit(jobs=(job(*argv, **fields),)))
        return int(result["jobs"][0]["id"])

    def verb(self, request: wire.Request) -> str | None:
        """A verb on one job: None, or the code of its refusal."""
        [one] = self.call(request)["jobs"]
        return None if one["ok"] else str(one["error"]["code"])

    def status(self, job: int) -> dict[str, Any]:
        return cast("dict[str, Any]", self.call(wire.Status(job=job))["job"])

    def until(self, job: int, state: str) -> dict[str, Any]:
        def look() -> bool:
            return bool(self.status(job)["state"] == state)

        wait_until(look)
        return self.status(job)

    def armed(self, job: int, attempt: int = 1) -> bool:
        """Whether a runner waits with it, and its row is on disk."""
        found = self.actor.bench.attempts.get((job, attempt))
        return found is not None and found.durable and not found.going

    def until_armed(self, job: int, attempt: int = 1) -> None:
        wait_until(lambda: self.armed(job, attempt))

    def close(self) -> None:
        """End what still runs."""
        if self.alive and not self.ref.is_alive():
            self.restart()
        if self.alive:
            self.journal.refuses = False
            self.ask(wire.Shutdown(jobs="cancel"))
            self.on_exit.wait(10)
            self.stop()


def kill(pid: int) -> None:
    """A process, or for a negative number its group."""
    with contextlib.suppress(ProcessLookupError):
        (os.kill if pid > 0 else os.killpg)(abs(pid), signal.SIGKILL)


def job(*argv: str, **fields: Any) -> JobSpec:
    plain: dict[str, Any] = {"command": argv or ("true",), "cwd": "/", "grace": 0.2}
    return JobSpec(**plain | fields)


def gated(gate: Path, then: str = "exit 0") -> tuple[str, ...]:
    """A command that goes on when `gate` exists."""
    return ("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; {then}")


def rows(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """A look at the database from outside, or a change to it."""
    db = sqlite3.connect(home.database, isolation_level=None)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


class Past:
    """Writes what a daemon that died has left in its home."""

    def __init__(self, house: House) -> None:
        house.stop()
        house.home.prepare()
        self.home = house.home

    def job(self, job_id: int, state: State, identity: dict[str, Any], *argv: str) -> Path:
        """A job and the row of its attempt; the attempt's folder."""
        journal = Journal(self.home.database)
        journal.begin()
        journal.save([Job(job_id, job(*argv), "me", 1.0, 0, job_id, state=state)])
        journal.save_attempt(job_id, 1, identity, state.gpu_ids if isinstance(state, Running) else ())
        journal.commit()
        journal.close()
        folder = self.home.attempt(job_id, 1)
        verdict.prepare(folder)
        return folder
