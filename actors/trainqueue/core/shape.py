"""What two commands have in common: those of a sweep differ in the values of their options, and take about as long.

`train.py --lr 0.1` and `train.py --lr 0.01` are of one shape: the same program and script in the same folder, the same
names of options, as many GPUs. What differs is kept beside it, as values by name: some of them (`--epochs`) may tell
how long a run takes, and most (`--seed`) do not.

Commands with something in common have a number in common. The words themselves of some thousand commands would take
more memory than all that is learnt of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from sys import intern
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainqueue.core.spec import JobSpec

NUMBER = re.compile(r"[-+]?(\d[\d_]*(?:\.\d*)?|\.\d+)([eE][-+]?\d+)?$")
DIGITS = re.compile(r"\d+")
SETTING = re.compile(r"[+~A-Za-z_][\w./@-]*=")
"""The beginning of `optimizer.lr=0.1`, and of `LR=0.1`."""
SCRIPT = re.compile(r"\.(py|sh|bash|pl|R|jl|lua|js|ipynb)$")
MOST = 64
"""Words of a command that are looked at: nobody sweeps over more, and a command may have 100,000."""
SLEPT = "seconds"
"""What the only argument of `sleep` is called."""
FOLDER = "folder"
"""What its folder is called, which is a value like others where jobs of several folders are compared."""
LONGEST = 200
"""Characters of one word that count."""


KEPT = 1024
"""Commands of which the shape is kept at hand."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`whole`: all but the values; `script`: the least that two commands of one folder may have in common.

    `elsewhere`: as `whole`, in whichever folder, such as another worktree of the same code.
    """

    whole: int
    script: int
    elsewhere: int
    values: dict[str, str] = field(compare=False)


def shape(spec: JobSpec) -> Shape:
    extra = tuple(sorted(spec.env_extra.items())[:MOST])
    return _shape(spec.cwd, spec.command[:MOST], spec.gpus, extra)


def number(*words: object) -> int:
    """The same for the same words, also in the next daemon: 64 bits."""
    return int.from_bytes(blake2b(repr(words).encode(errors="replace"), digest_size=8).digest(), "big")


@lru_cache(maxsize=KEPT)
def _shape(cwd: str, command: tuple[str, ...], gpus: int, extra: tuple[tuple[str, str], ...]) -> Shape:
    program, *words = (word.removeprefix(f"{cwd}/") for word in _words(command))
    values, named = dict[str, str](), list[str]()
    option: str | None = None
    for word in words:
        if word.startswith("-") and len(word) > 1 and not NUMBER.match(word):
            option, _, value = word.partition("=")
            values[option] = value
            option = None if value else option
        elif setting := SETTING.match(word):
            values[setting.group()], option = word[setting.end() :], None
        elif option is not None and _takes(option, values[option], word, named):
            values[option] = f"{values[option]} {word}".strip()
        else:
            values[SLEPT if program.endswith("sleep") else f"#{len(named)}"] = word
            named.append("#" if NUMBER.match(word) else DIGITS.sub("#", word))
            option = None
    values |= {f"${name}": value for name, value in extra}
    options = sorted(name for name in values if not name.startswith("#"))
    whole = (program, named, options, gpus)
    values = {intern(name): intern(value) for name, value in values.items()}  # most jobs of a sweep have most of them
    values[FOLDER] = cwd
    return Shape(number(cwd, *whole), number(cwd, program, named[:1], gpus), number(*whole), values)


def _words(command: Sequence[str]) -> Iterator[str]:
    """Those of what `bash -c` is given each by itself; its program is the first of them."""
    first, rest = command[0], command[1:]
    if len(rest) > 1 and rest[0] in {"-c", "-lc"} and (inner := rest[1].split()[:MOST]):
        first, rest = f"{first} {rest[0]} {inner[0]}", (*inner[1:], *rest[2:])
    yield first[:LONGEST]
    for word in rest:
        yield word[:LONGEST]


def _takes(option: str, value: str, word: str, named: list[str]) -> bool:
    """Whether this word is a value of the option before it: the first one, or one of several numbers.

    Not in `python -m train`, nor is the script in `python -u train.py`.
    """
    is_script = option == "-m" or (not named and SCRIPT.search(word))
    return not is_script and (not value or NUMBER.match(word) is not None)
