"""How people write ids, GPUs, durations, sizes, times, priorities, retries; what is wrong is said with an example."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, get_args

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
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
LARGEST = 2**60
"""Bytes; the wire takes no more."""
DURATION = r"(?:\d+(?:\.\d+)?[smhd])+"


class Form(click.ParamType[Any]):
    """A text that `read` turns into what the wire wants. It raises ValueError with a sentence."""

    name = "form"

    def read(self, text: str) -> object:
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


class Ids(Form):
    """`3`, `3-7`, `3,5,8-9`."""

    name = "ids"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del param
        from trainqueue.cli.completion import of_ids

        return of_ids(ctx, incomplete)

    def read(self, text: str) -> list[int]:
        return [job for part in text.split(",") for job in ids(part)]


class Group(Form):
    """One group, by its name; several as a JSON list."""

    name = "group"

    def read(self, text: str) -> list[str]:
        return [text]


class OrNone(Form):
    """As the form, or an empty text for none of them."""

    def __init__(self, form: Form) -> None:
        self.form, self.name = form, form.name

    def read(self, text: str) -> object:
        return self.form.read(text) if text else []


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


class Duration(Form):
    """`90`, `90s`, `30m`, `1h30m`, `2d`, in seconds."""

    name = "duration"

    def read(self, text: str) -> float:
        if re.fullmatch(rf"\d+(\.\d+)?|{DURATION}", text, re.ASCII) is None:
            msg = f"{text!r} is no duration; durations look like 90s, 30m, 4h, 1h30m or 2d"
            raise ValueError(msg)
        return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd]?)", text))


class Size(Form):
    """`8GiB`, `500MB`, in bytes."""

    name = "size"

    def read(self, text: str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", text, re.ASCII)
        unit = None if match is None else {name.lower(): size for name, size in SIZES.items()}.get(match[2].lower())
        if match is not None and not match[2]:
            msg = f"{text!r} has no unit; write {match[1]}GiB or {match[1]}GB"
            raise ValueError(msg)
        if match is None or unit is None:
            msg = f"{text!r} is no size; sizes look like 8GiB or 500MB (units: {', '.join(SIZES)})"
            raise ValueError(msg)
        if not 1 <= float(match[1]) * unit <= LARGEST:
            msg = f"{text!r} is no size that a GPU could have"
            raise ValueError(msg)
        return int(float(match[1]) * unit)


class Share(Form):
    """As Size, or `auto`: what the last runs of the same command have used at most."""

    name = "size|auto"

    def read(self, text: str) -> int | str:
        return "auto" if text == "auto" else Size().read(text)


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
        return at

    def _at(self, text: str) -> float:
        later = re.fullmatch(rf"(?:in )?({DURATION})", text, re.ASCII)
        if later is not None:
            return time.time() + Duration().read(later[1])
        if re.fullmatch(r"\d{9,11}(\.\d+)?", text, re.ASCII):
            return float(text)
        return next_time(text) if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text, re.ASCII) else date_time(text)


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
            msg = f"{text!r} is no priority; it is low (-100), normal (0), high (100) or a number"
            raise ValueError(msg)
        return int(text)


class Retries(Form):
    """`exit=2,reboot=3,lost=1`: how often to begin again after which cause."""

    name = "retries"

    def read(self, text: str) -> dict[str, int]:
        return dict(retry(part.strip()) for part in text.split(","))


def retry(part: str) -> tuple[str, int]:
    from trainqueue.core.job import Cause

    cause, _, times = part.partition("=")
    cause = "runner-died" if cause == "lost" else cause  # the other way to be lost, a reboot, has a name of its own
    known = get_args(Cause)
    if cause not in known:
        msg = f"{cause!r} is no cause; the causes are {', '.join(known)}"
        raise ValueError(msg)
    if not re.fullmatch(r"\d{1,6}", times, re.ASCII):
        msg = f"{part!r} does not say how often; retries look like exit=2,reboot=1"
        raise ValueError(msg)
    return cause, int(times)


class Pair(Form):
    """`KEY=VALUE`."""

    name = "key=value"

    def read(self, text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not key or not equals:
            msg = f"{text!r} is not KEY=VALUE"
            raise ValueError(msg)
        return key, value
