"""What people see: tables that fit the terminal, times, bars, and texts without what a terminal would obey.

Our own small table: rich takes 25 to 35 ms to import and draw, a third of all that `status` takes now.
"""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

GAP = "  "
NARROW = 8
"""Columns are not cut below this."""


def clean(text: object) -> str:
    """Text of unknown origin without control and direction characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", str(text))


def clock(at: float | None) -> str:
    """A local time for people."""
    return time.strftime("%d %b %H:%M:%S", time.localtime(at)) if at is not None else ""


def took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(fraction: float | None, width: int = 12) -> str:
    if fraction is None:
        return ""
    full = round(fraction * width)
    return "█" * full + "░" * (width - full) + f" {fraction:4.0%}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], write: Callable[[str], None] = click.echo) -> None:
    """Aligned and cut to the width on a terminal; whole and tab-separated in a pipe."""
    lines = [[*heads], *([clean("" if cell is None else cell) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        for line in lines:
            write("\t".join(line))
        return
    widths = fitting([max(cells(line[at]) for line in lines) for at in range(len(heads))], terminal_width())
    for line in lines:
        write(GAP.join(padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip())


def terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


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
    kept, room = "", width - 1
    for character in text:
        room -= cell(character)
        if room < 0:
            break
        kept += character
    return kept + "…" + " " * (width - 1 - cells(kept))
