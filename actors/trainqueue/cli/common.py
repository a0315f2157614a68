"""What the commands share: the client, ids, times, tables, JSON, and errors as exit codes."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from trainqueue.errors import DaemonError, HomeHeldError, RequestError, TrainqError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trainqueue.client import Client

DONE, REFUSED, USAGE, NO_DAEMON, NO_JOB, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 124, 130
"""The contract's exit codes."""

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document (or one a line) with the wire's names."
)


def client() -> Client:
    from trainqueue.client import Client

    return Client(click.get_current_context().find_root().obj)


def explain(error: Exception) -> int:
    """Print one sentence and return the exit code."""
    if not isinstance(error, TrainqError | OSError):
        raise error
    click.echo(f"trainq-cli: {clean(str(error))}", err=True)
    if isinstance(error, RequestError):
        return NO_JOB if error.code == "not-found" else REFUSED
    return NO_DAEMON if isinstance(error, DaemonError | HomeHeldError) else REFUSED


def show_json(value: object) -> None:
    click.echo(json.dumps(value, default=lambda data: data.decode(errors="replace")))


def clean(text: object) -> str:
    """Text of unknown origin without what a terminal would obey: control and direction characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", str(text))


class Ids(click.ParamType[Any]):
    """`3`, `3-7`, `3,5,8-9`."""

    name = "ids"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        found: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
            if match is None or int(match[1]) < 1:
                self.fail(f"{part!r} is no job id; ids look like 3, 3-7 or 3,5", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                self.fail(f"{part!r} ends before it starts", param, ctx)
            if last - first >= 100_000:
                self.fail(f"{part!r} names {last - first + 1} jobs; at most 100000 at a time", param, ctx)
            found += range(first, last + 1)
        return found


class Duration(click.ParamType[float]):
    """`90`, `90s`, `30m`, `4h`, `2d`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration; durations look like 90s, 30m, 4h or 2d", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def flat(ids: Iterable[Sequence[int]]) -> list[int]:
    return list(dict.fromkeys(job for some in ids for job in some))


def clock(at: float | None) -> str:
    """A local time for people."""
    return time.strftime("%d %b %H:%M:%S", time.localtime(at)) if at is not None else ""


def took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], write: Callable[[str], None] = click.echo) -> None:
    """Aligned on a terminal, tab-separated in a pipe."""
    lines = [[*heads], *([clean("" if cell is None else cell) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        for line in lines:
            write("\t".join(line))
        return
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    for line in lines:
        write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def bar(fraction: float | None, width: int = 12) -> str:
    if fraction is None:
        return ""
    full = round(fraction * width)
    return "█" * full + "░" * (width - full) + f" {fraction:4.0%}"
