"""The Armourer actor: gets runners ready, so that the arbiter never waits for a fork or a folder.

It keeps idle runners, which have everything imported, and arms one with an attempt when the arbiter asks: the
attempt's folder is made and the runner told what to run. A runner that has done its attempt comes back, since a
fresh one costs two milliseconds. It owns what is idle; what is armed belongs to the bench.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, assert_never

import pykka

from trainqueue.actor import SelectingActor
from trainqueue.launch import verdict
from trainqueue.launch.nursery import known
from trainqueue.messages.runners import Arm, Armed, ArmFailed, Spare, ToArmourer, Trim, Warm

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from trainqueue.launch.local import Runner
    from trainqueue.launch.nursery import Nursery

IDLE, MOST_SPARE = 2, 20
"""Runners kept ready, and how many that have done an attempt are kept at most."""
REST = 10.0
"""Seconds after which a row of short jobs is taken to be over."""


class Armourer(SelectingActor):
    """Tells `arbiter` of each attempt `Armed` or `ArmFailed`."""

    def __init__(
        self, arbiter: pykka.ActorRef[Any], nursery: Nursery, on_crash: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__(on_crash)
        self.arbiter, self.nursery = arbiter, nursery
        self.idle: deque[socket] = deque()
        """Our ends of runners that are being forked, or were and have not been used."""
        self.spare: deque[Runner] = deque()
        """Runners that have done an attempt."""
        self.trimming = False

    def receive(self, message: ToArmourer) -> None:
        match message:
            case Arm():
                self._arm(message)
            case Spare(runner):
                self._keep(runner)
            case Trim():
                self.trimming = False
                self._trim(IDLE)
            case Warm():
                with contextlib.suppress(OSError):  # the next `Arm` says why
                    self._warm()
            case _:
                assert_never(message)

    def _arm(self, message: Arm) -> None:
        try:
            self._warm()
            verdict.prepare(message.folder)
            runner = self._armed(message)
            told: object = Armed(message.job, message.attempt, runner)
        except OSError as error:
            told = ArmFailed(message.job, message.attempt, error.strerror or str(error))
        with contextlib.suppress(pykka.ActorDeadError):
            self.arbiter.tell(told)

    def _armed(self, message: Arm) -> Runner:
        """Raises OSError when no runner can be had."""
        while self.spare or self.idle:
            with contextlib.suppress(OSError):  # this one has died meanwhile
                runner = self.spare.popleft() if self.spare else known(self.idle.popleft())
                runner.arm(message.folder, message.handed)
                return runner
        runner = known(self.nursery.order())
        runner.arm(message.folder, message.handed)
        return runner

    def _keep(self, runner: Runner) -> None:
        self.spare.append(runner)
        self._trim(MOST_SPARE)
        if len(self.spare) > IDLE and not self.trimming:
            self.trimming = True
            self.inbox.after(REST, Trim())

    def _trim(self, most: int) -> None:
        while len(self.spare) > most:
            self.spare.popleft().close()

    def _warm(self) -> None:
        while len(self.idle) + len(self.spare) < IDLE:
            self.idle.append(self.nursery.order())

    def release(self) -> None:
        """Idle runners exit when we hang up."""
        for sock in self.idle:
            sock.close()
        for runner in self.spare:
            runner.close()
        self.idle.clear()
        self.spare.clear()
        self.nursery.close()
