"""The Annals actor: what became of attempts that are over, written into their folders and read there.

The arbiter waits for no disk but the journal's. It hands on what is to be noted, and the answers that take a look at
such folders; one after the other, so that whoever asks reads all that was noted before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from trainqueue import wire
from trainqueue.actor import SelectingActor, tell
from trainqueue.attempts import attempts, note
from trainqueue.messages import Answers, LookUp, NoteEnd, Parting

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.home import Home
    from trainqueue.messages import ToAnnals

logger = logging.getLogger(__name__)


class Annals(SelectingActor):
    """Owned by the arbiter. Answers the desk itself; `on_exit` is called behind all that was asked before."""

    def __init__(
        self, home: Home, on_exit: Callable[[], None], on_crash: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__(on_crash)
        self.home, self.on_exit = home, on_exit

    def receive(self, message: ToAnnals) -> None:
        match message:
            case NoteEnd(job, attempt, state):
                note(self.home.attempt(job, attempt), state)
            case LookUp(desk, slot):
                tell(desk, Answers([(slot, self._answer(message))]))
            case Parting():
                self.on_exit()
            case _:
                assert_never(message)

    def _answer(self, asked: LookUp) -> bytes:
        request = asked.call.request
        try:
            return wire.answer(request.id, {**asked.found, "attempts": attempts(asked.job, self.home)})
        except Exception:
            logger.exception("looking up the attempts of job %d failed", asked.job.id)
            return wire.refusal(request.id, "internal", "a fault of trainq's own; see trainqd.log")
