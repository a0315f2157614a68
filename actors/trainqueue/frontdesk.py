"""The FrontDesk actor: ZeroMQ requests in, actor messages to the arbiter, answers out.

Sixteen REP sockets wait in its inbox behind `zmq.proxy` (ROUTER/DEALER, in C), so that REP does the
envelopes and sixteen requests are in flight. Whatever a frame holds, exactly one reply goes out: a REP
that does not answer is stuck for ever.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import pykka
import zmq

from trainqueue import wire
from trainqueue.actor import SelectingActor
from trainqueue.door import Door
from trainqueue.messages.clients import Answers, Call, Calls, Knock, Look, ProxyFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)
SLOTS = 16
AHEAD = 4
"""Requests that are read of one client before they are looked at; more wait with him, in his own memory."""
IN_FLIGHT = 100
"""Requests that a client may have under way (docs/protocol.md)."""
UNREAD = 2 * IN_FLIGHT
"""Replies that are kept for a client who does not fetch them; more are dropped.

libzmq hears of what was fetched only after every half of them: whoever fetches all the time can count on one half.
"""
PARTING = 0.05
"""Seconds before we hang up: a client with ZMQ_IMMEDIATE drops an answer that it has not read by then."""
_names = itertools.count()


class FrontDesk(SelectingActor):
    """Binds in `__init__`, so that whoever starts it gets the TrainqError; `arbiter` gets the `Calls`.

    The sockets of one that could not start are closed with their context.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        path: Path,
        arbiter: pykka.ActorRef[Any],
        user: str,
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(on_crash)
        self.arbiter = arbiter
        self.user = user
        self.calls: list[Call] = []
        name = f"inproc://trainq-desk-{next(_names)}"
        self.front = self._socket(context, zmq.ROUTER)
        self.front.setsockopt(zmq.MAXMSGSIZE, 2 * wire.MAX_REQUEST)
        self.front.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        self.front.setsockopt(zmq.RCVHWM, AHEAD)
        self.front.setsockopt(zmq.SNDHWM, UNREAD)
        self.back = self._socket(context, zmq.DEALER)
        self.back.setsockopt(zmq.SNDHWM, 1)  # and a slot takes one more: what is read ahead must stay little
        self.control = self._socket(context, zmq.PAIR)
        self.remote = self._socket(context, zmq.PAIR)
        self.door = Door(self.front, path)
        self.back.bind(name)
        self.control.bind(name + "-control")
        self.remote.connect(name + "-control")
        self.slots = [self._socket(context, zmq.REP) for _ in range(SLOTS)]
        for slot in self.slots:
            slot.setsockopt(zmq.RCVHWM, 1)
            slot.connect(name)
        self.proxy = threading.Thread(target=self._proxy, name="trainq-proxy", daemon=True)
        self.proxy.start()

    @staticmethod
    def _socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = context.socket(kind)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.RCVHWM, 0)
        return socket

    def _proxy(self) -> None:
        """Ends on TERMINATE; closes its own sockets, since a socket belongs to one thread."""
        try:
            zmq.proxy_steerable(self.front, self.back, None, self.control)
            while True:  # answers given just before the end, that of a shutdown among them
                self.front.send_multipart(self.back.recv_multipart(zmq.NOBLOCK))
        except (zmq.ContextTerminated, zmq.Again):
            pass
        except Exception as error:  # noqa: BLE001  (whatever it is, the desk must not sit there deaf)
            with contextlib.suppress(pykka.ActorDeadError):
                self.actor_ref.tell(ProxyFailed(error))
        time.sleep(PARTING)
        for socket in (self.front, self.back, self.control):
            socket.close(500)

    def begin(self) -> None:
        self.door.open(self.inbox)
        for at, slot in enumerate(self.slots):
            self.inbox.watch(slot.FD, partial(self._look, at))
            self._look(at)  # the fd signals only after somebody has looked in vain
        self.inbox.after(0, Look())

    def receive(self, message: Answers | Look | Knock | ProxyFailed) -> None:
        match message:
            case Answers(answers):
                for at, answer in answers:
                    self._reply(at, answer)
            case ProxyFailed(error):
                raise error
            case Knock():
                self.door.knock()
            case Look():
                pass
            case _:
                assert_never(message)
        self._forward()

    # -- one slot

    def _look(self, at: int) -> object | None:
        """The fd says only that something changed; receive if it is a request."""
        slot = self.slots[at]
        while int(slot.get(zmq.EVENTS)) & zmq.POLLIN:
            try:
                frames = slot.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                continue  # a message without an envelope: REP has dropped it
            if self._take(at, frames):
                return Look() if len(self.calls) == 1 else None
        return None

    def _take(self, at: int, frames: list[bytes]) -> bool:
        """Keep a good request for the arbiter (True); answer a bad one here and now (False)."""
        try:
            request = wire.decode(frames)
        except wire.BadRequestError as error:
            self.slots[at].send(wire.refusal(error.request_id, error.code, error.message))
            return False
        except Exception:
            logger.exception("decoding a request failed")
            self.slots[at].send(wire.refusal(None, "internal", "the request could not be read; see trainqd.log"))
            return False
        self.calls.append(Call(request, self.user, at))
        return True

    def _reply(self, at: int, answer: bytes) -> None:
        with contextlib.suppress(zmq.ZMQError):
            self.slots[at].send(answer)
        self._look(at)

    def _forward(self) -> None:
        if not self.calls:
            return
        calls, self.calls = self.calls, []
        try:
            self.arbiter.tell(Calls(calls))
        except pykka.ActorDeadError:  # say so to everybody who still asks
            for call in calls:
                self._reply(call.slot, wire.refusal(call.request.id, "unavailable", "the daemon is shutting down"))

    def release(self) -> None:
        self.door.close()
        if self.proxy.is_alive():
            self.remote.send(b"TERMINATE")
            self.proxy.join(5)
        for socket in (*self.slots, self.remote):
            socket.close(500)
