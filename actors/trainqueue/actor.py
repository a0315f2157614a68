"""The base of our actors: a selecting inbox, typed messages, one idempotent release."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, cast

import pykka

from trainqueue.inbox import Inbox

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger(__name__)


def stop_and_join(ref: pykka.ActorRef[Any], seconds: float) -> None:
    """Stop an actor and wait for the end of its thread, which pykka's own `stop` does not."""
    with contextlib.suppress(pykka.ActorDeadError, pykka.Timeout):
        ref.stop(block=True, timeout=seconds)
    thread = cast("Inbox", ref.actor_inbox).thread
    if thread is not None:
        thread.join(seconds)


class SelectingActor(pykka.ThreadingActor):
    """An actor that may wait for sockets, processes and timers through `self.inbox`."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox()

    @property
    def inbox(self) -> Inbox:
        return cast("Inbox", self.actor_inbox)

    def release(self) -> None:
        """Give back what the actor holds; may be called twice."""

    def on_stop(self) -> None:
        self.release()
        self.inbox.close()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del exception_type, traceback
        logger.critical("%s has failed: %r", type(self).__name__, exception_value)
        self.release()
        self.inbox.close()
