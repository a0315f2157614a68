"""Random lives of a machine with several GPUs: whatever happens, a job only ever starts on GPUs that are free in truth
(the machine looks, see machine.py), and once the world is quiet again, everything ends up started.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from core.machine import GIB, SICK, Machine, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import events as ev
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.core.why import why
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.machine import Card

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec

GPUS = 3


class Life:
    """Draws what happens next."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw, self.machine = data.draw, Machine(GPUS)

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def wanted(self) -> JobSpec:
        draw = self.draw
        return spec(
            gpus=draw(st.sampled_from([0, 1, 1, 1, 2, GPUS])),
            gpu_memory=draw(st.sampled_from([None, None, 6 * GIB, 12 * GIB])),
            gpu_from=(0, 1, 2) if self.chance() else (),
            hold=draw(st.sampled_from([False, False, False, True])),
            retries={"exit": 1} if self.chance() else {},
        )

    def card(self) -> Card:
        return self.draw(st.sampled_from(self.machine.cards))

    def job(self, *states: type) -> Job | None:
        some = [job for job in self.machine.core.jobs.values() if isinstance(job.state, states)]
        return self.draw(st.sampled_from(some)) if some else None

    # -- what may happen

    def step(self) -> None:
        machine = self.machine
        choices: list[Callable[[], object]] = [
            lambda: machine.submit(*[self.wanted() for _ in range(self.draw(st.integers(1, 3)))]),
            self.begin,
            self.end,
            self.end,
            self.cancel,
            self.void,
            self.stranger,
            self.strangers_leave,
            self.memory_comes_back,
            self.lose,
            self.sicken,
            self.switch,
            self.timer,
            machine.see,
            lambda: machine.see(processes=False),
            lambda: self.card().xids.append(self.draw(st.sampled_from([31, 79]))),
            lambda: machine.do(ev.SetMode(paused=self.chance(), draining=False)),
            lambda: machine.do(ev.Block("the disk is full")),
        ]
        if machine.looks:
            choices += [machine.answer] * 4
            choices.append(lambda: machine.answer(lacking=[self.card().id]))
        self.draw(st.sampled_from(choices))()
        for job in machine.core.jobs.values():
            assert all(why(machine.core, job, machine.now)) == isinstance(job.state, Queued)
        for card in machine.core.board.cards:
            machine.core.use(card)

    def begin(self) -> None:
        job = self.job(Pending)
        if job is not None:
            share = job.state.share if isinstance(job.state, Pending) else None
            self.machine.run(job.id, self.draw(st.sampled_from([GIB, share or 20 * GIB])))

    def end(self) -> None:
        job = self.job(Running, Pending)
        if job is not None:
            lingers, code = self.draw(st.sampled_from([0, 0, 3 * GIB])), self.draw(st.sampled_from([0, 1]))
            self.machine.end(job.id, code, lingers=lingers, listed=self.chance() and self.chance())

    def cancel(self) -> None:
        job = self.job(Queued, Running)
        if job is not None:
            self.machine.do(ev.Cancel(job.id))

    def void(self) -> None:
        job = self.job(Pending)
        if job is not None:
            self.machine.do(ev.AttemptVoid(job.id, job.attempt))

    def stranger(self) -> None:
        self.machine.stranger(self.card().id, self.draw(st.sampled_from([None, GIB])), ignored=self.chance())

    def strangers_leave(self) -> None:
        card = self.card()
        card.processes = [process for process in card.processes if process.job is not None]

    def memory_comes_back(self) -> None:
        """And the driver drops the processes of jobs that have gone from its lists."""
        card, active = self.card(), self.machine.core.leases.active
        card.lingers = 0
        card.processes = [process for process in card.processes if process.job is None or active(process.job)]

    def lose(self) -> None:
        card = self.card()
        card.lost = not card.lost

    def sicken(self) -> None:
        self.machine.driver = SICK if self.machine.driver is None else None

    def switch(self) -> None:
        card, enabled = self.card(), self.chance()
        known = self.machine.core.board.cards.get(card.id)
        if enabled and known is not None and known.overdue:  # a person says that it is lost for good
            card.rest, card.lingers = card.rest + card.lingers, 0
        with contextlib.suppress(RequestError):
            self.machine.do(ev.SetGpu(card.id, enabled=enabled))

    def timer(self) -> None:
        if self.machine.timers:
            self.machine.do(self.machine.timers.pop(self.draw(st.integers(0, len(self.machine.timers) - 1))))

    # -- and in the end

    def quiet(self) -> None:
        """All is well again, nobody disturbs; every job ends as soon as it can."""
        machine, core = self.machine, self.machine.core
        machine.driver = None
        for card in machine.cards:
            card.lost, card.lingers = False, 0
            card.processes = [process for process in card.processes if process.job in core.jobs]
        machine.see()
        for card in machine.cards:
            machine.do(ev.SetGpu(card.id, enabled=True))
        machine.do(ev.SetMode(paused=False, draining=False))
        for job in [job.id for job in core.jobs.values() if isinstance(job.state, Queued) and job.state.held]:
            machine.do(ev.Release(job))
        for _ in range(200):
            while machine.timers:
                machine.do(machine.timers.pop(0))
            while machine.looks:
                machine.answer()
            for job in [job.id for job in core.jobs.values() if isinstance(job.state, Pending | Running)]:
                machine.end(job)
            if not core.jobs:
                return
        raise AssertionError([why(core, job, machine.now) for job in core.jobs.values()])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_start_is_only_ever_on_free_gpus_and_all_is_started_in_the_end(data: st.DataObject) -> None:
    life = Life(data)
    life.machine.see()
    for _ in range(data.draw(st.integers(1, 50))):
        life.step()
    life.quiet()
