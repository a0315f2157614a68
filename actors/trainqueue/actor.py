"""The base of our actors: a selecting inbox, typed messages, one idempotent release."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

import pykka

from trainqueue.inbox import Inbox, ReaderFailed

if TYPE_CHECKING:
    from collections.abc import Callable
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
    """An actor that may wait for sockets, processes and timers through `self.inbox`.

    `on_crash` is called in the actor's thread with what ended it, once it has released what it held.
    """

    use_daemon_thread = True
    """Whoever embeds us and forgets to close must not hang at the end of the program."""

    def __init__(self, on_crash: Callable[[BaseException | None], None] | None = None) -> None:
        super().__init__()
        self._on_crash = on_crash

    def begin(self) -> None:
        """The first thing that the actor does in its own thread."""

    def receive(self, message: Any) -> Any:
        """One message; what it returns answers an ask. An exception ends the actor: nobody builds on half a step."""
        raise NotImplementedError

    def release(self) -> None:
        """Give back what the actor holds; may be called twice."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox()

    @property
    def inbox(self) -> Inbox:
        return cast("Inbox", self.actor_inbox)

    def on_start(self) -> None:
        try:
            self.begin()
        except BaseException:
            self.on_failure(*sys.exc_info())  # pykka calls it for failures while receiving only
            raise

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, ReaderFailed):
            raise message.error
        return self.receive(message)

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
        try:
            self.release()
            self.inbox.close()
        finally:
            if self._on_crash is not None:
                self._on_crash(exception_value)


def tell(ref: pykka.ActorRef[Any], message: object) -> None:
    """For one that may have stopped before us, and needs to hear nothing then."""
    with contextlib.suppress(pykka.ActorDeadError):
        ref.tell(message)
