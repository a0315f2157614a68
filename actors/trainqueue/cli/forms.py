"""How people write ids, GPUs, durations, sizes, times, priorities; what is wrong is said with an example.

`wordforms.py` has the forms of words and of what is made of several; which field has which form stands in `fields.py`.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
LONGEST = 10 * 365 * 86400
"""Seconds; the wire takes no more."""
LATEST = 1e11
"""Seconds since 1970; the wire takes no more."""
SIZES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
BINARY = tuple((name, size) for name, size in SIZES.items() if "i" in name)
LARGEST = 2**60
"""Bytes; the wire takes no more."""
SHORT = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
"""As Slurm, docker and the JVM read them."""
TIME_OF_DAY = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?", re.ASCII)
DURATION = r"(?:\d+(?:\.\d+)?[smhd])+"


class Form(click.ParamType[Any]):
    """A text that `read` turns into what the wire wants; the readers raise ValueError with a sentence."""

    name = "form"
    adds = False
    """Given twice, the second is taken in addition."""

    def read(self, text: str) -> object:
        raise NotImplementedError

    def take(self, value: object) -> object:
        """The value of a document (TOML, JSON), where it may have a type of its own."""
        return self.read(value if isinstance(value, str) else str(value))

    def parse(self, text: str) -> object:
        """As `read`, but a list or a table may be given as JSON."""
        value = from_json(text) if text[:1] in {"[", "{"} else None
        return self.read(text) if value is None else self.take(value)

    def show(self, value: Any) -> str:
        """For people; what says it exactly can be read again."""
        return str(value)

    def give(self, value: Any) -> object:
        """For a document; `take` takes it back."""
        return value

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


def from_json(text: str) -> object:
    """None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Exact(Form):
    """A document gets it as people write it, where that says the same; else the value itself."""

    def give(self, value: Any) -> object:
        text = self.show(value)
        try:
            return text if self.read(text) == value else value
        except ValueError:
            return value


class Ids(Form):
    """`3`, `3-7`, `3,5,8-9`."""

    name = "ids"
    adds = True

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del param
        from trainqueue.cli.completion import of_ids

        return of_ids(ctx, incomplete)

    def read(self, text: str) -> list[int]:
        return [job for part in text.split(",") for job in ids(part.strip())]

    def take(self, value: object) -> object:
        return [job for one in value for job in self.read(str(one))] if isinstance(value, list) else super().take(value)

    def show(self, value: Any) -> str:
        return ", ".join(map(str, value))


class Id(Form):
    """`3`."""

    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return Ids().shell_complete(ctx, param, incomplete)

    def read(self, text: str) -> int:
        found = Ids().read(text)
        if len(found) != 1:
            msg = f"{text!r} names {len(found)} jobs; this takes one at a time"
            raise ValueError(msg)
        return found[0]


def ids(part: str) -> range:
    match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part, re.ASCII)
    if match is None or int(match[1]) < 1:
        msg = f"{part!r} is no job id; ids look like 3, 3-7 or 3,5"
        raise ValueError(msg)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        msg = f"{part!r} ends before it starts"
        raise ValueError(msg)
    if last - first >= 100_000:
        msg = f"{part!r} names {last - first + 1} jobs; at most 100000 at a time"
        raise ValueError(msg)
    return range(first, last + 1)


class Duration(Exact):
    """`90s`, `30m`, `1h30m`, `2d`, in seconds."""

    name = "duration"

    def __init__(self, *, none: bool = True, bare: bool = False) -> None:
        """`none`: zero is a duration, too. `bare`: a number alone is one of seconds, as `timeout` and `sleep` take it.

        Nothing else may be bare: 4 is minutes to who comes from Slurm, and hours to who thinks of his training.
        """
        self.none, self.bare = none, bare

    def read(self, text: str) -> float:
        number = re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII)
        if number is not None and not self.bare and float(text):
            msg = f"{text} what? {text}s, {text}m or {text}h"
            raise ValueError(msg)
        if number is None and re.fullmatch(DURATION, text, re.ASCII) is None:
            msg = f"{text!r} is no duration; durations look like 90s, 30m, 4h, 1h30m or 2d"
            raise ValueError(msg)
        parts = [(text, "s")] if number else re.findall(r"([\d.]+)([smhd])", text)
        seconds = sum(float(count) * UNITS[unit] for count, unit in parts)
        if not seconds and not self.none:
            msg = f"{text!r} is no time at all; leave it out for no limit, or give one as 30m or 4h"
            raise ValueError(msg)
        if seconds > LONGEST:
            msg = f"{text!r} is more than ten years"
            raise ValueError(msg)
        return seconds

    def show(self, value: Any) -> str:
        rest, found = int(value), ""
        if rest != value:
            return f"{value:f}".rstrip("0") + "s"
        for name, unit in UNITS.items():
            count, rest = divmod(rest, unit)
            found += f"{count}{name}" if count else ""
        return found or "0s"


class Size(Exact):
    """`8GiB` (or `8G`), `500MB`, in bytes."""

    name = "size"

    def read(self, text: str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", text, re.ASCII)
        units = {name.lower(): size for name, size in SIZES.items()} | SHORT
        unit = None if match is None else units.get(match[2].lower())
        if match is not None and not match[2]:
            msg = f"{text!r} has no unit; write {match[1]}GiB or {match[1]}GB"
            raise ValueError(msg)
        if match is None or unit is None:
            msg = f"{text!r} is no size; sizes look like 8GiB or 500MB (units: {', '.join(SIZES)}; G is GiB)"
            raise ValueError(msg)
        if not 1 <= float(match[1]) * unit <= LARGEST:
            msg = f"{text!r} is no size that a machine could have"
            raise ValueError(msg)
        return int(float(match[1]) * unit)

    def show(self, value: Any) -> str:
        """In whole units of a power of two, or else of ten: 32 GiB, 500 MB, 12345 B."""
        for name, unit in reversed((*((name, size) for name, size in SIZES.items() if "i" not in name), *BINARY)):
            if value >= unit and value % unit == 0:
                return f"{value // unit} {name}"
        return f"{value} B"


class Share(Exact):
    """As Size, or `auto`: what the last runs of the same command have used at most."""

    name = "size|auto"

    def read(self, text: str) -> int | str:
        return "auto" if text.lower() == "auto" else Size().read(text)

    def show(self, value: Any) -> str:
        return "auto" if value == "auto" else Size().show(value)


class Gpus(Form):
    """`0,2`, `0-3`, `GPU-8d3f` (a UUID or its beginning), in the order given."""

    name = "gpus"

    def read(self, text: str) -> list[int | str]:
        found = [gpu for part in text.split(",") for gpu in gpus(part.strip())]
        twice = next((gpu for gpu in found if found.count(gpu) > 1), None)
        if twice is not None:
            msg = f"{text!r} names GPU {twice} twice"
            raise ValueError(msg)
        return found

    def take(self, value: object) -> object:
        return self.read(",".join(map(str, value))) if isinstance(value, list) else super().take(value)

    def show(self, value: Any) -> str:
        return ", ".join(map(str, value))


def gpus(part: str) -> list[int | str]:
    if re.fullmatch(r"[A-Za-z][\w:/.-]{0,199}", part, re.ASCII):
        return [part]
    match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part, re.ASCII)
    if match is None or max(int(match[1]), int(match[2] or 0)) > 1023:
        msg = f"{part!r} is no GPU; GPUs look like 0, 0-3, 0,2 or GPU-8d3f (the beginning of a UUID)"
        raise ValueError(msg)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        msg = f"{part!r} ends before it starts"
        raise ValueError(msg)
    return [*range(first, last + 1)]


class Moment(Form):
    """`18:00` (the next such time here), `2h`, `in 2h`, `2026-12-24 18:00`, `2026-12-24T18:00Z`, seconds since 1970."""

    name = "time"

    def read(self, text: str) -> float:
        at = self._at(text.strip())
        if at <= time.time():
            msg = f"{text!r} is over already"
            raise ValueError(msg)
        if at > LATEST:
            msg = f"{text!r} is too far away: no job waits until the year 5138"
            raise ValueError(msg)
        return at

    def _at(self, text: str) -> float:
        later = re.fullmatch(rf"(?:in )?({DURATION})", text, re.ASCII)
        if later is not None:
            return time.time() + Duration().read(later[1])
        if re.fullmatch(r"\d{9,11}(\.\d+)?", text, re.ASCII):
            return float(text)
        return next_time(text) if TIME_OF_DAY.fullmatch(text) else date_time(text)

    def show(self, value: Any) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))

    def give(self, value: Any) -> object:
        """An hour that the clock shows twice, or a fraction of a second, is not said by the text."""
        text = self.show(value)
        return text if date_time(text) == value else value


def next_time(text: str) -> float:
    """The next moment at which a clock here shows this."""
    from datetime import datetime, timedelta

    hour, minute, second = map(int, [*text.split(":"), "0"][:3])
    now = datetime.now().astimezone()
    at = now.replace(hour=hour, minute=minute, second=second, microsecond=0, tzinfo=None)
    if at.timestamp() <= now.timestamp():
        at += timedelta(days=1)  # by the calendar, since a day of 23 hours has an 18:00, too
    return at.timestamp()


def date_time(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time; times look like 18:00, 2h, '2026-12-24 18:00' or 2026-12-24T18:00Z"
        raise ValueError(msg) from None


class Priority(Form):
    """`low`, `normal`, `high` or a number."""

    name = "priority"

    def read(self, text: str) -> int | str:
        if text in {"low", "normal", "high"}:
            return text
        if re.fullmatch(r"[+-]?\d{1,10}", text, re.ASCII) is None or abs(int(text)) > 2**31:
            msg = f"{text!r} is no priority; it is low (-100), normal (0), high (100) or a number up to {2**31:,}"
            raise ValueError(msg)
        return int(text)


class Pair(Form):
    """`KEY=VALUE`."""

    name = "key=value"

    def __init__(self, looks: str = "KEY=VALUE") -> None:
        self.looks = looks

    def read(self, text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not key or not equals:
            msg = f"{text!r} is not {self.looks}"
            raise ValueError(msg)
        return key, value
