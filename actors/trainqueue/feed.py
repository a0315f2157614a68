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
from trainqueue.messages.clients import Beat, Knock, Look, Publish
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
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every subscription is shown, not only the first of its topic
        self.door = Door(self.socket, path)
        self.topics: set[bytes] = set()
        """What somebody has asked for; the socket tells of the last one who leaves."""
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
                for topic, body in events if self.topics else ():
                    self.socket.send_multipart([topic.encode(), body])
            case Beat():
                self.beating = False
                if self.topics:
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
                self._hear(self.socket.recv(zmq.NOBLOCK))
        if self.topics and not self.beating:
            self.beating = True
            self.inbox.after(HEARTBEAT, Beat())

    def _hear(self, frame: bytes) -> None:
        kind, topic = frame[:1], frame[1:]
        if kind == b"\1":
            self.topics.add(topic)
            if topic == b"welcome":
                self._say(topic)
        elif kind == b"\0":
            self.topics.discard(topic)  # anything else is a stranger's word

    def _say(self, topic: bytes) -> None:
        self.socket.send_multipart([topic, pack({"type": topic.decode(), "epoch": self.epoch, "seq": self.seq})])

    def release(self) -> None:
        self.door.close()
        self.socket.close(0)
