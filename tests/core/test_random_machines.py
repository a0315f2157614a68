"""Random lives of a machine with several GPUs: whatever happens, a job only ever starts on GPUs that are free in truth
(the machine looks, see machine.py), and once the world is quiet again, everything ends up started.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from core.machine import GIB, SICK, Machine, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import events as ev
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.core.lanes import Choice, Lane
from trainqueue.core.limits import Limits
from trainqueue.core.past import Runs
from trainqueue.core.why import why
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from core.machine import Card

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec

GPUS = 3
LITTLE = 200 * 2**20
"""Bytes that may stay in use after one job."""
PREFIX = "GPU-fake"
"""The beginning of all their names."""


class Peaks:
    """Of the last run of whatever command."""

    peak: int | None = None

    def runs(self, spec: JobSpec) -> Runs:
        del spec
        return Runs(peak_memory=self.peak)


class Life:
    """Chooses what happens next, each thing as often as the others: only then do the long stories happen."""

    def __init__(self, random: Random) -> None:
        self.some, self.past = random.choice, Peaks()
        self.machine = Machine(GPUS, Limits(lanes={"debug": Lane(gpus=2)}), past=self.past)
        for card in self.machine.cards:
            card.id = f"{PREFIX}-{card.index}"
        self.hides = self.chance()
        """In half of all lives it is always known how much memory is whose: only then can all be checked."""
        self.leaks = self.chance()
        """In half of all lives each job leaves a little behind for good, which must not add up."""

    def chance(self) -> bool:
        return self.some([True, False])

    def rarely(self) -> bool:
        """Trouble is rarer than its end, else nothing ever runs."""
        return self.some([True, False, False, False, False])

    def wanted(self) -> JobSpec:
        named = self.some([(), (), (0, 1, 2), (0, 1, 2), (f"{PREFIX}-1",), (PREFIX,)])
        gpus = self.some([0, 1, 1, 1, 2, GPUS]) if len(named) != 1 else 1
        group, bound = self.some([(None, None), (None, None), ("g", None), ("g", 1), ("g", 2)])
        return spec(
            gpus=gpus,
            group=group,
            max_running=bound,
            lane="debug" if gpus < GPUS and self.rarely() else None,
            gpu_memory=self.some([None, None, 6 * GIB, 12 * GIB, "auto"]),
            gpu_from=named,
            hold=self.some([False, False, False, True]),
            retries={"exit": 1} if self.chance() else {},
            retry_delay=self.some([None, 1.0]),
        )

    def card(self) -> Card:
        return self.some(self.machine.cards)

    def job(self, *states: type) -> Job | None:
        some = [job for job in self.machine.core.jobs.values() if isinstance(job.state, states)]
        return self.some(some) if some else None

    # -- what may happen

    def step(self) -> None:
        machine = self.machine
        choices: list[Callable[[], object]] = [
            lambda: machine.submit(*[self.wanted() for _ in range(self.some([1, 2, 3]))]),
            self.begin,
            self.end,
            self.end,
            self.cancel,
            self.order,
            self.void,
            self.stranger,
            self.strangers_leave,
            self.memory_comes_back,
            self.lose,
            self.sicken,
            self.switch,
            self.timer,
            self.timer,
            machine.see,
            lambda: machine.see(processes=False),
            lambda: machine.begin_look([self.card().id, self.card().id]),
            machine.go_on,
            lambda: self.card().xids.append(79 if self.rarely() else 31),
            lambda: machine.do(ev.SetMode(paused=self.rarely(), draining=False)),
            lambda: machine.do(ev.SetLane(self.some(["default", "debug"]), Choice(paused=self.rarely()))),
            lambda: machine.do(ev.Block("the disk is full")) if self.rarely() else None,
            self.retry,
            self.hide,
            self.fall_silent,
            lambda: machine.restart() if self.rarely() else None,
        ]
        if machine.looks:
            choices += [machine.answer] * 4
            choices.append(lambda: machine.begin_look([self.card().id], asked=True))
            choices.append(lambda: machine.answer(lacking=[self.card().id]))
        self.some(choices)()
        for job in machine.core.jobs.values():
            assert all(why(machine.core, job, machine.now)) == isinstance(job.state, Queued)
        for card in machine.core.board.cards:
            machine.core.use(card)

    def begin(self) -> None:
        job = self.job(Pending)
        if job is not None:
            share = job.state.share if isinstance(job.state, Pending) else None
            self.machine.run(job.id, self.some([GIB, share or 20 * GIB]))

    def end(self) -> None:
        job = self.job(Running, Pending)
        if job is not None:
            if job.gpu_ids:
                self.past.peak = self.some([None, 4 * GIB, 40 * GIB])
            lingers, code = self.some([LITTLE] if self.leaks else [0, 0, LITTLE, 3 * GIB]), self.some([0, 1])
            self.machine.end(job.id, code, lingers=lingers, listed=self.chance() and self.chance())

    def cancel(self) -> None:
        job = self.job(Queued, Running)
        if job is not None:
            self.machine.do(ev.Cancel(job.id))

    def order(self) -> None:
        job = self.job(Running)
        if job is not None:
            orders: list[ev.Event] = [ev.Suspend(job.id, 2.0), ev.Continue(job.id, 3.0), ev.Preempt(job.id)]
            with contextlib.suppress(RequestError):
                self.machine.do(self.some(orders))

    def void(self) -> None:
        job = self.job(Pending)
        if job is not None:
            self.machine.do(ev.AttemptVoid(job.id, job.attempt))

    def stranger(self) -> None:
        self.machine.go_on()  # nobody can know of one that comes behind the back of a look
        unknown = self.hides and self.chance()
        self.machine.stranger(self.card().id, None if unknown else GIB, ignored=not self.rarely())

    def hide(self) -> None:
        card = self.card()
        card.blind = self.hides and not card.blind

    def fall_silent(self) -> None:
        card = self.card()
        card.silent = not card.silent and self.rarely()

    def retry(self) -> None:
        """Somebody wants a job again that has ended."""
        ended = {change.job.id: change.job for change in self.machine.changed if change.job.ended}
        some = [job for job in ended.values() if job.id not in self.machine.core.jobs]
        if some:
            self.machine.do(ev.Retry(self.some(some).snapshot()))

    def strangers_leave(self) -> None:
        """Now and then the driver drops them from its list, and they have their memory still."""
        self.machine.go_on()
        card = self.card()
        board = self.machine.core.board
        known = board.cards.get(card.id) or board.away.get(card.id)
        measured = known is None or not known.forgiven  # else it is part of what a person takes for lost
        if measured and any(process.job is None for process in card.processes) and self.rarely():
            card.lingers += 3 * GIB
        card.processes = [process for process in card.processes if process.job is not None]

    def memory_comes_back(self) -> None:
        """And the driver drops the processes of jobs that have gone from its lists."""
        card, active = self.card(), self.machine.core.leases.active
        card.lingers = card.lingers if self.leaks else 0
        card.processes = [process for process in card.processes if process.job is None or active(process.job)]

    def lose(self) -> None:
        self.machine.go_on()  # nor of this
        card = self.card()
        card.lost = not card.lost and self.rarely()

    def sicken(self) -> None:
        self.machine.driver = SICK if self.machine.driver is None and self.rarely() else None

    def switch(self) -> None:
        card, enabled = self.card(), not self.rarely()
        known = self.machine.core.board.cards.get(card.id)
        waits = known is not None and known.seen and (known.overdue or known.nobodys)
        waits = waits or (known is not None and known.seen and known.enabled and known.proof is not None)
        if enabled and waits and not self.machine.core.leases.on(card.id):  # a person says that it is lost for good
            card.rest, card.lingers = card.rest + card.lingers, 0
        with contextlib.suppress(RequestError):
            self.machine.do(ev.SetGpu(card.id, enabled=enabled))

    def timer(self) -> None:
        if self.machine.timers:
            self.machine.do(self.machine.timers.pop(self.some(range(len(self.machine.timers)))))

    # -- and in the end

    def quiet(self) -> None:
        """All is well again, nobody disturbs; every job ends as soon as it can."""
        machine, core = self.machine, self.machine.core
        machine.driver = None
        for card in machine.cards:
            card.lost, card.lingers, card.blind, card.silent = False, 0, False, False
            card.processes = [process for process in card.processes if process.job in core.leases.on(card.id)]
        machine.see()
        for card in machine.cards:
            machine.do(ev.SetGpu(card.id, enabled=True))
        machine.do(ev.SetMode(paused=False, draining=False))
        for lane in core.lanes.all:
            machine.do(ev.SetLane(lane, Choice(paused=False)))
        for job in [job.id for job in core.jobs.values() if job.spec.gpu_from == (PREFIX,)]:
            machine.do(ev.Cancel(job))  # with all GPUs there, nobody knows which one it means
        for job in [job.id for job in core.jobs.values() if isinstance(job.state, Queued) and job.state.held]:
            machine.do(ev.Release(job))
        for _ in range(200):
            for gpu in [known.id for known in core.board.cards.values() if known.overdue and self.hides]:
                machine.do(ev.SetGpu(gpu, enabled=True))  # what it had to come back to nobody could know
            while machine.timers:
                machine.do(machine.timers.pop(0))
            while machine.looks:
                machine.answer()
            for job in [job.id for job in core.jobs.values() if isinstance(job.state, Pending | Running)]:
                machine.end(job)
            machine.do(ev.Tick())
            machine.see()
            if not core.jobs:
                return
        raise AssertionError([why(core, job, machine.now) for job in core.jobs.values()])


@pytest.mark.parametrize("examples", [50, pytest.param(1000, marks=pytest.mark.soak)], ids=["some", "many"])
def test_gpus_are_given_out_only_when_free_and_all_jobs_start_in_the_end(examples: int) -> None:
    started = 0

    @settings(max_examples=examples, deadline=None)
    @given(st.randoms(use_true_random=True))
    def live(random: Random) -> None:
        nonlocal started
        life = Life(random)
        life.machine.see()
        for _ in range(random.randrange(50, 250)):
            life.step()
        started += len(life.machine.started)
        life.quiet()

    live()
    assert started > 100, "lives in which nothing happens show nothing"
