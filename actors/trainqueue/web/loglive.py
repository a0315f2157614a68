"""The log that a page follows, on its stream: the newest piece that it has not got yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trainqueue.errors import RequestError, TrainqError
from trainqueue.web.picture import json

if TYPE_CHECKING:
    from trainqueue.web.calls import Calls
    from trainqueue.web.live import Live

LAST, PIECE = 2**16, 2**18
"""Bytes: of what is there already, and at once."""
RUNS, WAITS = 0.25, 1.5
"""Seconds between looks at the log of a job that runs, and of another one."""


class LogTail:
    """Nothing tells of output, so the log is looked at again and again while somebody looks on. Of an attempt that is
    not named the newest, also when that becomes another one.
    """

    def __init__(self, live: Live, calls: Calls, job: int, attempt: int | None) -> None:
        self.live, self.calls, self.job, self.attempt = live, calls, job, attempt
        self._at: tuple[int | None, int] = (attempt, -LAST)
        self._ended = False
        self._piece: dict[str, Any] | None = None
        self._taken = asyncio.Event()

    def take(self) -> bytes | None:
        """What is to be sent now, as JSON; then the next piece is read."""
        piece, self._piece = self._piece, None
        self._taken.set()
        return None if piece is None else json(piece)

    async def follow(self, stirred: asyncio.Event) -> None:
        while True:
            piece = await self._read()
            if piece is not None:
                self._piece = piece
                self._taken.clear()
                stirred.set()
                await self._taken.wait()
            if piece is None or not piece["data"]:
                state = self.live.picture.states.get(self.job, ("", 0))[0]
                await asyncio.sleep(RUNS if state == "running" else WAITS)

    async def _read(self) -> dict[str, Any] | None:
        """None where there is nothing new."""
        attempt, offset = self._where()
        try:
            found = await self.calls("log", job=self.job, offset=offset, limit=PIECE, **_named(attempt))
        except TrainqError as error:
            self._ended = self._ended or (isinstance(error, RequestError) and error.code == "not-found")
            return None  # there is no such job, or no daemon for now
        if found["size"] < offset:  # the job has emptied it
            self._at = attempt, 0
            return await self._read()
        data, cut = whole_characters(found["data"], last=found["eof"])
        at = found["attempt"], found["next"] - cut
        if not data and at == self._at and found["eof"] == self._ended:
            return None
        self._at, self._ended = at, found["eof"]
        told = {name: found[name] for name in ("attempt", "offset", "size", "eof")}
        return {"job": self.job, **told, "next": at[1], "data": data}

    def _where(self) -> tuple[int | None, int]:
        attempt, offset = self._at
        newest = self.live.picture.states.get(self.job, ("", 0))[1]
        if self.attempt is None and attempt is not None and newest > attempt and self._ended:
            return newest, 0  # what the one before has written is told to its end
        return attempt, offset


def _named(attempt: int | None) -> dict[str, int]:
    return {} if attempt is None else {"attempt": attempt}


def whole_characters(data: bytes, *, last: bool) -> tuple[str, int]:
    """The text, and how many bytes at its end are the beginning of a character whose rest is to come."""
    cut = 0
    if not last:
        for back in range(1, min(4, len(data) + 1)):
            byte = data[-back]
            if byte >= 0xC0:  # it begins a character of 2, 3 or 4 bytes
                cut = back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
                break
            if byte < 0x80:
                break
    return data[: len(data) - cut].decode(errors="replace"), cut
