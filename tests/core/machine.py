"""A pretend machine around a core: GPUs with processes and memory, a watch that answers looks, timers, runners.

Whenever the core starts a job, the machine checks that its GPUs are free in truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Pending, Running
from trainqueue.core.limits import Limits
from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.core.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trainqueue.core.past import Past

GIB = 2**30
STEP = 0.4
"""Seconds between events: several fit into the time that a plan holds for."""
SICK = "the NVIDIA driver does not answer: restart the machine"


def spec(**fields: Any) -> JobSpec:
    return JobSpec(command=("true",), cwd="/", **fields)


@dataclass
class Card:
    """A GPU of 24 GiB. `rest` is in use beside all processes; `lingers` is what an ended job has left behind."""

    id: str
    index: int
    name: str = "Fake GPU"
    total: int = 24 * GIB
    rest: int = GIB // 4
    lingers: int = 0
    lost: bool = False
    blind: bool = False
    """The driver does not say how much of its memory is in use."""
    silent: bool = False
    """The driver does not list its processes."""
    hidden: bool = False
    """For a while nobody could know how much memory was whose: what has come back nobody can know either."""
    processes: list[Process] = field(default_factory=list[Process])
    xids: list[int] = field(default_factory=list[int])

    def reading(self, *, processes: bool) -> Reading:
        used = None if self.blind else self.rest + self.lingers + sum(one.memory or 0 for one in self.processes)
        xids, self.xids = tuple(self.xids), []
        listed = tuple(self.processes) if processes and not self.silent else None
        self.hidden = self.hidden or self.blind or any(process.memory is None for process in self.processes)
        return Reading(self.id, self.index, self.name, self.total, memory_used=used, processes=listed, xids=xids)

    def promised(self, shares: Mapping[int, int | None]) -> int:
        """Bytes in use when each of its jobs has taken its share, or as much more as it has already."""
        used = {job: sum(process.memory or 0 for process in self.of(job)) for job in shares}
        others = sum(process.memory or 0 for process in self.processes if process.job not in shares)
        return self.rest + self.lingers + others + sum(max(used[job], share or 0) for job, share in shares.items())

    def of(self, job: int) -> list[Process]:
        return [process for process in self.processes if process.job == job]


class Machine:
    """`looks` and `timers` are what the core has asked for and nobody has done yet."""

    def __init__(self, gpus: int, limits: Limits | None = None, past: Past | None = None, **options: Any) -> None:
        self.cards = [Card(f"GPU-{at}", at) for at in range(gpus)]
        self.core = Core([], limits=limits or Limits(), past=past, **options)
        self.driver: str | None = None
        self.half: tuple[Sighting, fx.Look | None] | None = None
        """A look that has read some of the GPUs, and stays at the next one for a while."""
        self.looks: list[fx.Look] = []
        self.timers: list[ev.Event] = []
        self.started: list[int] = []
        self.told: list[fx.GpuChanged] = []
        self.changed: list[fx.Changed] = []
        self.explained: list[fx.Explained] = []
        self.now = 1000.0
        self._pid = 100

    def restart(self) -> None:
        """Another daemon, with what the journal has. Looks and timers are forgotten with the one before."""
        before = self.core
        self.core = Core([], limits=before.limits, past=before.past, next_id=before.next_id)
        self.core.restore(
            before.jobs.values(),
            {},
            self.now,
            paused=before.paused,
            draining=before.draining,
            crashes=before.guard.row,
            choices=before.choices(),
            lanes=before.lanes.choices,
            traces=before.traces(),
        )
        self.looks, self.timers, self.half = [], [], None
        self.do(ev.Tick())

    def do(self, event: ev.Event) -> list[fx.Effect]:
        self.now += STEP
        effects = self.core.handle(event, self.now)
        for effect in effects:
            match effect:
                case fx.Start(job, gpu_ids):
                    self._start(job.id, gpu_ids)
                case fx.Look():
                    self.looks.append(effect)
                case fx.ProveWithin(_, gpu, proof):
                    self.timers.append(ev.ProofOverdue(gpu, proof))
                case fx.SettleAfter(_, job_id, attempt):
                    self.timers.append(ev.Settled(job_id, attempt))
                case fx.UnblockAfter(_, block):
                    self.timers.append(ev.Unblock(block))
                case fx.GpuChanged():
                    self.told.append(effect)
                case fx.Explained():
                    self.explained.append(effect)
                case fx.Changed():
                    self.changed.append(effect)
                case _:
                    pass
        self.core.validate()
        return effects

    def card(self, gpu: str) -> Card:
        return next(card for card in self.cards if card.id == gpu)

    def _start(self, job: int, gpu_ids: Collection[str]) -> None:
        self.started.append(job)
        assert self.driver is None or not gpu_ids
        for card in map(self.card, gpu_ids):
            tenants = self.core.leases.on(card.id)
            known = self.core.board.cards[card.id]
            assert not card.lost
            assert known.enabled
            assert [process for process in card.processes if process.job not in tenants and not process.ignored] == []
            if card.hidden:
                continue
            if len(tenants) > 1:
                assert card.promised(tenants) <= card.total, f"it may be too much for {card}: {tenants}"
            else:
                assert card.lingers <= self.core.limits.release_tolerance, f"memory of another job is on {card}"

    # -- the watch

    def see(self, *, processes: bool = True) -> list[fx.Effect]:
        """A round over all GPUs, which nobody has asked for."""
        self.go_on()
        return self.do(ev.Seen(self._sighting(self.cards, processes=processes)))

    def answer(self, lacking: Collection[str] = ()) -> list[fx.Effect]:
        """The oldest look, with what is true now; without the GPUs that are `lacking`."""
        self.go_on()
        look = self.looks.pop(0)
        return self.do(ev.Seen(self._sighting(self._asked(look, lacking), look)))

    def begin_look(self, first: Collection[str], *, asked: bool = False) -> None:
        """A round, or the oldest look, that reads these GPUs now, and the others when it goes on."""
        self.go_on()
        look = self.looks.pop(0) if asked else None
        cards = self.cards if look is None else self._asked(look)
        self.half = self._sighting([card for card in cards if card.id in first], look), look

    def go_on(self) -> list[fx.Effect]:
        """It is told, before any other begins."""
        if self.half is None:
            return []
        (early, look), self.half = self.half, None
        read = {reading.id: reading for reading in early.readings}
        cards = self.cards if look is None else self._asked(look)
        late = self._sighting([card for card in cards if card.id not in read and not card.lost], look)
        return self.do(ev.Seen(replace(late, readings=() if late.trouble else (*early.readings, *late.readings))))

    def _asked(self, look: fx.Look, lacking: Collection[str] = ()) -> list[Card]:
        return [card for card in self.cards if card.id in look.gpu_ids and card.id not in lacking]

    def _sighting(self, cards: Collection[Card], look: fx.Look | None = None, *, processes: bool = True) -> Sighting:
        answers = () if look is None else (look.number,)
        if self.driver is not None:
            return Sighting(trouble=self.driver, answers=answers)
        there = tuple(card.reading(processes=processes) for card in cards if not card.lost)
        return Sighting(there, whole=look is None, answers=answers)

    def round(self) -> None:
        """A round, and the looks that it leads to."""
        self.see()
        self.answer_all()

    def answer_all(self, most: int = 50) -> None:
        """Also the looks that follow from the answers; not those that have a delay, which may go on for long."""
        while any(look.after == 0.0 for look in self.looks):
            self.answer()
            most -= 1
            assert most > 0, "looks without end"

    # -- jobs

    def submit(self, *specs: JobSpec) -> list[int]:
        before = self.core.next_id
        self.do(ev.Submit(specs or (spec(),), "me"))
        return [*range(before, self.core.next_id)]

    def run(self, job: int, memory: int = 6 * GIB) -> None:
        """Its process begins, with so much memory on each of its GPUs."""
        self.do(ev.AttemptStarted(job, self.core.jobs[job].attempt, 4242, self.now, 1.0))
        for gpu in self.core.jobs[job].gpu_ids:
            self._pid += 1
            self.card(gpu).processes.append(Process(self._pid, memory, job, "me", "python"))

    def end(self, job: int, code: int = 0, *, lingers: int = 0, listed: bool = False) -> list[fx.Effect]:
        """Its processes go, except that the driver may still list them, or hold some of their memory."""
        state = self.core.jobs[job].state
        assert isinstance(state, Pending | Running)
        for card in map(self.card, state.gpu_ids):
            ran = bool(card.of(job))
            card.lingers += lingers if ran else 0
            if not listed:
                self.reap(card, job)
        reason: Any = "preempt" if getattr(state, "preempting", False) else None
        result = ev.Result(code, None, reason, "", self.now, self.now)
        return self.do(ev.AttemptEnded(job, self.core.jobs[job].attempt, result))

    def reap(self, card: Card, job: int) -> None:
        card.processes = [process for process in card.processes if process.job != job]

    def stranger(self, gpu: str, memory: int | None = 6 * GIB, *, ignored: bool = False) -> Process:
        self._pid += 1
        made = Process(self._pid, memory, None, "eve", "python", ignored=ignored)
        self.card(gpu).processes.append(made)
        return made

    def state(self, job: int) -> str:
        return self.core.jobs[job].state.name if job in self.core.jobs else "ended"


def running(gpus: int = 1, **options: Any) -> Machine:
    """A machine whose GPUs have been seen once, with a job running on the first."""
    machine = Machine(gpus, **options)
    machine.see()
    [job] = machine.submit()
    machine.answer_all()
    machine.run(job)
    return machine
