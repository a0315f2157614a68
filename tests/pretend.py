"""A daemon that answers what a test tells it: for what the command line shows of GPUs that this machine has not."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import zmq
from support import packed, unpacked

from trainqueue import guard
from trainqueue.home import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.home import Home

GIB = 2**30


class Pretender:
    """Holds the home's guard and answers each op with its entry in `answers`; `asked` is what has come."""

    def __init__(self, home: Home) -> None:
        home.prepare()
        self.home, self.asked = home, list[dict[str, Any]]()
        self.answers: dict[str, Any] = {"ping": {"paused": False, "draining": False, "pause_reason": None}}
        self._context: zmq.Context[Any] = zmq.Context()
        self._leave = threading.Event()

    def serve(self) -> None:
        """The thread: until told to leave."""
        socket: zmq.Socket[bytes] = self._context.socket(zmq.REP)
        socket.bind(f"ipc://{self.home.socket(REQUESTS)}")
        while not self._leave.is_set():
            if not socket.poll(20):
                continue
            request = unpacked(socket.recv())
            self.asked.append(request)
            known = request["op"] in self.answers
            result = {"result": self.answers.get(request["op"])}
            error = {"error": {"code": "unknown-op", "message": "nobody has told me"}}
            socket.send(packed({"ok": known, "id": request["id"], **(result if known else error)}))
        socket.close(0)

    @contextlib.contextmanager
    def serving(self) -> Generator[None, None, None]:
        held = guard.take(self.home.lock)
        thread = threading.Thread(target=self.serve)
        thread.start()
        try:
            yield
        finally:
            self._leave.set()
            thread.join()
            self._context.destroy(0)
            os.close(held)


def gpu(index: int, **fields: Any) -> dict[str, Any]:
    """A Gpu as the wire shows it: 24 GiB, free."""
    usual: dict[str, Any] = {
        "id": f"GPU-8d3f5c1a-0000-0000-0000-{index:012}",
        "index": index,
        "name": "NVIDIA GeForce RTX 4090",
        "memory_total": 24 * GIB,
        "memory_used": 400 * 2**20,
        "utilization": 0.0,
        "temperature": 41.0,
        "power": 18.3,
        "jobs": [],
        "foreign": [],
        "ignored": [],
        "processes": [],
        "healthy": True,
        "why": None,
        "enabled": True,
        "waiting_for_memory": False,
        "kept_for": None,
    }
    return usual | fields


def process(pid: int, user: str | None, memory: float | None) -> dict[str, Any]:
    """A foreign process; its memory in GiB."""
    used = None if memory is None else int(memory * GIB)
    return {"pid": pid, "user": user, "command": None if user is None else "python", "memory": used}
