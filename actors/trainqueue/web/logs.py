"""A job's output as text: whole, from an offset, or the range that a client asks for. Streamed, however long."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from trainqueue.errors import RequestError, TrainqError
from trainqueue.web.answers import Flowing, refused
from trainqueue.web.reads import job_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from trainqueue.web.calls import Calls
    from trainqueue.web.queries import Given

PIECE = 2**20
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
TEXT = "text/plain; charset=utf-8"


class Logs:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def __call__(self, request: Request, given: Given) -> Response:
        job, attempt = job_of(request), {"attempt": given["attempt"]} if "attempt" in given else {}
        now = await self.calls("log", job=job, offset=0, limit=1, **attempt)
        size, attempt = now["size"], {"attempt": now["attempt"]}
        if now.get("removed_at") is not None:
            raise RequestError("not-found", f"the log of job {job} was removed by retention (history.max_log_bytes)")
        part = span(request, given, size)
        headers = {"accept-ranges": "bytes", "cache-control": "no-store"}
        if part is None:
            return nothing_there(size, headers)
        start, end = part
        ranged = is_ranged(request)
        if ranged:
            start, end = await self._uncut(job, start, end, attempt)
            if start >= end:  # all of it was cut out
                return nothing_there(size, headers)
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        headers["x-next-offset"] = str(end)
        if given.get("download"):
            headers["content-disposition"] = f'attachment; filename="job-{job}-attempt-{attempt["attempt"]}.log"'
        status = 206 if ranged else 200
        if end - start <= PIECE:  # with its length, or with an error while there still can be one
            data = b"".join([piece async for piece in self._pieces(job, start, end, attempt)])
            return Response(data, status, headers, TEXT)
        if request.method == "HEAD":
            return head(status, headers, end - start if ranged else None)
        return Flowing(self._streamed(job, start, end, attempt), status, headers, TEXT)

    async def _uncut(self, job: int, start: int, end: int, attempt: dict[str, int]) -> tuple[int, int]:
        """Of this span the first part that is in one piece: a range must hold as many bytes as it says."""
        begin = at = start
        while at < end:
            found = await self.calls("log", job=job, offset=at, limit=min(PIECE, end - at), **attempt)
            if at == start:
                begin = at = min(found["offset"], end)
            if not found["data"] or found["offset"] != at:
                break
            at = min(found["next"], end)
        return begin, at

    async def _pieces(self, job: int, start: int, end: int, attempt: dict[str, int]) -> AsyncIterator[bytes]:
        """What was cut out of a log is passed over."""
        while start < end:
            found: dict[str, Any] = await self.calls(
                "log", job=job, offset=start, limit=min(PIECE, end - start), **attempt
            )
            if not found["data"]:
                return
            yield found["data"][: max(0, end - found["offset"])]
            start = found["next"]

    async def _streamed(self, job: int, start: int, end: int, attempt: dict[str, int]) -> AsyncIterator[bytes]:
        with contextlib.suppress(TrainqError):  # the head has been sent: the body ends, and is shorter than the log
            async for piece in self._pieces(job, start, end, attempt):
                yield piece


def head(status: int, headers: dict[str, str], length: int | None) -> Response:
    """Without a length where only reading all of it would tell, since the cap may have cut something out."""
    made = Response(None, status, headers, TEXT)
    del made.headers["content-length"]
    if length is not None:
        made.headers["content-length"] = str(length)
    return made


def is_ranged(request: Request) -> bool:
    """Of several ranges, or of one that is none, nothing is made: the whole log is a right answer, too."""
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    return asked is not None and bool(asked[1] or asked[2])


def nothing_there(size: int, headers: dict[str, str]) -> Response:
    """None of the bytes that are asked for."""
    answer = refused("bad-request", f"Range: the log has {size} bytes, and none of those that are asked for", 416)
    answer.headers.update({**headers, "content-range": f"bytes */{size}"})
    return answer


def span(request: Request, given: Given, size: int) -> tuple[int, int] | None:
    """The bytes that are asked for, from and up to; None where none of them is there."""
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if asked is not None and is_ranged(request):
        if not asked[1]:  # the last so many
            start, end = max(0, size - int(asked[2][:19])), size
        else:
            start, end = int(asked[1][:19]), min(size, int(asked[2][:19]) + 1 if asked[2] else size)
        return (start, end) if start < end else None
    start = given.get("offset", 0)
    start = max(0, size + start) if start < 0 else min(start, size)
    return start, min(size, start + given.get("limit", size))
