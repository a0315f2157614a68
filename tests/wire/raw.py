"""Clients from nothing but Unix sockets: cheap enough for a thousand of them, and free to misbehave."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

from support import packed, unpacked

if TYPE_CHECKING:
    from pathlib import Path

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00"


def message(body: bytes) -> bytes:
    """A request as a REQ socket writes it: an empty frame and the body."""
    return b"\x01\x00\x02" + struct.pack(">Q", len(body)) + body


class Raw:
    """One connection. Connecting does not wait: whoever is not let in stays in the daemon's backlog."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.socket.sendall(GREETING + READY)
        self.heard = b""
        self.greeted = False

    def is_let_in(self, seconds: float = 10) -> bool:
        """Whether the daemon greets within so many seconds. Raises ConnectionError."""
        self.socket.settimeout(seconds)
        try:
            if not self.greeted:
                self._take(64)
                self.greeted = True
                self._frame()  # its READY: what is sent before costs the connection
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(10)
        return True

    def send(self, **request: object) -> None:
        assert self.is_let_in()
        self.socket.sendall(message(packed(request)))

    def receive(self) -> Any:
        """The reply to a request. Raises TimeoutError, ConnectionError."""
        self._frame()  # the empty one
        return unpacked(self._frame())

    def _frame(self) -> bytes:
        (size,) = struct.unpack(">Q", self._take(8)) if self._take(1)[0] & 2 else self._take(1)
        return self._take(size)

    def ask(self, **request: object) -> Any:
        self.send(**request)
        return self.receive()

    def _take(self, size: int) -> bytes:
        while len(self.heard) < size:
            part = self.socket.recv(1 << 16)
            if not part:
                raise ConnectionError
            self.heard += part
        taken, self.heard = self.heard[:size], self.heard[size:]
        return taken

    def close(self) -> None:
        self.socket.close()
