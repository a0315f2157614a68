"""The GPUs as they are known, and the one place that judges them: usable, foreign, unhealthy, waiting for memory.

A GPU is usable when it is healthy and enabled, no stranger is on it, and no proof is open. A proof is the wait that
begins when a job leaves a measured GPU: it is over when no process of a job that has left is listed on it and, with
nobody on it, its memory is back. `residual` is what is in use beside the listed processes of strangers; the least of
it with which a GPU was ever leased out of idleness is its baseline, which it must come back to: what each job leaves
behind must not add up. Much memory that nobody uses who is listed opens a proof as well, since somebody must use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainqueue.core.card import Card
from trainqueue.core.effects import GpuChanged, ProveWithin
from trainqueue.core.job import Failed
from trainqueue.core.limits import UNKNOWN_BASELINE
from trainqueue.core.reading import Reading
from trainqueue.core.slot import Slot, Tenant
from trainqueue.core.words import number
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import Job
    from trainqueue.core.leases import Leases
    from trainqueue.core.limits import Limits
    from trainqueue.core.reading import Process, Sighting

LONG = 600.0
"""Seconds: a stranger who has been on a GPU for less may leave at any moment."""
NEAR_ITS_SHARE = 0.9
"""A job that uses so much of its share has reached its peak."""
Use = Literal["held", "foreign", "memory", "reserved", "unhealthy", "disabled", "free"]


class Board:
    """Cards by GPU id, in the order of their indices. Leases say who holds them."""

    def __init__(self, gpu_ids: Iterable[str], leases: Leases, limits: Limits) -> None:
        """`gpu_ids` are of GPUs that are not measured: nothing is ever seen of them but that they are there."""
        self._leases, self._limits = leases, limits
        self.cards: dict[str, Card] = {}
        self.choices: dict[str, bool] = {}
        """What people have enabled and disabled, which goes before the settings."""
        self.trouble: str | None = None
        """What is wrong with the driver; no measured GPU is healthy then."""
        self.now = 0.0
        """Of the step under way, by the wall clock."""
        self.known = False
        """Somebody has seen which GPUs there are."""
        self.proving: dict[str, None] = {}
        """Those with an open proof that is not overdue."""
        self.away: dict[str, Card] = {}
        """What an earlier daemon knew of GPUs that are not there. They may come back."""
        self._proofs = 0
        for index, gpu in enumerate(gpu_ids):
            self.known = True
            self._add(Card(Reading(gpu, index, gpu, None, measured=False)))

    def _add(self, card: Card) -> Card:
        card.enabled = self._is_enabled(card)
        card.told = (True, card.enabled)
        self.cards[card.id] = card
        return card

    def expect(self, gpu: str) -> Card:
        """The GPU's card, also where nobody has seen it yet: an earlier daemon's job holds it."""
        return self.cards.get(gpu) or self._add(Card(Reading(gpu, 0, "", None), seen=False))

    def find(self, name: str | int) -> Card:
        """By UUID or index. Raises RequestError ("not-found")."""
        cards = [card for card in self.cards.values() if card.seen]
        found = [card for card in cards if card.id == name] or [card for card in cards if card.name == str(name)]
        if not found:
            raise RequestError("not-found", f"there is no GPU {name}")
        return min(found, key=lambda card: card.lost)

    # -- what is seen

    def merge(self, sighting: Sighting) -> list[tuple[Card, Reading]]:
        """The cards of which it tells something, and what."""
        self.trouble = sighting.trouble
        if sighting.trouble is not None:
            return []
        self.known = self.known or sighting.whole
        told = [(self._merge(reading), reading) for reading in sighting.readings]
        if sighting.whole:
            there = {reading.id for reading in sighting.readings}
            filled = {place for reading in sighting.readings for place in (reading.id, reading.part_of)} - {None}
            for card in [card for gpu, card in self.cards.items() if gpu not in there]:
                card.lost, card.replaced = True, not filled.isdisjoint((card.id, card.reading.part_of))
                self.drop_gone(card)
        places = [card.reading.index for card in self.cards.values()]
        if places != sorted(places):
            self.cards = dict(sorted(self.cards.items(), key=lambda item: item[1].reading.index))
        return told

    def _merge(self, reading: Reading) -> Card:
        card = self.cards.get(reading.id) or self._add(self._back(reading.id) or Card(reading))
        moved = not card.seen or card.reading.index != reading.index
        card.merge(reading)
        if moved:
            card.enabled = self._is_enabled(card)
        if card.reading.memory_total is not None:
            self._leases.sizes[card.id] = card.reading.memory_total
        if not reading.measured:
            self.end_proof(card)
        return card

    def _back(self, gpu: str) -> Card | None:
        return self.away.pop(gpu) if gpu in self.away else None

    def drop_gone(self, card: Card) -> None:
        """Without a job it is nothing: not there, and nobody of this daemon has seen it, or others are in its place."""
        if card.lost and (card.replaced or not card.seen) and not self._leases.on(card.id):
            if not card.replaced:
                self.away[card.id] = card
                card.due = card.due or card.proof is not None
            self.end_proof(card)
            del self.cards[card.id]

    def judge(self, card: Card) -> ProveWithin | None:
        """What the newest list of its processes says of them, and of its memory."""
        processes, total = card.reading.processes or (), card.reading.memory_used
        strangers = [process.memory for process in processes if self._is_stranger(card, process)]
        known = [memory for memory in strangers if memory is not None]
        unknown = total is None or len(known) < len(strangers)
        card.strange_since = (card.strange_since or self.now) if self.strangers(card) else None
        card.residual = None if unknown else max(0, (total or 0) - sum(known))
        if card.forgiven and card.residual is not None:
            card.forgiven, card.baseline = False, self._unexplained(card)
        tenants = self._leases.on(card.id)
        for job, share in tenants.items():
            parts = [process.memory for process in processes if process.job == job and process.memory is not None]
            if parts:
                card.used[job] = sum(parts)
                if share is not None and card.used[job] >= NEAR_ITS_SHARE * share:
                    card.settled.add(job)
        if tenants and self._accepted(card) and card.residual is not None:
            beside = card.residual - self._listed(card, strangers=False)
            card.baseline = min(self._accepted(card), max(UNKNOWN_BASELINE, beside))
        ours = {process.pid: process.job for process in processes if process.job is not None}
        left = {pid: job for pid, job in ours.items() if not self._leases.active(job)}
        card.lingering = tuple(left)
        if card.proof is not None:
            return None
        if card.due:
            return self.begin_proof(card, None)
        if left:
            return self.begin_proof(card, next(iter(left.values())))
        if tenants or self.strangers(card) or self._is_back(card, nobodys=True):
            return None
        return self.begin_proof(card, None, nobodys=True)

    def seems_proven(self, card: Card) -> bool:
        """Whether what was last seen of it is what the proof waits for."""
        if card.proof is None or card.lingering:
            return False
        return bool(self._leases.on(card.id)) or self._is_back(card, nobodys=card.nobodys)

    def _is_stranger(self, card: Card, process: Process) -> bool:
        """Not of a job of this GPU, nor of one that has just left it."""
        if process.job is None:
            return True
        return process.job not in self._leases.on(card.id) and self._leases.active(process.job)

    def strangers(self, card: Card) -> list[Process]:
        """Those that keep it from being given out."""
        processes = card.reading.processes
        if not processes:
            return []
        return [process for process in processes if not process.ignored and self._is_stranger(card, process)]

    def used_by(self, card: Card) -> str | None:
        """Who keeps it from being given out, as a sentence: the largest, and how many others there are."""
        if card.mute:
            return f"the driver does not tell which processes are on {card.label}"
        strangers = sorted(self.strangers(card), key=lambda process: -(process.memory or 0))
        others = f" and {number(len(strangers) - 1, 'other')}" if len(strangers) > 1 else ""
        return card.used_by(strangers[0]) + others if strangers else None

    # -- proofs

    def _is_back(self, card: Card, *, nobodys: bool) -> bool:
        """`nobodys`: no job has left it just now, and who works beside us may be using a little more than before."""
        if card.residual is None:
            return True  # the driver does not tell: its processes are all that can be known
        if card.baseline is None:
            return card.residual <= UNKNOWN_BASELINE
        bound = card.baseline + self._limits.release_tolerance
        return card.residual <= (max(bound, UNKNOWN_BASELINE) if nobodys else bound)

    def begin_proof(self, card: Card, job: int | None, *, nobodys: bool = False) -> ProveWithin:
        self._proofs += 1
        card.proof, card.looks, card.left, card.overdue, card.nobodys = self._proofs, 0, job, False, nobodys
        card.due = False
        self.proving[card.id] = None
        return ProveWithin(self._limits.release_timeout, card.id, card.proof)

    def end_proof(self, card: Card) -> None:
        card.proof, card.overdue, card.nobodys, card.failed = None, False, False, None
        self.proving.pop(card.id, None)

    def overdue(self, card: Card) -> None:
        """Whoever waits for it waits in vain; it is looked at as often as all the others."""
        card.overdue, card.failed = True, None
        self.proving.pop(card.id, None)

    # -- leases

    def occupy(self, gpu: str) -> None:
        """It is about to be leased; how much is in use on it now is what must come back, if not less."""
        card = self.expect(gpu)
        card.forgiven = False
        if card.reading.measured and card.residual is not None and not self._leases.on(gpu):
            card.baseline = card.residual if card.baseline is None else min(card.residual, card.baseline)

    def vacate(self, gpu: str, job: Job) -> ProveWithin | None:
        """The job has left it; a measured GPU must now be seen to be free."""
        card = self.expect(gpu)
        card.used.pop(job.id, None)
        card.settled.discard(job.id)
        if not card.reading.measured or card.overdue:  # it has been given up on account of another one
            return None
        card.failed = (job.id, job.attempt) if isinstance(job.state, Failed) else None
        proof = self.begin_proof(card, job.id)
        self.drop_gone(card)
        return proof

    # -- people

    def _is_enabled(self, card: Card) -> bool:
        return self.choices.get(card.id, not self._is_left_out(card))

    def _is_left_out(self, card: Card) -> bool:
        return card.seen and not {card.id, card.name}.isdisjoint(self._limits.left_out)

    def left_out_in_vain(self) -> list[str]:
        """Names in the settings that none of the GPUs has, as soon as it is known which there are."""
        names = {name for card in self.cards.values() for name in (card.id, card.name)}
        return [name for name in self._limits.left_out if name not in names] if self.known else []

    def choose(self, card: Card, *, enabled: bool) -> None:
        """To enable it forgives its errors, and takes memory for lost that has not come back, or is nobody's.

        Memory that is still awaited only where it was enabled anyway: that is what is meant then.
        """
        anyway = card.enabled and card.proof is not None and not self._leases.on(card.id)
        card.enabled = enabled
        if enabled != self._is_left_out(card):
            self.choices.pop(card.id, None)  # as the settings say; what they say later shall count
        else:
            self.choices[card.id] = enabled
        if enabled:
            card.condemned = None
            if card.overdue or card.nobodys or anyway:
                self.end_proof(card)
                card.forgiven = True

    def _unexplained(self, card: Card) -> int | None:
        """What is in use beside all listed processes; as it was while jobs are on it, which may use some of that."""
        if self._leases.on(card.id) or card.residual is None:
            return card.baseline
        return max(0, card.residual - self._listed(card, strangers=False))

    def choices_made(self, choices: Mapping[str, bool]) -> None:
        self.choices = dict(choices)
        for card in self.cards.values():
            card.enabled = self._is_enabled(card)
            card.told = (card.told[0], card.enabled)

    # -- judgement

    def ailment(self, card: Card) -> str | None:
        """Why it is not healthy, as a sentence."""
        return (self.trouble if card.reading.measured else None) or card.ailment

    def is_available(self, card: Card) -> bool:
        """Whether a job may count on it, once it is free. Trouble with the driver is everybody's, and passes."""
        return card.seen and card.enabled and card.ailment is None

    def use(self, card: Card) -> Use:
        """What it does, or what keeps it from being given out; what is reserved the placement knows."""
        if self._leases.on(card.id):
            return "held"
        if not card.enabled:
            return "disabled"
        if self.ailment(card) is not None or not card.seen:
            return "unhealthy"
        if card.mute or self.strangers(card):
            return "foreign"
        if card.proof is not None:
            return "memory"
        return "free"

    def slot(self, card: Card) -> Slot:
        reading = card.reading
        free = None
        if reading.measured and reading.memory_total is not None and reading.memory_used is not None:
            free = max(0, reading.memory_total - reading.memory_reserved - reading.memory_used)
        tenants = self._tenants(card)
        if free is not None and not tenants:  # what an idle GPU has in use beside strangers is nobody's share
            others = self._listed(card, strangers=True) + self._accepted(card)
            free = max(free, (reading.memory_total or 0) - others)
        usable, stays = self._usable(card), self._stays(card)
        return Slot(reading.id, reading.index, reading.name, reading.memory_total, usable, free, tenants, stays)

    def _stays(self, card: Card) -> float:
        """Seconds that a stranger is expected to stay: who has been there for long, for as long again.

        Else a notebook that holds a GPU for a week keeps all GPUs of a wide job idle for a week. A passing job then
        makes the wide one wait for at most as long again as the stranger has.
        """
        if card.strange_since is None or not self.strangers(card):
            return 0.0
        been = self.now - card.strange_since
        return been if been >= LONG else 0.0

    def _listed(self, card: Card, *, strangers: bool) -> int:
        """Bytes that the listed processes use: of strangers, the desktop among them, or of our jobs here."""
        processes = card.reading.processes or ()
        return sum(process.memory or 0 for process in processes if self._is_stranger(card, process) is strangers)

    def _accepted(self, card: Card) -> int:
        """Of nobody, and so much that a person had to accept it."""
        return card.baseline if card.baseline is not None and card.baseline > UNKNOWN_BASELINE else 0

    def _tenants(self, card: Card) -> dict[int, Tenant]:
        return {
            job: Tenant(share, settled=share is None or job in card.settled, used=card.used.get(job))
            for job, share in self._leases.on(card.reading.id).items()
        }

    def _usable(self, card: Card) -> bool:
        if not card.seen or card.mute or card.proof is not None or not card.enabled:
            return False
        return self.ailment(card) is None and not self.strangers(card)

    def slots(self) -> list[Slot]:
        """Those that jobs may count on, in the order of their indices."""
        return [self.slot(card) for card in self.counted()]

    def counted(self) -> list[Card]:
        """Those that jobs may count on; where that is none, all: then nothing starts, and all wait in their places."""
        seen = [card for card in self.cards.values() if card.seen]
        return [card for card in seen if self.is_available(card)] or seen

    def news(self) -> list[GpuChanged]:
        """Of whose health, or of who may have it, the world knows something else."""
        found: list[GpuChanged] = []
        for card in self.cards.values():
            ailment = self.ailment(card)
            now = (ailment is None, card.enabled)
            if now != card.told:
                card.told = now
                found.append(GpuChanged(card.id, *now, ailment or card.disabled))
        return found
