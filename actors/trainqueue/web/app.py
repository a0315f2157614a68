"""The routes, put together; contract, section 6."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount, Route, Router

from trainqueue.errors import DaemonError, RequestError
from trainqueue.web import BASE
from trainqueue.web.answers import answered, on_no_daemon, on_refusal, refused
from trainqueue.web.calls import Calls
from trainqueue.web.files import Files
from trainqueue.web.guard import Guard, Rules
from trainqueue.web.live import Live
from trainqueue.web.logs import Logs
from trainqueue.web.queries import taken
from trainqueue.web.reads import Reads
from trainqueue.web.table import EACH, READS, WHOLE
from trainqueue.web.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from trainqueue.home import Home
    from trainqueue.web.reads import Read

STATIC = Path(__file__).parent / "static"
PACKED = [Middleware(GZipMiddleware, minimum_size=4096, compresslevel=3)]


async def description(request: Request) -> Response:
    from trainqueue.web import openapi  # and made anew each time: hardly anybody asks

    del request
    return answered(openapi.described())


async def on_http(request: Request, error: Exception) -> Response:
    """No such route, or not by this method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        answer = refused("bad-request", f"{request.method} is not for {request.url.path}; use {allowed}", 405)
        answer.headers["allow"] = allowed
        return answer
    return refused("not-found", f"there is nothing at {request.url.path[:200]}; /openapi.json tells what there is")


async def on_fault(request: Request, error: Exception) -> Response:
    del request, error  # it is in the log
    return refused("internal", "a fault of trainq's own, see what `trainq-cli web` prints; the queue is not affected")


def reading(path: str, endpoint: Read, **more: Any) -> Route:
    """Gives the endpoint what its query holds; any other parameter is refused."""
    known = READS[path].query

    async def answer(request: Request) -> Response:
        return await endpoint(request, taken(request.query_params, known, "this address takes none"))

    return Route(path, answer, **more)


def changing(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    async def answer(request: Request) -> Response:
        taken(request.query_params, (), "a change takes its fields in the body, as JSON; nothing was changed")
        return await endpoint(request)

    return Route(path, answer, methods=["POST"])


def routes(calls: Calls, live: Live) -> list[BaseRoute]:
    reads, verbs, files = Reads(calls, live), Verbs(calls), Files(STATIC)
    get = [
        reading("/queue", reads.queue, middleware=PACKED),
        reading("/history", reads.history, middleware=PACKED),
        reading("/status/{job}", reads.status),
        reading("/env/{job}", reads.env),
        reading("/series/{job}", reads.series, middleware=PACKED),
        reading("/logs/{job}", Logs(calls).__call__),
        reading("/events", reads.events),
        *(reading(f"/{op}", reads.plain(op)) for op in ("gpus", "stats", "lanes")),
    ]
    post = [
        changing("/execute", verbs.execute),
        *(changing(f"/{op}/{{job}}", verbs.of_one(op)) for op in EACH),
        *(changing(f"/{path}", verbs.of_several(path.rpartition("/")[2])) for path in (*EACH, *WHOLE)),
    ]

    async def metrics(request: Request) -> Response:
        from trainqueue.web.metrics import Metrics  # 4 MB, of use only where a Prometheus asks

        return await Metrics(calls)(request)

    others: list[BaseRoute] = [
        Route("/openapi.json", description, middleware=PACKED),
        Route("/metrics", metrics),
        Route("/", files.page),
        Route("/static/{name:path}", files.__call__),
    ]
    return [Mount(BASE, app=Router([*get, *post], redirect_slashes=False)), *others]


def make(home: Home, rules: Rules) -> tuple[Starlette, Callable[[], None]]:
    """The application, and what ends its streams and its waiting: whoever stops the server calls that first."""
    calls, live = Calls(home), Live(home)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        del app
        live.start()
        try:
            yield
        finally:
            await live.close()
            calls.close()

    handlers: dict[Any, Any] = {
        RequestError: on_refusal,
        DaemonError: on_no_daemon,
        HTTPException: on_http,
        Exception: on_fault,
    }
    app = Starlette(
        routes=routes(calls, live),
        middleware=[Middleware(Guard, rules)],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an address with a slash too many is none, as every other slip

    def end() -> None:
        live.end()
        calls.end()

    return app, end
