"""Lines as pure data: parts of text with the names of their styles, and how they are made to fit."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from trainqueue.cli.screen import cells, padded, shortened
from trainqueue.cli.screen import clean as uncontrolled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Part = tuple[str, str]
Line = tuple[Part, ...]

LONGEST = 400
"""Characters of a text that are looked at: no terminal shows more of it in a line."""
NOWHERE = frozenset({"Mn", "Me", "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
INVISIBLE = re.compile("[\u00ad\u061c\u115f\u180e\u200b-\u200f\u2060-\u2064\u3164\ufe00-\ufe0f\ufeff\uffa0]")
"""What takes no place, or one on some terminals alone: a name that is shown needs none of it."""


def clean(text: object) -> str:
    """Of unknown origin, in one line: nothing that a terminal obeys, or of which nobody knows how wide it is."""
    short = str(text)[:LONGEST]
    if short.isascii() and short.isprintable():
        return short
    plain = INVISIBLE.sub("", unicodedata.normalize("NFC", uncontrolled(short)))
    return "".join(one for one in plain if unicodedata.category(one) not in NOWHERE)


def part(text: object, width: int, style: str = "", *, right: bool = False) -> Part:
    """Cleaned, exactly so wide."""
    said = clean(text)
    if right and cells(said) <= width:
        return " " * (width - cells(said)) + said, style
    return padded(said, width), style


def joined(parts: Iterable[Part], gap: str = "  ") -> Line:
    """Those that are not empty."""
    found: list[Part] = []
    for one in parts:
        if one[0]:
            found += [(gap, ""), one] if found else [one]
    return tuple(found)


def plain(line: Line) -> str:
    return "".join(text for text, _ in line)


def cut(line: Sequence[Part], width: int) -> Line:
    """At most so wide; an ellipsis where something is missing."""
    if cells("".join(text for text, _ in line)) <= width:
        return tuple(line)
    found: list[Part] = []
    room = max(0, width - 1)
    for text, style in line:
        kept = shortened(text, room)
        found.append((kept, style))
        room -= cells(kept)
        if kept != text:
            break
    return (*found, ("…"[:width], ""))


def ends(left: Sequence[Part], right: Sequence[Part], width: int) -> Line:
    """One at each side. Where there is no room for both the left one is cut, or, if little were left of it, alone."""
    wide, kept = cells("".join(text for text, _ in left)), cells("".join(text for text, _ in right))
    if width - kept - 1 < min(wide, width // 2):
        return cut(left, width)
    shown = cut(left, width - kept - 1)
    return (*shown, (" " * (width - kept - cells(plain(shown))), ""), *right)


def rule(title: Sequence[Part], width: int) -> Line:
    """A heading: title and a line up to the edge."""
    line = cut([*title, (" ", "")], width)
    return (*line, ("─" * (width - cells(plain(line))), "dim"))
