"""A SUB socket to the daemon's events, as the client uses it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import zmq

from trainqueue.client import unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self


class Subscription:
    """Use as a context manager. An event of type `welcome` says that from there on nothing is missed."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, topics: Sequence[str]) -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        for wanted in (*topics, "welcome"):  # last of all: it is answered, and what came before is in place
            self.socket.subscribe(wanted)
        self.socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def get(self, patience: float) -> dict[str, Any] | None:
        """The next event, or None after `patience` seconds of silence."""
        if not self.socket.poll(max(0, round(patience * 1000))):
            return None
        return unpacked(self.socket.recv_multipart()[1])

    def close(self) -> None:
        self.socket.close(0)


def wait_for(sources: Sequence[zmq.Socket[bytes] | int], patience: float) -> bool:
    """Until one of these sockets or descriptors can be read, which it tells, or `patience` seconds have passed."""
    poller = zmq.Poller()
    for source in sources:
        poller.register(source, zmq.POLLIN)
    return bool(poller.poll(max(0, math.ceil(patience * 1000))))
