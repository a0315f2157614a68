"""Between the GPU watch and the core: what has been seen goes in, what is to be looked at goes out, each in its time.

A driver that is sick blocks inside its calls, and the watch with it. So nobody waits for the watch: when it has not
been heard of for too long, that is what the core is told, and the jobs wait with that reason.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from trainqueue import wire
from trainqueue.actor import tell
from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.reading import Sighting
from trainqueue.gpuops import TRACES, kept_traces, written
from trainqueue.gpus import HAD_GPUS
from trainqueue.gpuview import gpu_views
from trainqueue.messages.clients import Publish
from trainqueue.messages.gpus import LookDue, LookNow, ProofTimeOver, SettleTimeOver, Sighted, WatchSilent

if TYPE_CHECKING:
    from typing import Any

    import pykka

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.batch import Batch
    from trainqueue.inbox import Timer
    from trainqueue.messages.gpus import GpuNews

logger = logging.getLogger(__name__)
SILENCE = 30.0
"""Seconds without a word of the watch, which looks every few seconds, until the driver is called sick."""
FIRST = 3.0
"""Seconds that a start waits for the first look: a driver that sleeps takes one or two to wake up."""
TOPIC = "gpu"
SICK = (
    "the NVIDIA driver does not answer (nothing heard from it for {} s): see whether `nvidia-smi` does; if it hangs as"
    " well, the machine has to be started again"
)


class Sights:
    """Part of the arbiter: called from its thread only. Without a watch there is nothing to look at."""

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter = arbiter
        self.watch: pykka.ActorRef[Any] | None = None
        self.opened = False
        self._first: Sighting | None = None
        """What was seen before the arbiter was open, and may be told to nobody yet."""
        self._silence: Timer | None = None
        self._traces = kept_traces(arbiter.journal, arbiter.bench.boot)
        """As they are written down."""
        self._left_out = False
        """The names in `left_out` have been compared with the GPUs that there are."""
        self._had_gpus = bool(arbiter.journal.setting(HAD_GPUS))

    def begin(self, watch: pykka.ActorRef[Any] | None, sighting: Sighting | None) -> bool:
        """Whether enough is known to open; else a Sighted or a WatchSilent follows soon."""
        self.watch = watch
        if watch is None:
            self._first = sighting
        if watch is None or self._first is not None:
            return True
        self._listen(FIRST)
        return False

    def open(self) -> None:
        """Before anything is decided about jobs: the core learns what has been seen so far.

        Where that is nothing the driver is slow, and not sick yet: jobs wait until it is known which GPUs there are.
        """
        self.opened = True
        if self._first is not None:
            self.arbiter.apply_quietly(ev.Seen(self._first))
        self._compare_left_out()
        self._listen(SILENCE)

    def _compare_left_out(self) -> None:
        """Once, as soon as it is known which GPUs there are."""
        board = self.arbiter.core.board
        if board.known and not self._left_out:
            self._left_out = True
            for name in board.left_out_in_vain():
                logger.warning("[gpus] left_out names %s, and there is no such GPU", name)

    def _listen(self, seconds: float) -> None:
        if self.watch is None:
            return
        self.arbiter.inbox.drop(self._silence)
        self._silence = self.arbiter.inbox.after(seconds, WatchSilent())

    def receive(self, message: GpuNews) -> None:
        match message:
            case Sighted(sighting):
                self._sighted(sighting)
            case WatchSilent():
                self._silent()
            case LookDue(gpu_ids, number):
                self._look(gpu_ids, number)
            case ProofTimeOver(gpu, proof):
                self.arbiter.apply(ev.ProofOverdue(gpu, proof))
            case SettleTimeOver(job, attempt):
                self.arbiter.apply(ev.Settled(job, attempt))
            case _:
                assert_never(message)

    def _sighted(self, sighting: Sighting) -> None:
        if not self.opened:
            self._first = sighting
            self.arbiter.open_if_begun()
            return
        self._listen(SILENCE)
        self.arbiter.stalls.sighted(sighting)
        self.arbiter.apply(ev.Seen(sighting))
        self._compare_left_out()
        self._show()

    def _silent(self) -> None:
        self._silence = None
        if not self.opened:
            self.arbiter.open_if_begun()
            return
        logger.warning("the NVIDIA driver does not answer")
        self.arbiter.apply(ev.Seen(Sighting(trouble=SICK.format(f"{SILENCE:g}"))))
        self._show()

    def _show(self) -> None:
        """A sample for those who listen; it has no number and is not kept."""
        if self.arbiter.feed is not None:
            sample = {"type": "gpus", "at": self.arbiter.clock.now(), "gpus": gpu_views(self.arbiter.core)}
            tell(self.arbiter.feed, Publish([(TOPIC, wire.pack(sample))], self.arbiter.ledger.seq))

    def write(self, batch: Batch) -> None:
        """What the next daemon has to know of the GPUs, when that has changed."""
        if not self._had_gpus and any(card.reading.measured for card in self.arbiter.core.board.cards.values()):
            self._had_gpus = True
            batch.settings[HAD_GPUS] = "1"
        traces = self.arbiter.core.traces()
        if traces != self._traces:
            self._traces = traces
            batch.settings[TRACES] = written(traces, self.arbiter.bench.boot)

    # -- what the core wants

    def perform(self, effect: fx.GpuEffect) -> None:
        after = self.arbiter.inbox.after
        match effect:
            case fx.Look(gpu_ids, seconds, number) if seconds > 0:
                after(seconds, LookDue(gpu_ids, number))
            case fx.Look(gpu_ids, _, number):
                self._look(gpu_ids, number)
            case fx.ProveWithin(seconds, gpu, proof):
                after(seconds, ProofTimeOver(gpu, proof))
            case fx.SettleAfter(seconds, job, attempt):
                after(seconds, SettleTimeOver(job, attempt))
            case fx.GpuChanged():
                self._changed(effect)
            case _:
                assert_never(effect)

    def _look(self, gpu_ids: tuple[str, ...], number: int) -> None:
        if self.watch is not None:
            tell(self.watch, LookNow(gpu_ids, number))

    def _changed(self, effect: fx.GpuChanged) -> None:
        told = {"id": effect.gpu, "index": self._index(effect.gpu), "healthy": effect.healthy}
        if effect.why is not None:
            logger.warning("GPU %s: %s", effect.gpu, effect.why)
        self.arbiter.event(TOPIC, {"type": "gpu", **told, "enabled": effect.enabled, "why": effect.why})

    def _index(self, gpu: str) -> int | None:
        card = self.arbiter.core.board.cards.get(gpu)
        return card.reading.index if card is not None and card.seen else None
