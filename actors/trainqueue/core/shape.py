"""What two commands have in common: those of a sweep differ in the values of their options, and take about as long.

`train.py --lr 0.1` and `train.py --lr 0.01` are of one shape: the same program and script in the same folder, the same
names of options, as many GPUs. What differs is kept beside it, as values by name: some of them (`--epochs`) may tell
how long a run takes, and most (`--seed`) do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainqueue.core.spec import JobSpec

NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?$")
DIGITS = re.compile(r"\d+")
SETTING = re.compile(r"[+~A-Za-z_][\w./@-]*=")
"""The beginning of `optimizer.lr=0.1`, and of `LR=0.1`."""
SCRIPT = re.compile(r"\.(py|sh|bash|pl|R|jl|lua|js|ipynb)$")
MOST = 64
"""Words of a command that are looked at: nobody sweeps over more, and a command may have 100,000."""
LONGEST = 200
"""Characters of one word that count."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`script`: the least that two commands may have in common; `whole`: all but the values."""

    script: tuple[object, ...]
    whole: tuple[object, ...]
    values: dict[str, str] = field(compare=False)


def shape(spec: JobSpec) -> Shape:
    extra = tuple(sorted(spec.env_extra.items())[:MOST])
    return _shape(spec.cwd, spec.command[:MOST], spec.gpus, extra)


@lru_cache(maxsize=16_384)
def _shape(cwd: str, command: tuple[str, ...], gpus: int, extra: tuple[tuple[str, str], ...]) -> Shape:
    words = [*_words(command)]
    values, named = dict[str, str](), list[str]()
    option: str | None = None
    for word in words[1:]:
        if word.startswith("-") and len(word) > 1 and not NUMBER.match(word):
            option, _, value = word.partition("=")
            values[option] = value
            option = None if value else option
        elif setting := SETTING.match(word):
            values[setting.group()], option = word[setting.end() :], None
        elif option is None or option == "-m" or _is_script(word, named):
            if NUMBER.match(word) and option is not None:
                values[option] += f" {word}"
            else:
                values[f"#{len(named)}"] = word
                named.append(DIGITS.sub("#", word))
                option = None
        elif not values[option]:
            values[option] = word
        elif NUMBER.match(word):
            values[option] += f" {word}"  # one of several values
        else:
            values[f"#{len(named)}"] = word
            named.append(DIGITS.sub("#", word))
            option = None
    values |= {f"${name}": value for name, value in extra}
    options = tuple(sorted(name for name in values if not name.startswith("#")))
    script = (cwd, words[0], *named[:1], gpus)
    return Shape(script, (cwd, words[0], tuple(named), options, gpus), values)


def _words(command: Iterable[str]) -> Iterator[str]:
    """Those of what `bash -c` is given each by itself."""
    before = ""
    for word in command:
        yield from ([part[:LONGEST] for part in word.split()[:MOST]] if before in {"-c", "-lc"} else [word[:LONGEST]])
        before = word


def _is_script(word: str, named: list[str]) -> bool:
    """Not the value of the option before it, as in `python -u train.py`."""
    return not named and SCRIPT.search(word) is not None
