"""JSON in, JSON out, and refusals as HTTP has them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from trainqueue.errors import DaemonError, RequestError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from trainqueue.errors import ErrorCode

STATUS: dict[ErrorCode, int] = {
    "bad-request": 400,
    "forbidden": 403,
    "not-found": 404,
    "unknown-op": 404,
    "conflict": 409,
    "too-large": 413,
    "limit": 429,
    "internal": 500,
    "unavailable": 503,
}
MAX_BODY = 16 * 2**20


class Flowing(StreamingResponse):
    """Until its end or until nobody reads any more. By asyncio alone: Starlette's own way needs anyio's, 5 MB of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        flow = asyncio.create_task(self.stream_response(send))
        gone = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((flow, gone), return_when=asyncio.FIRST_COMPLETED)
            if flow.done():
                flow.result()
        finally:
            for task in (flow, gone):
                task.cancel()
            await asyncio.gather(flow, gone, return_exceptions=True)


def answered(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def refused(code: ErrorCode, message: str, status: int | None = None) -> Response:
    return answered({"error": {"code": code, "message": message}}, status or STATUS[code])


async def on_refusal(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestError)
    return refused(error.code, error.message)


async def on_no_daemon(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, DaemonError)
    return refused("unavailable", f"{error}; what was accepted before is safe, and what runs runs on")


async def body_of(request: Request) -> dict[str, Any]:
    """The object in the body; an empty one is an object without fields. Raises RequestError."""
    raw = bytearray()
    try:
        async for piece in request.stream():
            raw += piece
            if len(raw) > MAX_BODY:
                raise RequestError("too-large", f"a body has at most {MAX_BODY} bytes; nothing was changed")
    except ClientDisconnect:
        raise RequestError("bad-request", "the body has not come whole; nothing was changed") from None
    if not raw.strip():
        return {}
    try:
        found = msgspec.json.decode(bytes(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        told = f"the body is not JSON: {wrong_in(bytes(raw), error)}; nothing was changed"
        raise RequestError("bad-request", told) from None
    if not isinstance(found, dict):
        raise RequestError("bad-request", "the body is not a JSON object; nothing was changed")
    return found


def wrong_in(raw: bytes, error: Exception) -> str:
    """Why it could not be read, in words."""
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    try:
        json.dumps(json.loads(raw), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "a text in it has half of a character (\\ud800 to \\udfff come in pairs)"
    except (ValueError, RecursionError):
        pass
    return str(error)
