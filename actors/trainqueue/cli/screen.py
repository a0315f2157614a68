"""What people see: tables that fit the terminal, times, bars, and texts without what a terminal would obey.

Our own small table: rich takes 25 to 35 ms to import and draw, a third of all that `status` takes now.
"""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from itertools import compress
from typing import TYPE_CHECKING

import click

from trainqueue.core.words import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

GAP = "  "
NARROW = 8
"""Columns are not cut below this."""
ELASTIC = 12
"""Nor is the elastic column for the sake of a sentence."""


def clean(text: object) -> str:
    """Text of unknown origin without control and direction characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", str(text))


def clock(at: float | None) -> str:
    """A local time for people."""
    try:
        return time.strftime("%d %b %H:%M:%S", time.localtime(at)) if at is not None else ""
    except (OverflowError, ValueError, OSError):  # no clock shows it
        return ""


def took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(fraction: float | None, width: int = 12) -> str:
    if fraction is None:
        return ""
    full = min(round(fraction * width), width - (fraction < 1))
    done, rest = "█░" if encodable("█░") else "#."
    return done * full + rest * (width - full) + f" {percent(fraction):3}%"


def encodable(text: str) -> bool:
    """By standard output."""
    try:
        text.encode(sys.stdout.encoding)
    except (UnicodeEncodeError, LookupError, TypeError):
        return False
    return True


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    write: Callable[[str], None] = click.echo,
    *,
    elastic: int | None = None,
) -> None:
    """Aligned and cut to the width on a terminal; whole and tab-separated in a pipe.

    With `elastic`, that column gives way to the last one, which is a sentence: it is never cut, but goes on below; and
    a terminal has no room for columns with nothing in them.
    """
    lines = [[*heads], *([clean("" if cell is None else cell) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        for line in lines:
            write("\t".join(line))
    elif elastic is None:
        draw(lines, fitting(widest(lines), terminal_width()), write)
    else:
        keep = [at in {elastic, len(heads) - 1} or any(line[at] for line in lines[1:]) for at in range(len(heads))]
        lines = [[*compress(line, keep)] for line in lines]
        widths = fitting(yielding(widest(lines), terminal_width(), sum(keep[:elastic])), terminal_width())
        for line in lines:
            draw(([*start, part] for start, part in below(line, widths[-1])), widths, write)


def draw(lines: Iterable[list[str]], widths: list[int], write: Callable[[str], None]) -> None:
    for line in lines:
        write(GAP.join(padded(text, width) for text, width in zip(line, widths, strict=True)).rstrip())


def widest(lines: list[list[str]]) -> list[int]:
    return [max(map(cells, column)) for column in zip(*lines, strict=True)]


def below(line: list[str], width: int) -> Iterator[tuple[list[str], str]]:
    """The line, and below it what its last text needs more."""
    *others, last = line
    for at, part in enumerate(folded(last, width)):
        yield [""] * len(others) if at else others, part


def yielding(widths: list[int], most: int, elastic: int) -> list[int]:
    """The elastic column gives way to the last one, and what is still too much the last one folds."""
    *others, last = widths
    others[elastic] = 0
    room = most - sum(others) - len(GAP) * len(others)
    others[elastic] = max(min(widths[elastic], room - last), min(widths[elastic], ELASTIC))
    return [*others, max(min(last, room - others[elastic]), NARROW)]


def folded(text: str, width: int) -> list[str]:
    """In lines of at most `width` columns, between words where that is possible."""
    lines = [""]
    for word in text.split(" "):
        line, rest = f"{lines[-1]} {word}" if lines[-1] else word, ""
        if cells(line) <= width:
            lines[-1] = line
            continue
        rest = word
        if lines[-1]:
            lines.append("")
        while cells(rest) > width:
            kept = shortened(rest, width)
            lines[-1], rest = kept, rest[len(kept) :]
            lines.append("")
        lines[-1] = rest
    return lines


def terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def can_be_painted() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}


def fitting(widths: list[int], most: int) -> list[int]:
    """The widest columns give way until all fit, or none can give more."""
    widths = [*widths]
    while sum(widths) + len(GAP) * (len(widths) - 1) > most and max(widths) > NARROW:
        widths[widths.index(max(widths))] -= 1
    return widths


def cells(text: str) -> int:
    """The columns that a text takes: East Asian characters and emoji take two, accents none."""
    return len(text) if text.isascii() else sum(map(cell, text))


def cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int) -> str:
    """Exactly `width` columns; a text that is cut says so by an ellipsis."""
    if cells(text) <= width:
        return text + " " * (width - cells(text))
    kept = shortened(text, width - 1)
    return kept + "…" + " " * (width - 1 - cells(kept))


def shortened(text: str, width: int) -> str:
    """The beginning that takes at most `width` columns."""
    room = width
    for at, character in enumerate(text):
        room -= cell(character)
        if room < 0:
            return text[:at]
    return text
