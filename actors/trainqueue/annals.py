"""The Annals actor: what is written into attempts' folders and read there for the arbiter, which waits for no disk.

It hands on what is to be noted of attempts that are over, orders for those that run, and the answers that take a look
at such folders; one after the other, so that whoever asks reads all that was noted before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, assert_never

from trainqueue import seriesfile, wire
from trainqueue.actor import SelectingActor, tell
from trainqueue.attempts import attempts, note
from trainqueue.controlops import write
from trainqueue.errors import RequestError
from trainqueue.messages.clients import Answers
from trainqueue.messages.files import LookUp, NoteEnd, OrdersWritten, Parting, WriteOrders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pykka import ActorRef

    from trainqueue.home import Home
    from trainqueue.messages.files import ToAnnals

logger = logging.getLogger(__name__)


class Annals(SelectingActor):
    """Owned by the arbiter. Answers the desk itself; `on_exit` is called behind all that was asked before."""

    def __init__(
        self,
        arbiter: ActorRef[Any],
        home: Home,
        on_exit: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(on_crash)
        self.arbiter, self.home, self.on_exit = arbiter, home, on_exit

    def receive(self, message: ToAnnals) -> None:
        match message:
            case NoteEnd(job, attempt, state):
                note(self.home.attempt(job, attempt), state)
            case LookUp(desk, slot):
                tell(desk, Answers([(slot, self._answer(message))]))
            case WriteOrders(wanted):
                tell(self.arbiter, OrdersWritten(self._refused(wanted)))
            case Parting():
                self.on_exit()
            case _:
                assert_never(message)

    @staticmethod
    def _refused(wanted: list[tuple[int, Path, dict[str, Any]]]) -> dict[int, RequestError]:
        refused: dict[int, RequestError] = {}
        for job, folder, order in wanted:
            try:
                write(job, folder, order)
            except RequestError as refusal:
                refused[job] = refusal
        return refused

    def _answer(self, asked: LookUp) -> bytes:
        request = asked.call.request
        try:
            return wire.answer(request.id, {**asked.found, **self._looked_up(asked)})
        except Exception:
            logger.exception("looking into the folder of job %d failed", asked.job.id)
            return wire.refusal(request.id, "internal", "a fault of trainq's own; see trainqd.log")

    def _looked_up(self, asked: LookUp) -> dict[str, Any]:
        if isinstance(asked.call.request, wire.Series):
            path = seriesfile.path_of(self.home.job(asked.job.id), asked.found["attempt"])
            return {"series": seriesfile.read(path).series}
        return {"attempts": attempts(asked.job, self.home)}
