"""Which ready jobs may stand in the line: a gate lets the foremost of its jobs in, as far as its room goes.

The others are parked beside the line, so that a walk along it never meets 10,000 jobs that may not start. The jobs of
a group pass one gate for each `max_running` that they name, the jobs of a lane one for its GPUs; who has to pass both
passes that of the group first. All active jobs of a group, or of a lane, take up room, whatever they ask for
themselves. Who has been let in holds room, too: so any of them may start, in any order, and no bound is ever exceeded.
A job that comes later and stands further in front takes that room back from one that has not started.

A job that has been let in and finds no GPU lends its room meanwhile: those behind it are let in as if it were not
there, and may start on what it cannot have. Once it could start, it claims its room. Where that has been lent, it
leaves the line, so that its GPU does not stand idle, and lends no more: the next room is its, and stays its until it
starts. So it is passed by others of its lane or group only while it could not start, and no stream starves it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

from trainqueue.core.line import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainqueue.core.job import Job
    from trainqueue.core.lanes import Lanes
    from trainqueue.core.line import Line, Place

LENDERS = 100
"""So many of those inside a gate may lend their room; then those behind them wait."""
Key = tuple[str, str]
"""("group", its name) or ("lane", its name)."""


class Gate:
    """Ready jobs in the order of their places: `inside` are the first of them, which together fit; `outside` the rest.

    A job weighs one in its group, and its GPUs in its lane. Each of those inside fits beside the ones before it that do
    not lend; but a lender may be the last that does not, until it claims its room.
    """

    def __init__(self, key: Key, bound: int) -> None:
        self.key, self.bound = key, bound
        self.inside: SortedDict[Place, Job] = SortedDict()
        self.outside: SortedDict[Place, Job] = SortedDict()
        self.between: dict[int, Job] = {}
        """Those inside that their next gate keeps out."""
        self.load = 0
        """What those inside weigh that do not lend."""
        self.lenders = set[int]()
        """Those inside that do: they found no GPU, or no room at their next gate, and those behind may have theirs."""
        self.lent = 0
        """What they weigh."""
        self.users = 0
        """Jobs whose way leads through it, also those that have not come so far."""

    def weight(self, job: Job) -> int:
        return job.spec.gpus if self.key[0] == "lane" else 1

    def add(self, job: Job) -> None:
        """Outside; `settle` lets it in."""
        self.outside[place(job)] = job

    def remove(self, job: Job) -> None:
        if self.inside.pop(place(job), None) is not None:
            self.switch(job, lends=False)
            self.load -= self.weight(job)
        else:
            self.outside.pop(place(job), None)

    def switch(self, job: Job, *, lends: bool) -> None:
        """One of those inside lends from now on, or does not."""
        if (job.id in self.lenders) == lends:
            return
        weight = self.weight(job) if lends else -self.weight(job)
        self.load -= weight
        self.lent += weight
        (self.lenders.add if lends else self.lenders.discard)(job.id)

    def settle(self, used: int) -> Iterator[tuple[Job, bool]]:
        """Let in and take back until it is right, where so much is used by active jobs: each job, and whether it is in.

        Who consumes it may change the other gates and the line meanwhile.
        """
        room = self.bound - used
        while True:
            fit, full = self._fit(room)
            if fit < len(self.inside):
                yield self._take_back(), False
                continue
            if not self.outside:
                return
            first, job = self.outside.peekitem(0)
            behind = not self.inside or self.inside.peekitem(-1)[0] < first
            if behind and (full or self.load + self.weight(job) > room):
                return
            del self.outside[first]
            self.inside[first] = job
            self.load += self.weight(job)
            yield job, True

    def _fit(self, room: int) -> tuple[int, bool]:
        """How many of those inside may stay, and whether the last of them keeps out whoever is behind it."""
        if not self.lenders:
            return len(self.inside) - (self.load > max(0, room)), False
        if self.load + self.lent <= room:
            return len(self.inside), False
        load = 0
        for at, job in enumerate(self.inside.values()):
            lends = job.id in self.lenders
            if load + self.weight(job) > room:
                return at + (lends and job.id not in self.between), True
            load += 0 if lends else self.weight(job)
        return len(self.inside), False

    def _take_back(self) -> Job:
        last, job = self.inside.popitem()
        self.outside[last] = job
        self.switch(job, lends=False)
        self.load -= self.weight(job)
        return job

    def before(self, job: Job) -> int:
        """How many stand in front of one that is outside, beside those inside."""
        return self.outside.index(place(job))


@dataclass(frozen=True, slots=True)
class Active:
    """What a pending or running job takes up."""

    group: str | None
    lane: str
    gpus: int


class Gates:
    """All of them. Between the books and the line: who is ready comes in through here."""

    def __init__(self, line: Line, lanes: Lanes) -> None:
        self._line, self._lanes = line, lanes
        self._gates: dict[Key, dict[int, Gate]] = {}
        """By bound: jobs of one group may name several."""
        self._paths: dict[int, tuple[Gate, ...]] = {}
        """The gates that a ready job has to pass, where there are any."""
        self._active: dict[int, Active] = {}
        self.used = Counter[Key]()
        """Active jobs of a group, GPUs that a lane holds."""
        self._owed = set[int]()
        """Those whose room was lent when they could have started: they lend no more."""
        self._parting: dict[Gate, None] = {}
        """Gates with somebody `between` them and the next."""
        self.turns = 0
        """Rises when somebody is let into the line, or has to leave it again."""

    # -- waiting jobs

    def add(self, job: Job, *, ready: bool) -> None:
        """Into the line, or beside it until its gates let it in."""
        path = self._path(job) if ready and self._lanes.closed(job.spec) is None else None
        self._line.add(job, ready=path == ())
        if path:
            self._paths[job.id] = path
            for gate in path:
                gate.users += 1
            path[0].add(job)
            self._settle(path[0])

    def remove(self, job: Job) -> None:
        self._line.remove(job)
        for gate in self._drop(job):
            self._settle(gate)

    def _path(self, job: Job) -> tuple[Gate, ...]:
        spec, keys = job.spec, list[tuple[Key, int]]()
        if spec.group is not None and spec.max_running is not None:
            keys.append((("group", spec.group), spec.max_running))
        if spec.gpus and (cap := self._lanes.cap(spec)) is not None:
            keys.append((("lane", self._lanes.name(spec)), cap))
        return tuple([self._gate(key, bound) for key, bound in keys])

    def _gate(self, key: Key, bound: int) -> Gate:
        gates = self._gates.setdefault(key, {})
        if bound not in gates:
            gates[bound] = Gate(key, bound)
        return gates[bound]

    def _drop(self, job: Job) -> tuple[Gate, ...]:
        """From all its gates, without a look at who may come in instead; those that are left."""
        path = self._paths.pop(job.id, ())
        for gate in path:
            gate.remove(job)
            self._part(gate, job, parts=False)
            gate.users -= 1
            if not gate.users:
                del self._gates[gate.key][gate.bound]
                if not self._gates[gate.key]:
                    del self._gates[gate.key]
        if path:
            self._owed.discard(job.id)
        return path

    def _part(self, gate: Gate, job: Job, *, parts: bool) -> None:
        """Whether it is between this one of its gates and the next."""
        if parts:
            gate.between[job.id] = job
            self._parting[gate] = None
        elif gate.between.pop(job.id, None) is not None and not gate.between:
            del self._parting[gate]

    def _settle(self, gate: Gate) -> None:
        again = dict[Gate, None]()
        for job, inside in gate.settle(self.used[gate.key]):
            path = self._paths[job.id]
            if gate is not path[-1]:
                self._part(gate, job, parts=inside)
                (path[1].add if inside else path[1].remove)(job)
                self._settle(path[1])
                if inside:
                    continue
            elif gate is not path[0]:
                self._part(path[0], job, parts=not inside)
                again |= {} if inside else {path[0]: None}
            if self._line.has_ready(job) != inside:
                self._line.remove(job)
                self._line.add(job, ready=inside)
                self.turns += 1
        for first in again:  # where it may not stay that has left the line
            self._settle(first)

    # -- room that is lent

    def lend(self, jobs: Iterable[Job]) -> bool:
        """These stand in the line and find no GPU. Whether somebody has come into it for their room."""
        if not self._paths:
            return False
        before, some, more = self.turns, [*jobs], True
        while more:  # a loan lets somebody in, who may be to lend as well
            more = False
            for job in [*some, *self._parted()]:
                if self._may_lend(job):
                    self._switch(job, lends=True)
                    more = True
        return self.turns != before

    def _parted(self) -> Iterator[Job]:
        """Those that their next gate does not let in: so many that there are enough that may lend."""
        for gate in [*self._parting]:
            if len(gate.lenders) < LENDERS:
                yield from islice(gate.between.values(), 2 * LENDERS)

    def _may_lend(self, job: Job) -> bool:
        inside = [] if job.id in self._owed else self._inside(job)
        keeps = any(job.id not in gate.lenders for gate in inside)
        return keeps and all(len(gate.lenders) < LENDERS for gate in inside)

    def _inside(self, job: Job) -> list[Gate]:
        """The gates that have let it in."""
        return [gate for gate in self._paths.get(job.id, ()) if place(job) in gate.inside]

    def claim(self, job: Job) -> bool:
        """One of the line could start: it needs its room from now on. Else it leaves the line, and is owed it."""
        if any(job.id in gate.lenders for gate in self._paths.get(job.id, ())):
            self._switch(job, lends=False)
            if not self._line.has_ready(job):
                self._owed.add(job.id)
        return self._line.has_ready(job)

    def _switch(self, job: Job, *, lends: bool) -> None:
        for gate in self._inside(job):
            gate.switch(job, lends=lends)
        for gate in self._paths[job.id]:
            self._settle(gate)

    # -- active jobs

    def hold(self, job: Job) -> None:
        """It has become active: what it was let in for it now takes up."""
        spec = job.spec
        self._drop(job)
        self.free(job)
        self._lanes.expect(self._lanes.name(spec))
        self._active[job.id] = active = Active(spec.group, self._lanes.name(spec), spec.gpus)
        self._count(active, 1)

    def free(self, job: Job) -> None:
        """It is not active any more, if it was."""
        active = self._active.pop(job.id, None)
        if active is not None:
            self._count(active, -1)

    def _count(self, active: Active, sign: int) -> None:
        """All is counted first: what one gate lets in another one may bar."""
        keys: list[Key] = [("lane", active.lane)]
        self.used[keys[0]] += sign * active.gpus
        self._lanes.count(active.lane, sign)
        if active.group is not None:
            keys.append(("group", active.group))
            self.used[keys[1]] += sign
        for key in keys:
            for gate in [*self._gates.get(key, {}).values()]:
                self._settle(gate)
            if not self.used[key]:
                del self.used[key]

    # -- what others ask

    def outside(self, job: Job) -> Gate | None:
        """The gate that has not let this ready job in."""
        return next((gate for gate in self._paths.get(job.id, ()) if place(job) in gate.outside), None)

    def lends(self, job: Job) -> bool:
        """Whether nobody is kept out for this one of the line, or with good reason: its room is owed to it."""
        return job.id in self._owed or all(job.id in gate.lenders for gate in self._inside(job))

    def lends_at(self, job: Job, key: Key, bound: int) -> bool:
        gates = [gate for gate in self._paths.get(job.id, ()) if (gate.key, gate.bound) == (key, bound)]
        return any(job.id in gate.lenders for gate in gates)

    def upcoming(self, some: int) -> list[Job]:
        """Those who come in next, as far as it is easy to know."""
        gates = [gate for gates in islice(self._gates.values(), some) for gate in gates.values()]
        return nsmallest(some, (job for gate in gates for job in islice(gate.outside.values(), some)), key=place)

    def renumber(self, ranks: list[tuple[Job, int]]) -> None:
        """Give them other ranks, with which each stands where it has stood, here and in the line."""
        stood = [(job, rank, self._holding(job)) for job, rank in ranks]
        for job, _, parts in stood:
            for part in parts:
                del part[place(job)]
        for job, rank, parts in stood:
            job.rank = rank
            for part in parts:
                part[place(job)] = job
        self._line.touched = ()

    def _holding(self, job: Job) -> list[SortedDict[Place, Job]]:
        of_gates = [part for gate in self._paths.get(job.id, ()) for part in (gate.inside, gate.outside)]
        return [part for part in (*self._line.parts(), *of_gates) if place(job) in part]

    def all(self) -> Iterator[Gate]:
        for gates in self._gates.values():
            yield from gates.values()
