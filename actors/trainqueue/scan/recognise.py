"""One line of a log to what it says; None for nearly all lines, which has to be quick: `in` first, then a regex."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainqueue.scan import bars, lines
from trainqueue.scan.words import ANSI

if TYPE_CHECKING:
    from trainqueue.scan.reading import Reading

LONGEST = 1000
"""Characters; nobody shows progress in a longer line."""
BLANKS, MOST_BLANKS = re.compile(r"\s{9,}"), " " * 8
"""More of them say no more; a pattern gets to see at most so many, and reckons with no more."""


def recognise(line: str) -> Reading | None:
    if len(line) > LONGEST or len(line) < 5:
        return None
    if "\x1b" in line:
        line = ANSI.sub("", line)
    if MOST_BLANKS in line or "\t" in line:
        line = BLANKS.sub(MOST_BLANKS, line)
    if "%|" in line:
        return bars.tqdm(line)
    if "━" in line or "╺" in line:
        return bars.rich(line)
    if line[0] == "{":
        return lines.dictionary(line)
    if "it [" in line or "s/it" in line:
        found = bars.endless(line)
        if found is not None:
            return found
    return in_words(line)


def in_words(line: str) -> Reading | None:
    lower = line.lower()
    found: Reading | None = None
    if "epoch" in lower:
        found = lines.epoch(line, lower) or (lines.promise(line) if "num" in lower or "max_" in lower else None)
    elif "step" in lower or "iter" in lower or "batch" in lower or "episode" in lower:
        found = lines.step(line, lower) or (lines.promise(line) if "total" in lower or "max_" in lower else None)
    elif "fold " in lower or "trial " in lower or "round " in lower:
        found = lines.step(line, lower)
    if found is None and "/" in line:
        if "] - " in line or "/step" in line or ("/Unknown" in line):
            found = bars.keras(line)
        if found is None and "[" in line and "]" in line:
            found = lines.bracket(line)
    if found is None and ("loss" in lower or "acc" in lower):
        found = lines.measure(line)
    return found
