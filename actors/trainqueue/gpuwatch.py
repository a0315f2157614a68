"""The GpuWatch actor: the only one that asks the driver of the GPUs, in its own thread, since a sick one never answers.

It looks by itself every few seconds, and at once when it is asked to, and tells the arbiter what it has seen. GPUs that
nobody can measure it tells of once, and then sleeps.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never, cast

from trainqueue.actor import SelectingActor, stop_and_join, tell
from trainqueue.messages.gpus import Glance, LookNow, Sighted

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from trainqueue.core.reading import Sighting
    from trainqueue.gpus import Inventory
    from trainqueue.inbox import Inbox, Timer
    from trainqueue.messages.gpus import ToGpuWatch

logger = logging.getLogger(__name__)
GLANCE, PROCESSES = 2.0, 5.0
"""Seconds from one look of its own to the next, and to the next at processes: listing them is what costs the driver.

While a job of ours is on a GPU every look lists them, so that its peak is more than a guess.
"""
PATIENCE = 0.4
"""Seconds that it gets to stop, twice."""


class GpuWatch(SelectingActor):
    """Owns `gpus`, and closes them at the end."""

    def __init__(
        self, gpus: Inventory, arbiter: pykka.ActorRef[Any], on_crash: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__(on_crash)
        self.gpus, self.arbiter = gpus, arbiter
        self._all, self._glance = True, False
        """Asked to look at all GPUs with their processes; it is time for a look of our own."""
        self._some: set[str] = set()
        self._numbers: list[int] = []
        """Of the core's looks that the next one is for; whatever is asked for while it lasts waits for another."""
        self._processes_at = 0.0
        self._next: Timer | None = None
        self._words: dict[str, str] = {}
        """What was last said of each GPU, and under an empty name of the driver."""

    def begin(self) -> None:
        self.actor_ref.tell(LookNow(()))  # not here: an actor that is beginning cannot be waited for

    def receive(self, message: ToGpuWatch) -> None:
        match message:
            case LookNow(gpu_ids, number):
                self._some.update(gpu_ids)
                self._all = self._all or not gpu_ids
                self._numbers += [] if number is None else [number]
            case Glance():
                self._glance = True
            case _:
                assert_never(message)
        if self.inbox.empty():  # else the last of them looks for all
            self._look()

    def _look(self) -> None:
        if self._all or self._glance:
            processes = self._all or bool(self._some) or time.monotonic() >= self._processes_at
            sighting = self.gpus.look(None, processes=processes)
            self._plan(sighting, processes=processes)
        else:
            sighting = self.gpus.look(self._some, processes=True)
        answers, self._numbers = tuple(self._numbers), []
        self._all, self._glance, self._some = False, False, set()
        self._say(sighting)
        tell(self.arbiter, Sighted(replace(sighting, answers=answers)))

    def _plan(self, sighting: Sighting, *, processes: bool) -> None:
        """When to look at all of them again."""
        now = time.monotonic()
        if processes:
            self._processes_at = now + (GLANCE if has_jobs(sighting) else PROCESSES)
        self.inbox.drop(self._next)
        if sighting.trouble or any(reading.measured for reading in sighting.readings):
            self._next = self.inbox.after(min(GLANCE, self._processes_at - now), Glance())

    def _say(self, sighting: Sighting) -> None:
        """Into the log, what has gone wrong or right since the last look."""
        now = {reading.id: f"GPU {reading.index} ({reading.id}): {reading.trouble}" for reading in sighting.readings}
        good = {reading.id for reading in sighting.readings if reading.trouble is None}
        now |= dict.fromkeys(good, "")
        now[""] = sighting.trouble or ""
        for name, words in now.items():
            before = self._words.get(name, "")
            if words and words != before:
                logger.warning("%s", words)
            elif before and not words:
                logger.info("%s is well again", f"GPU {name}" if name else "the NVIDIA driver")
        self._words |= now

    def release(self) -> None:
        self.gpus.close()


def has_jobs(sighting: Sighting) -> bool:
    return any(process.job is not None for reading in sighting.readings for process in reading.processes or ())


def stop(ref: pykka.ActorRef[GpuWatch]) -> None:
    """Within a second, whatever the driver does: a thread inside it cannot be ended, and is left behind."""
    stop_and_join(ref, PATIENCE)
    thread = cast("Inbox", ref.actor_inbox).thread
    if thread is not None and thread.is_alive():
        logger.warning("the NVIDIA driver does not answer; its call is left behind")
