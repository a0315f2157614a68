"""The Feed actor: an XPUB socket that tells the world what has been committed.

Subscribing is asynchronous, so a subscriber asks for the topic `welcome` last of all and waits for that
message: from there on it misses nothing, and may ask for a snapshot.
Every event carries the daemon's `epoch`; a heartbeat with the newest `seq` shows a hole at the tail.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, assert_never

import zmq

from trainqueue.actor import SelectingActor
from trainqueue.door import Door
from trainqueue.messages import Beat, Knock, Look, Publish
from trainqueue.wire import pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEARTBEAT = 5.0
"""Seconds between heartbeats, sent only while somebody listens."""
MAX_TOPIC = 64 * 2**10
"""Bytes that a subscriber may send at once; more ends the connection."""


class Feed(SelectingActor):
    """Binds in `__init__`, so that whoever starts it gets the TrainqError."""

    def __init__(
        self,
        context: zmq.Context[Any],
        path: Path,
        epoch: str,
        seq: int,
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(on_crash)
        self.epoch, self.seq = epoch, seq
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 10_000)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_TOPIC)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        self.socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscription is shown, not only the first of its topic
        self.door = Door(self.socket, path)
        self.topics = 0
        self.beating = False

    def begin(self) -> None:
        self.door.open(self.inbox)
        self.inbox.watch(self.socket.FD, self._subscribed)
        self.inbox.after(0, Look())

    def receive(self, message: Publish | Beat | Look | Knock) -> None:
        match message:
            case Publish(events, seq):
                self.seq = seq
                self._subscribed()
                for topic, body in events if self.topics > 0 else ():
                    self.socket.send_multipart([topic.encode(), body])
            case Beat():
                self.beating = False
                if self.topics > 0:
                    self._say(b"heartbeat")
            case Knock():
                self.door.knock()
            case Look():
                pass
            case _:
                assert_never(message)
        self._subscribed()  # the socket's fd is edge-triggered: look again after every send

    def _subscribed(self) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                frame = self.socket.recv(zmq.NOBLOCK)
                if frame == b"\1welcome":
                    self._say(b"welcome")
                self.topics += 1 if frame[:1] == b"\1" else -1
        if self.topics > 0 and not self.beating:
            self.beating = True
            self.inbox.after(HEARTBEAT, Beat())

    def _say(self, topic: bytes) -> None:
        self.socket.send_multipart([topic, pack({"type": topic.decode(), "epoch": self.epoch, "seq": self.seq})])

    def release(self) -> None:
        self.door.close()
        self.socket.close(0)
