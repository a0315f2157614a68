"""What is only looked at."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from trainqueue.errors import DaemonError
from trainqueue.jobinfo import ENDED
from trainqueue.web.answers import Flowing, answered
from trainqueue.web.loglive import LogTail
from trainqueue.web.queries import whole_number
from trainqueue.web.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trainqueue.web.calls import Calls
    from trainqueue.web.live import Live
    from trainqueue.web.queries import Given

    Read = Callable[[Request, Given], Awaitable[Response]]

QUIET = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""A proxy in front must not gather events."""


class Reads:
    """The endpoints, which share the daemon's client and the picture of the queue."""

    def __init__(self, calls: Calls, live: Live) -> None:
        self.calls, self.live = calls, live

    async def queue(self, request: Request, given: Given) -> Response:
        """`jobs` wait, in start order."""
        del request
        found = await self.calls("queue", **({"limit": 1000} | given))
        waiting, running = found.pop("queued"), found.pop("running")
        counts = found["counts"]
        numbers = {"running": len(running), "queued": counts.get("queued", 0)}
        lists = {"jobs": waiting, "running_jobs": running}
        named = {name: [{"job_id": job["id"], **job} for job in jobs] for name, jobs in lists.items()}
        return answered({**found, **numbers, **named})

    async def status(self, request: Request, given: Given) -> Response:
        del given
        found = await self.calls("status", job=job_of(request))
        return answered({**found["job"], "attempts": found["attempts"]})

    async def env(self, request: Request, given: Given) -> Response:
        del given
        found = await self.calls("status", job=job_of(request), env=True)
        return answered({"env": found["env"]})

    async def series(self, request: Request, given: Given) -> Response:
        return answered(await self.calls("series", job=job_of(request), **given))

    async def history(self, request: Request, given: Given) -> Response:
        """Ended jobs, newest first."""
        del request
        return answered(await self.calls("jobs", **({"states": sorted(ENDED), "limit": 100} | given)))

    def plain(self, op: str) -> Read:
        async def endpoint(request: Request, given: Given) -> Response:
            del request, given
            return answered(await self.calls(op))

        return endpoint

    async def events(self, request: Request, given: Given) -> Response:
        """Server-sent events: `snapshot`, then `delta`; with `log=ID` that job's output on the same stream."""
        tail = None
        if "log" in given:
            job, attempt = given["log"], given.get("attempt")
            await self._find(job, attempt)
            tail = LogTail(self.live, self.calls, job, attempt)
        if request.method == "HEAD":
            return Response(None, headers=QUIET, media_type="text/event-stream")
        stream = Stream(self.live, tail)
        return Flowing(stream.frames(), media_type="text/event-stream", headers=QUIET)

    async def _find(self, job: int, attempt: int | None) -> None:
        """Raises RequestError where there is no such log. Of a job that pages see nobody has to be asked; and without
        a daemon the stream begins even so, and says that there is none.
        """
        newest = self.live.picture.states.get(job, ("", 0))[1]
        if newest == 0 or (attempt or 0) > newest:
            with contextlib.suppress(DaemonError):
                await self.calls("log", job=job, limit=1, **({} if attempt is None else {"attempt": attempt}))


def job_of(request: Request) -> int:
    """Raises RequestError."""
    return whole_number(request.path_params["job"], "job", 1)
