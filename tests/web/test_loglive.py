"""The log on a page's stream, without a daemon: nothing of it is lost or late."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

from support import run

from trainqueue.errors import RequestError
from trainqueue.home import Home
from trainqueue.web import loglive
from trainqueue.web.live import Live
from trainqueue.web.loglive import LogTail
from trainqueue.web.streams import Stream

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from trainqueue.web.calls import Calls

JOB = 7


class Logs:
    """Stands in for the daemon: what each attempt has written; all but the newest are over."""

    def __init__(self, *written: bytes) -> None:
        self.written = dict(enumerate(written, 1))

    async def __call__(self, op: str, *, job: int, offset: int, limit: int, attempt: int | None = None) -> Any:
        assert (op, job) == ("log", JOB)
        newest = max(self.written)
        attempt = attempt or newest
        if attempt not in self.written:
            raise RequestError("not-found", "there is no such attempt")
        whole = self.written[attempt]
        start = max(0, len(whole) + offset) if offset < 0 else offset
        data = whole[start : start + limit]
        end = start + len(data)
        told = {"attempt": attempt, "offset": start, "next": end, "size": len(whole), "data": data}
        return {**told, "eof": attempt < newest and end >= len(whole)}


def tail_of(folder: Path, logs: Logs) -> tuple[Live, LogTail]:
    live = Live(Home(folder))
    empty: dict[str, Any] = {"running": [], "queued": [], "gpus": [], "epoch": "e", "seq": 1}
    live.picture.begin(empty, [], [], {"connected": True})
    live.picture.states[JOB] = ("running", 1)
    return live, LogTail(live, cast("Calls", logs), JOB, None)


async def told(tail: LogTail, stirred: asyncio.Event, pieces: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while len(found) < pieces:
        await asyncio.wait_for(stirred.wait(), 10)
        stirred.clear()
        if (said := tail.take()) is not None:
            piece = json.loads(said)
            found.append((piece["attempt"], piece["data"]))
    return found


def test_an_attempt_is_told_to_its_end_when_the_next_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RUNS", "WAITS"):
        monkeypatch.setattr(loglive, name, 0.01)

    async def play() -> None:
        logs, stirred = Logs(b"one "), asyncio.Event()
        live, tail = tail_of(tmp_path, logs)
        following = asyncio.create_task(tail.follow(stirred))
        assert await told(tail, stirred, 1) == [(1, "one ")]
        logs.written |= {1: b"one and its last words", 2: b"two"}
        live.picture.states[JOB] = ("running", 2)
        assert [piece for piece in await told(tail, stirred, 2) if piece[1]] == [(1, "and its last words"), (2, "two")]
        del logs.written[2]  # removed meanwhile
        logs.written[3] = b"three"
        live.picture.states[JOB] = ("running", 3)
        assert await told(tail, stirred, 1) == [(3, "three")]
        following.cancel()

    async def whole() -> None:
        await asyncio.wait_for(play(), 20)

    run(whole())


def test_a_piece_that_is_there_goes_out_with_a_snapshot(tmp_path: Path) -> None:
    async def play() -> None:
        live, tail = tail_of(tmp_path, Logs(b"words"))
        stream = Stream(live, tail)
        frames = stream.frames()
        assert (await anext(frames)).startswith(b"event: snapshot")
        assert b'"data":"words"' in await asyncio.wait_for(anext(frames), 2)
        await frames.aclose()  # type: ignore[attr-defined]

    run(play())
