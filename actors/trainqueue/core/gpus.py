"""Decisions over GPUs: what follows from what is seen of them, and which jobs start on them.

A job starts on a measured GPU only in the step that brings a fresh list of the processes of each of its GPUs, and only
such a list proves that a GPU is free again; what is fresh, looks.py says. In any other step the wish becomes a look,
whose answer is such a step. GPUs that are not measured are free whenever nobody holds them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.books import Books
from trainqueue.core.card import Trace
from trainqueue.core.job import Job, Pending, Running
from trainqueue.core.looks import delay
from trainqueue.core.placement import DEPTH, Walk, kept
from trainqueue.core.xids import said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.core.board import Use
    from trainqueue.core.card import Card
    from trainqueue.core.reading import Reading, Sighting

NOTHING = Trace()
SLOWEST = 1.0
"""Seconds between two looks at a GPU whose memory has not come back."""


class Gpus(Books):
    """Between the books, which hold the state, and the core, which decides when starts may happen."""

    def recall(self, choices: Mapping[str, bool], traces: Mapping[str, Trace], now: float) -> None:
        """What people have chosen, and what an earlier daemon has known of the GPUs."""
        self.board.choices_made(choices)
        for gpu, trace in traces.items():
            card = self.board.expect(gpu)
            card.baseline, card.condemned, card.forgiven = trace.baseline, trace.xid, trace.forgiven
            card.told = (card.ailment is None, card.enabled)
            card.due = trace.due and not self.leases.on(gpu) and card.reading.measured
        self.plans.slots_changed()
        self._review(now)

    # -- what others ask

    def choices(self) -> dict[str, bool]:
        """Which GPUs people have enabled and disabled, for the journal."""
        return dict(self.board.choices)

    def traces(self) -> dict[str, Trace]:
        """What the next daemon has to know of the GPUs, for the journal; nothing of those that are not measured."""
        found = dict[str, Trace]()
        for card in [*self.board.cards.values(), *self.board.away.values()]:
            held = card.proof is not None or bool(self.leases.on(card.id))
            due = card.due or (card.reading.measured and held)
            trace = Trace(card.baseline, due, card.condemned, card.forgiven)
            if trace != NOTHING:
                found[card.id] = trace
        return found

    def use(self, gpu_id: str) -> Use:
        """What a GPU does, or what keeps it from being given out. Raises KeyError for one that nobody knows."""
        use = self.board.use(self.board.cards[gpu_id])
        return "reserved" if use == "free" and gpu_id in self.kept() else use

    def kept(self) -> dict[str, int]:
        """GPUs with room that are kept from those further back in the line, and for which waiting job."""
        if self.keeping is None:
            self.keeping = self._kept() if self.wanted() and self.may_start() else {}
        return self.keeping

    def _kept(self) -> dict[str, int]:
        walk = self.plans.newest(self.now)
        if walk is not None:
            return walk.kept()
        return kept(self.line, self.board.slots(), self.jobs.__getitem__, self.now, self.past)

    def wanted(self) -> bool:
        """Whether a job that is ready waits for a GPU."""
        return self.line.has(needs_gpu=True)

    # -- what is told of GPUs

    def _of_gpus(self, event: ev.Seen | ev.ProofOverdue | ev.Settled | ev.SetGpu, now: float) -> None:
        match event:
            case ev.Seen():
                self._seen(event.sighting)
            case ev.ProofOverdue():
                card = self.board.cards.get(event.gpu)
                if card is not None and card.proof == event.proof:
                    self.board.overdue(card)
            case ev.Settled():
                job = self.jobs.get(event.job)
                if job is not None and job.attempt == event.attempt and isinstance(job.state, Running):
                    for gpu in job.gpu_ids:
                        self.board.expect(gpu).settled.add(job.id)
            case ev.SetGpu():
                self.board.choose(self.board.find(event.gpu), enabled=event.enabled)
            case _:
                assert_never(event)
        self._effects += self.board.news()
        self.plans.slots_changed()
        self._review(now)

    def _seen(self, sighting: Sighting) -> None:
        self.board.now = self.now
        seen = self.board.merge(sighting)
        told = {card.id: card for card, reading in seen if _tells(reading)}
        looked, self.fresh = self.looks.answered(sighting.answers, told)
        for card, reading in seen:
            self._note_xids(card, reading.xids)
            if card.id in looked and card.id not in told:
                card.mute = reading.measured
        for card in told.values():
            self._judge(card)
        if sighting.trouble is not None:  # what was asked of the driver before that may be told after it, and be old
            for gpu in self.board.cards:
                self.looks.changed(gpu)

    def _judge(self, card: Card) -> None:
        proof = self.board.judge(card)
        if proof is not None:
            self.looks.changed(card.id)
            self._effects.append(proof)
        elif self.board.seems_proven(card):
            if card.id in self.fresh:
                self.board.end_proof(card)
            elif not self.looks.pending(card.id):
                self.looks.want((card.id,), 0.0)
        for job_id, used in card.used.items():
            job = self.jobs[job_id]
            job.peak_memory = max(job.peak_memory or 0, used)
            job.samples += card.id == job.gpu_ids[0]

    def _note_xids(self, card: Card, xids: tuple[int, ...]) -> None:
        """For the message of who runs there, should it fail, or has just failed: news may come after the end."""
        for error in (f"{said(xid)} on {card.label}" for xid in xids):
            for job_id in self.leases.on(card.id):
                self._errors.setdefault(job_id, {})[error] = None
            if card.failed is not None and card.failed[0] not in self.jobs:
                self._effects.append(fx.Explained(*card.failed, error))

    def _review(self, now: float) -> None:
        """The GPUs that there are may be others: jobs come back into the line, or out of it."""
        for job_id in self.needs.review():
            self._leave_line(self.jobs[job_id])
            self._enqueue(self.jobs[job_id], now)

    # -- looks

    def _ask(self) -> None:
        """For what a start or a proof waits for, and nobody has been asked for yet."""
        for gpu in self.board.proving:
            card = self.board.cards[gpu]
            if self.board.trouble is None and card.seen and not card.lost and not self.looks.pending(gpu):
                self.looks.want((gpu,), delay(card.looks, SLOWEST))
                card.looks += 1
        self._effects += self.looks.take()

    # -- starts

    def _start_without_gpu(self, now: float) -> None:
        while True:
            while self.leases.room_without_gpu() and (job := self.line.first(needs_gpu=False)) is not None:
                if self.gates.claim(job):
                    self._start(job, (), None, now)
            if not self.gates.lend(islice(self.line.walk(needs_gpu=False), DEPTH)):
                break

    def _start_on_gpus(self, now: float) -> None:
        if not self.wanted() or self.plans.newest(now) is not None:
            return
        while True:  # again only where a start has let somebody into the line, or sent him out of it (gates.py)
            before = self.gates.turns
            walk = Walk(self.board.slots(), self.jobs.__getitem__, now, self.past)
            for placement in [*walk.along(self.line)]:
                if not self.line.has_ready(placement.job):
                    continue
                if not self.gates.claim(placement.job):
                    break  # what it was to have is free for the others
                if self.is_fresh(placement.gpu_ids):
                    self._start(placement.job, placement.gpu_ids, placement.share, now)
                else:
                    self.looks.want_start(placement.job.id, placement.gpu_ids)
            self.gates.lend(walk.stuck)
            if self.gates.turns == before:
                break
            self._start_without_gpu(now)
        self.plans.keep(walk, now)

    def is_fresh(self, gpu_ids: tuple[str, ...]) -> bool:
        """Whether this very step shows that they are free, as far as anybody can know."""
        for gpu in gpu_ids:  # noqa: SIM110  (in each hand-over)
            if gpu not in self.fresh and self.board.cards[gpu].reading.measured:
                return False
        return True

    def _start(self, job: Job, gpu_ids: tuple[str, ...], share: int | None, now: float) -> None:
        for gpu in gpu_ids:
            self.board.occupy(gpu)
        self._hold_gpus(job, gpu_ids, share)
        self._leave_line(job)
        self._become(job, Pending(gpu_ids, now, share=share))
        self.started.append(gpu_ids)
        self._effects += [fx.Changed(job.snapshot()), fx.Start(job, gpu_ids)]


def _tells(reading: Reading) -> bool:
    """Who is on the GPU."""
    return reading.processes is not None and reading.trouble is None and reading.measured
