"""Wire protocol 1 as any client may speak it: one connection a request, and asking again after any failure."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgpack
import zmq

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST, MOST = 1.0, 15.0
"""Seconds to wait for an answer: at first, and at most after many tries."""
PAUSE = 0.03
"""Seconds between tries."""


class GoneError(Exception):
    """No answer came; whether the request was executed is not known."""


class RefusedError(Exception):
    """The daemon said no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class GivenUpError(Exception):
    """The soak's time is over."""


class Line:
    """To the daemon of a home. `age` changes when that daemon dies: then no answer will come. Used by many threads."""

    def __init__(self, home: Path, age: Callable[[], int], deadline: float) -> None:
        self.home, self.age, self.deadline = home, age, deadline
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._mine = threading.local()

    def once(self, op: str, patience: float = MOST, **fields: object) -> dict[str, Any]:
        """Raises GoneError, RefusedError."""
        with suppress(OSError), self.sent(op, **fields) as socket:
            return self.answer(socket, patience)
        raise GoneError

    def sent(self, op: str, **fields: object) -> zmq.Socket[bytes]:
        """A socket that waits for the answer. Raises OSError when no daemon says where it is."""
        self._mine.tries = self.tries() + 1
        endpoint = (self.home / "endpoint").read_text(encoding="utf-8").strip()
        socket = self.context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        socket.send(bytes(cast("Any", msgpack).packb({"op": op, "id": 1, **fields})))
        return socket

    def answer(self, socket: zmq.Socket[bytes], patience: float) -> dict[str, Any]:
        """Raises GoneError, RefusedError."""
        until, age = time.monotonic() + patience, self.age()
        while not socket.poll(50):
            if time.monotonic() > until or self.age() != age:
                raise GoneError
        reply = cast("Any", msgpack).unpackb(socket.recv(), strict_map_key=False)
        if not reply["ok"]:
            raise RefusedError(reply["error"]["code"], reply["error"]["message"])
        return cast("dict[str, Any]", reply["result"])

    def call(self, op: str, **fields: object) -> dict[str, Any]:
        """Until it is answered. Raises RefusedError, GivenUpError."""
        patience = FIRST
        while time.monotonic() < self.deadline:
            try:
                return self.once(op, patience, **fields)
            except GoneError:
                patience = min(1.5 * patience, MOST)
            except RefusedError as error:
                if error.code != "unavailable":
                    raise
            time.sleep(PAUSE)
        raise GivenUpError(op)

    def tries(self) -> int:
        """How often this thread has sent something."""
        return int(getattr(self._mine, "tries", 0))

    def close(self) -> None:
        self.context.destroy(0)
