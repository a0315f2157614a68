"""Sockets that the outside world connects to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from pathlib import Path


def listen(socket: zmq.Socket[bytes], path: Path) -> None:
    """Bind a Unix socket that only its owner may use. Raises TrainqError naming the path."""
    try:
        socket.bind(f"ipc://{path}")
        path.chmod(0o600)
    except (zmq.ZMQError, OSError) as error:
        msg = f"cannot listen at {path}: {error}"
        raise TrainqError(msg) from error
