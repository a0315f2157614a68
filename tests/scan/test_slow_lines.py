"""Lines that are made to be slow: `re` holds the interpreter's lock, so that one of them would stop the daemon."""

from __future__ import annotations

import re
import time
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from trainqueue.core import shape
from trainqueue.runner import lastwords
from trainqueue.scan import Told, bars, counter, hints, lines, recognise, words

if TYPE_CHECKING:
    from collections.abc import Callable

MODULES = (bars, counter, hints, lines, words, lastwords, shape)
PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}
MOST = 0.1
"""Seconds of processor time; usual is less than a thousandth, and a cubic pattern took several."""
STARTS = (
    *(
        "",
        "epoch",
        "epoch 3",
        "epoch 3/4",
        "step",
        "step 3",
        "iter [3",
        "[3",
        "[3/4",
        "[3/4 (",
        "loss",
        "loss=",
        "'loss'",
    ),
    *(
        "train loss",
        "a",
        "'",
        "1",
        "--epochs",
        "━",
        "━━ ",
        "a ━",
        "x: ━ 3/4",
        "  1%|",
        "  1%| 3/4",
        "  1%| 3/4 [",
        "3it [",
    ),
    *(
        "  1%| 3/4 [1<1,",
        "a: 3it [1:1,",
        "3/4 ",
        "3/4 [",
        "3/4 ━",
        "{'loss': 'epoch': ",
        "num epochs",
        "max_steps =",
        "\x1b[",
    ),
    *("Traceback (most recent call last):", "ValueError", "[rank", "(pid=", "Unable to allocate "),
)
RUNS = (
    *(
        " ",
        "\t",
        "\u3000",
        "1",
        ".",
        "a",
        "━",
        "╸",
        "[",
        "]",
        "(",
        "'",
        '"',
        ":",
        "/",
        "-",
        "=",
        ",",
        "|",
        "%",
        "_",
        "\x1b[",
    ),
    *(
        " \t",
        "1 ",
        ". ",
        "━ ",
        " ━",
        "1.",
        "1,",
        "1:",
        "1/",
        "a.",
        "a ",
        "a=",
        "a: ",
        "a:1",
        "[1",
        "[ ",
        "[1/1(",
        "' ",
        "= ",
    ),
    *(
        "epoch ",
        "epoch",
        "step ",
        "step:[",
        "loss ",
        "train ",
        "train_loss ",
        "1 [1:1,",
        "a: 1 [1:1,",
        "%| 1/1 [",
        "Error",
    ),
    *(
        "-e.",
        "| ",
        "\x1b[0",
        "<",
        "• ",
        "1:1 • ",
        "validat",
        "OOM when allocating tensor",
        "by allocator ",
        "/Unknown ",
    ),
)
ENDS = ("", "x", "━", "]", " 3/", "%|", "it [", "\u00e9")

KNOWN = (
    "epoch" + " " * 900 + "x",
    "step" + " " * 900 + "x",
    " " * 900 + "━",
    "━" * 400 + " " * 400 + "x",
    "a" + " " * 900,
)
"""What has stopped it."""
SEARCHED = (
    "IN_NAME",
    "MINOR",
    "FILE",
    "UNIT",
    "BRACKET",
    "PASSES",
    "NAMED",
    "PLAIN",
    "VALUE",
    "BAR",
    "ANSI",
    "GPU",
    "HOST",
)


def made(length: int) -> list[str]:
    """Starts, then one thing again and again, or two, and ends: of so many characters."""
    one = [(start, run * (length // len(run))) for start in STARTS for run in RUNS]
    half = length // 2
    two = [("", run * (half // len(run)) + other * (half // len(other))) for run in RUNS[:12] for other in RUNS]
    found = [f"{start}{run}"[: length - len(end)] + end for start, run in chain(one, two) for end in ENDS]
    return [*KNOWN, *found[:: 53 * length // 1000]]


LINES = {length: made(length) for length in (1000, 4000)}


def slowest(act: Callable[[str], object], several: list[str]) -> tuple[float, str]:
    found = 0.0, ""
    for line in several:
        began = time.thread_time()
        act(line)
        found = max(found, (time.thread_time() - began, f"{line[:60]!r}...{line[-20:]!r}"))
    return found


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("length", LINES)
def test_no_pattern_is_slow(name: str, length: int) -> None:
    pattern = PATTERNS[name]
    act = pattern.findall if name.endswith((*SEARCHED, "PROMISE", "COLOUR", "DIGITS")) else pattern.match
    took, line = slowest(act, LINES[length])
    assert took < MOST, line


@pytest.mark.parametrize("length", LINES)
def test_no_line_is_slow(length: int) -> None:
    told = Told()

    def hear(line: str) -> None:
        recognise(line)
        words.metrics(line[:1000])
        told.scanner.feed(f"{line}\n".encode(), 1.0)
        told.map(1.0, 1.0)

    took, line = slowest(hear, LINES[length])
    assert took < MOST, line


def test_no_word_of_a_command_is_slow() -> None:
    took, line = slowest(lambda line: hints.Hints.of([f"--{line}=3", line, "3"]), [*LINES[4000], "a." * 50_000])
    assert took < MOST, line


def test_no_end_of_a_log_is_slow() -> None:
    took, line = slowest(lambda line: lastwords.listen(f"Traceback (most recent call last):\n{line}"), LINES[4000])
    assert took < MOST, line
