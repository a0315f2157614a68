"""Requests to the daemon from the event loop: a few threads, each with a client of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from trainqueue.client import Client
from trainqueue.errors import NotAnsweringError, RequestError

if TYPE_CHECKING:
    from trainqueue.home import Home

THREADS = 6
PATIENCE = 8.0
"""Seconds that the daemon gets for an answer."""


class Calls:
    """Raises what the client raises: RequestError, NoDaemonError, NotAnsweringError."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._threads = ThreadPoolExecutor(THREADS, "trainq-call")
        self._own = threading.local()
        self._over: asyncio.Future[None] | None = None

    async def __call__(self, op: str, /, **fields: Any) -> dict[str, Any]:
        """Raises NotAnsweringError also when the server stops first."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._call, op, fields)
        try:
            await asyncio.wait((work, self._ending()), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                msg = "the page's server stops, and the daemon has not answered yet"
                raise NotAnsweringError(msg)
            return work.result()
        finally:
            work.cancel()

    def _ending(self) -> asyncio.Future[None]:
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        return self._over

    def end(self) -> None:
        """Nobody waits for a daemon that hangs while the server stops."""
        if not self._ending().done():
            self._ending().set_result(None)

    def _call(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        client: Client | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = Client(self._home, timeout=PATIENCE)
        try:
            return client.call(op, **fields)
        except OverflowError:
            raise RequestError("bad-request", "a number is beyond 64 bits; nothing was changed") from None

    def close(self) -> None:
        """What is under way is not waited for: its answer has nobody to go to."""
        self._threads.shutdown(wait=False, cancel_futures=True)
