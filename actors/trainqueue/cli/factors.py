"""How people write arrays and sweeps: the options of `submit` for them."""

from __future__ import annotations

import re

import click

from trainqueue.cli.forms import Form

NAME = r"[A-Za-z_][\w.-]*"
WHOLE = r"-?\d+"
RANGE_OF_OTHERS = re.compile(r"(\d+)(?:-(\d+)|:(\d+)|\.\.(\d+)(?=:))(?::(\d+))?", re.ASCII)
"""As arrays, NumPy and shells have it: 0-4, 0:4, 0..9:2."""
DIGITS = 18
"""Of a whole number in a range."""
Values = list[str | range]


class Literal(str):
    """A text in which braces stand for themselves."""

    __slots__ = ()


class Array(Form):
    """`0-9`, `1,3,7-9`, `0-100:10`."""

    name = "indices"

    def read(self, text: str) -> Values:
        if "%" in text:
            number = text.partition("%")[2] or "N"
            msg = f"{text!r}: how many run at a time is said with --max-running {number}"
            raise ValueError(msg)
        return [self._range(part.strip()) for part in text.split(",")]

    def _range(self, part: str) -> range:
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part, re.ASCII)
        if match is None:
            msg = f"{part!r} is no index; arrays look like 0-9, 1,3,7-9 or 0-100:10"
            raise ValueError(msg)
        first, last, step = match.groups()
        return span(part, first, last or first, step or "1")


class Factor(Form):
    """`lr=1e-3,1e-4`, `seed=0..4`, `width=64..512..64`."""

    name = "name=values"

    def read(self, text: str) -> tuple[str, Values]:
        name, equals, values = text.partition("=")
        if not equals or not re.fullmatch(NAME, name, re.ASCII):
            msg = f"{text!r} is not NAME=VALUES; sweeps look like lr=1e-3,1e-4 or seed=0..4"
            raise ValueError(msg)
        if not values:
            msg = f"{name} has no values; sweeps look like lr=1e-3,1e-4 or seed=0..4"
            raise ValueError(msg)
        if (meant := RANGE_OF_OTHERS.fullmatch(values)) is not None:
            numbers = "..".join(filter(None, meant.groups()))
            msg = f"{values!r} would be one value; a range is {name}={numbers}"
            raise ValueError(msg)
        return name, [some(part) for part in values.split(",")]


def some(part: str) -> str | range:
    """A range of whole numbers, its end included, or else a value as it stands."""
    match = re.fullmatch(rf"({WHOLE})\.\.({WHOLE})(?:\.\.({WHOLE}))?", part, re.ASCII)
    if match is not None:
        return span(part, match[1], match[2], match[3] or "1")
    number = r"[-+]?[\d.]*\d(?:[eE][-+]?\d+)?"
    if re.fullmatch(rf"{number}\.\.{number}(?:\.\.{number})?", part, re.ASCII):
        msg = f"{part!r} is no range of whole numbers; others are listed one by one: 0.1,0.2"
        raise ValueError(msg)
    return part


def span(part: str, *numbers: str) -> range:
    """From the first one to the last one, by the step. Raises ValueError."""
    large = next((number for number in numbers if len(number.lstrip("-")) > DIGITS), None)
    if large is not None:
        msg = f"{large if len(large) < 50 else large[:50] + '…'} is too large for a range; it ends at {10**DIGITS - 1}"
        raise ValueError(msg)
    first, last, step = map(int, numbers)
    if step == 0 or (last - first) * step < 0:
        msg = f"{part!r} ends before it starts" if step else f"{part!r} never ends: its step is 0"
        raise ValueError(msg)
    return range(first, last + (1 if step > 0 else -1), step)


SWEEP_OPTIONS = [
    click.option("--array", type=Array(), help="A job for each index: 0-9 or 0-100:10; {index}, $TRAINQ_ARRAY_INDEX."),
    click.option("--sweep", type=Factor(), multiple=True, help="A job for each value, {lr} in the command: lr=1e-3,1e-4"
                 " or seed=0..4; repeated: for each combination."),
    click.option("--from-csv", metavar="FILE", help="A job for each line, under a header with names; - is the input."),
    click.option("--zip", "zipped", is_flag=True, help="The first values together, then the second: no combinations."),
    click.option("--dry-run", is_flag=True, help="Print what would be queued, and queue nothing."),
]  # fmt: skip
