"""What is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from trainqueue.errors import RequestError
from trainqueue.jobinfo import ENDED
from trainqueue.web.answers import Flowing, answered, whole_number
from trainqueue.web.loglive import LogTail
from trainqueue.web.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trainqueue.web.calls import Calls
    from trainqueue.web.live import Live

QUIET = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""A proxy in front must not gather events."""


class Reads:
    """The endpoints, which share the daemon's client and the picture of the queue."""

    def __init__(self, calls: Calls, live: Live) -> None:
        self.calls, self.live = calls, live

    async def queue(self, request: Request) -> Response:
        """`jobs` wait, in start order."""
        query = request.query_params
        fields = {name: whole_number(query[name], name) for name in ("limit", "offset") if name in query}
        found = await self.calls("queue", **({"limit": 1000} | fields))
        waiting, running = found.pop("queued"), found.pop("running")
        counts = found["counts"]
        numbers = {"running": len(running), "queued": counts.get("queued", 0)}
        lists = {"jobs": waiting, "running_jobs": running}
        named = {name: [{"job_id": job["id"], **job} for job in jobs] for name, jobs in lists.items()}
        return answered({**found, **numbers, **named})

    async def status(self, request: Request) -> Response:
        found = await self.calls("status", job=job_of(request))
        return answered({**found["job"], "attempts": found["attempts"]})

    async def env(self, request: Request) -> Response:
        found = await self.calls("status", job=job_of(request), env=True)
        return answered({"env": found["env"]})

    async def series(self, request: Request) -> Response:
        return answered(await self.calls("series", job=job_of(request), **attempt_of(request)))

    async def history(self, request: Request) -> Response:
        """Ended jobs, newest first."""
        return answered(await self.calls("jobs", **filters(request)))

    def plain(self, op: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            del request
            return answered(await self.calls(op))

        return endpoint

    async def events(self, request: Request) -> Response:
        """Server-sent events: `snapshot`, then `delta`; with `log=ID` that job's output on the same stream."""
        query = request.query_params
        tail = None
        if "log" in query:
            job = whole_number(query["log"], "log", 1)
            tail = LogTail(self.live, self.calls, job, attempt_of(request).get("attempt"))
        if request.method == "HEAD":
            return Response(None, headers=QUIET, media_type="text/event-stream")
        stream = Stream(self.live, tail)
        return Flowing(stream.frames(), media_type="text/event-stream", headers=QUIET)


def job_of(request: Request) -> int:
    return whole_number(request.path_params["job"], "job", 1)


def attempt_of(request: Request) -> dict[str, int]:
    given = request.query_params.get("attempt")
    return {} if given is None else {"attempt": whole_number(given, "attempt", 1)}


def filters(request: Request) -> dict[str, Any]:
    """Of the op `jobs`, from the query. Raises RequestError."""
    query = request.query_params
    states = [state for state in query.get("states", "").split(",") if state]
    strange = [state for state in states if state not in ENDED]
    if strange:
        raise RequestError("bad-request", f"$.states: {strange[0][:100]!r} is none of {', '.join(sorted(ENDED))}")
    fields: dict[str, Any] = {"states": states or sorted(ENDED), "limit": 100}
    fields |= {name: query[name] for name in ("name", "group") if query.get(name)}
    fields |= {name: whole_number(query[name], name, 1) for name in ("limit", "before") if query.get(name)}
    tags = [tag.partition("=") for tag in query.getlist("tag") if tag]
    if any(not between for _, between, _ in tags):
        raise RequestError("bad-request", "$.tag: KEY=VALUE is needed")
    return fields | ({"tag": {key: value for key, _, value in tags}} if tags else {})
