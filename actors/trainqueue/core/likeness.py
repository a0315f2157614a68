"""What earlier runs of one script tell of the next: which of its options matter for how long it takes.

Nobody knows what `--epochs` or `--model` mean; but the runs tell. Beginning with the median of their logarithms, the
option whose values explain most of what is left is taken, again and again, as long as that is more than chance: as a
factor for each value seen several times (`--model big`), or, of numbers, as a power (`--epochs 20` takes twice as long
as 10). The group is such an option as well: jobs of one sweep are more alike than those of two; and so is the folder.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from math import log, sqrt
from operator import mul, truediv
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.core.shape import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST = 4
"""Options that count."""
WORTH = 0.75
"""An option must leave no more than this of the variance, as far as so few runs can tell."""
LEAST = 1e-4
"""Nor is there much to explain below this variance: runs that differ by one in a hundred."""
TIMES = ("seconds", "secs", "minutes", "hours", "duration")
LENGTHY = frozenset({"epoch", "epochs", "step", "steps", "iter", "iters", "iterations", "rounds", "updates", *TIMES})
BEFORE = frozenset({"max", "num", "n", "total", "train", "training", "trainer", "opt", "args", "cfg", "config"})
"""The names of options to whose values the length is taken to be proportional, until the runs say something else."""
GROUP = "group"
NEW_WORD, NEW_NUMBER = 0.4, 0.1
"""How widely runs with a value spread that nobody has tried: --model big, --lr 0.3..."""
NEW = {GROUP: 0.15, FOLDER: 0.4}
"""... another sweep, another folder."""
LONGEST = 24
"""Characters of a number."""


@dataclass(frozen=True, slots=True)
class Run:
    """`seconds` as a logarithm; the values of its options, and the group, by name."""

    seconds: float
    values: Mapping[str, str]


@dataclass(slots=True)
class Effect:
    """What one option does, as something to add to the logarithm."""

    name: str
    by_value: dict[str, float] = field(default_factory=dict[str, float])
    power: float | None = None
    middle: float = 0.0
    """Of the logarithms of its values, where it is a power."""
    strays: float = 0.0
    """How widely values spread that nobody has seen."""

    def of(self, values: Mapping[str, str]) -> tuple[float, float]:
        """What it adds, and how unsure that is."""
        value = values.get(self.name, "")
        if self.power is None:
            return (self.by_value[value], 0.0) if value in self.by_value else (0.0, self.strays)
        size = magnitude(value)
        return (0.0, self.strays) if size is None else (self.power * (size - self.middle), 0.0)


@dataclass(slots=True)
class Likeness:
    """`spread` of one run about what is expected of it, and figures that are `used` up to know that from its runs."""

    base: float
    effects: list[Effect]
    spread: float
    used: int
    known: Sequence[Run]

    @property
    def runs(self) -> int:
        return len(self.known)

    def of(self, values: Mapping[str, str]) -> tuple[float, float, str]:
        """What is expected, as a logarithm; how unsure that is; and the values about which it is."""
        expected, variance, unseen = self.base, self.spread**2 * self.used / self.runs, ""
        for effect in self.effects:
            adds, strays = effect.of(values)
            expected += adds
            if strays:
                variance += strays**2
                unseen += f" {effect.name}={values.get(effect.name, '')}"
        explained = {effect.name for effect in self.effects}
        for name, value in values.items():
            if name not in explained and not any(run.values.get(name) == value for run in self.known):
                number = name not in NEW and magnitude(value) is not None
                variance += NEW.get(name, NEW_NUMBER if number else NEW_WORD) ** 2
                unseen += "" if number else f" {name}={value}"
        return expected, sqrt(variance), unseen


def magnitude(value: str) -> float | None:
    """The logarithm of a positive number."""
    try:
        number = float(value[:LONGEST])
    except ValueError:
        return None
    return log(number) if 1e-30 < number < 1e30 else None


def learn(runs: Sequence[Run], prior: float, weight: float) -> Likeness:
    """`prior`: how widely runs spread before they have shown it themselves, which counts as so many runs."""
    options = [Option(name, [run.values.get(name, "") for run in runs]) for name in sorted(_names(runs))]
    effects, used = _lengthy(options), 1
    rest = [run.seconds - sum(effect.of(run.values)[0] for effect in effects) for run in runs]
    base = median(rest)
    rest = [one - base for one in rest]
    options = [option for option in options if option.varies]
    while len(effects) < MOST and len(runs) - used >= 2:
        before = sum(map(mul, rest, rest)) / (len(runs) - used)
        if before < LEAST:
            break
        found = [made for option in options if (made := option.explain(rest, len(runs) - used)) is not None]
        if not found:
            break
        best = min(found, key=lambda one: one.variance)
        if best.variance > (WORTH - 1 / (len(runs) - used)) * before:
            break
        effects.append(effect := best.effect())
        rest = [one - effect.of(run.values)[0] for run, one in zip(runs, rest, strict=True)]
        used += best.costs
        options.remove(best.option)
    middle = median(rest)
    free = max(1, len(runs) - used)
    off = sum(abs(one - middle) for one in rest) / free / 1.386  # of a logistic distribution: 2 ln 2
    spread = sqrt((weight * prior**2 + free * off**2) / (weight + free))
    return Likeness(base + middle, effects, spread, used, runs)


def _names(runs: Sequence[Run]) -> set[str]:
    return {name for run in runs for name in run.values}


def is_lengthy(name: str) -> bool:
    """Such as --epochs, --num_train_epochs or trainer.max_steps=, and not --save-steps."""
    *before, last = re.findall(r"[a-z0-9]+", name.lower()) or [""]
    return last in LENGTHY and BEFORE.issuperset(before)


def _lengthy(options: Sequence[Option]) -> list[Effect]:
    """Of the first number of steps that stands in each of the runs."""
    for option in filter(lambda option: is_lengthy(option.name), options):
        sizes = [size for value in option.distinct if (size := magnitude(value)) is not None]
        if len(sizes) == len(option.distinct):
            return [Effect(option.name, power=1.0, middle=fmean(sizes), strays=NEW_WORD)]
    return []


class Explained(NamedTuple):
    """The variance that an option leaves in one of two ways, the figures that takes, and the effect, once asked."""

    variance: float
    costs: int
    option: Option
    effect: Callable[[], Effect]


class Option:
    """One option of some runs, looked at again and again: as factors of its values, and as a power of its numbers.

    What an effect leaves of the squares follows from the sums: to try 30 options on 40 runs takes a millisecond.
    """

    def __init__(self, name: str, values: list[str]) -> None:
        self.name, self.values = name, values
        self.distinct = Counter(values)
        self._counts = [*self.distinct.values()]
        self._middle = self._width = 0.0
        self._sizes = self._numbers()

    @property
    def varies(self) -> bool:
        return len(self.distinct) > 1

    def _numbers(self) -> list[float]:
        """Where all are such: how far their logarithms lie from their mean; else nothing."""
        if not self.varies or len(self.values) < 4:
            return []
        by_value = {value: magnitude(value) for value in self.distinct}
        known = [size for value in self.values if (size := by_value[value]) is not None]
        if len(known) < len(self.values) or len({*known}) < 2:
            return []
        self._middle = fmean(known)
        sizes = [size - self._middle for size in known]
        self._width = sum(map(mul, sizes, sizes))
        return sizes

    def explain(self, rest: Sequence[float], free: int) -> Explained | None:
        """The better of the two ways, where one is possible; `free`: so many figures are left to be used."""
        ways = [made for made in (self._factors(rest, free), self._power(rest, free)) if made is not None]
        return min(ways, key=lambda one: one.variance, default=None)

    def _factors(self, rest: Sequence[float], free: int) -> Explained | None:
        costs = len(self.distinct) - 1
        if len(self.distinct) > 0.7 * len(self.values) or free - costs < 1:
            return None
        sums = dict.fromkeys(self.distinct, 0.0)
        for value, one in zip(self.values, rest, strict=True):
            sums[value] += one
        left = sum(map(mul, rest, rest)) - sum(map(truediv, map(mul, sums.values(), sums.values()), self._counts))
        return Explained(max(0.0, left) / (free - costs), costs, self, partial(self._as_factors, sums))

    def _as_factors(self, sums: Mapping[str, float]) -> Effect:
        means = {value: total / self.distinct[value] for value, total in sums.items()}
        middle = fmean(means.values())
        return Effect(
            self.name, means, strays=sqrt(sum((mean - middle) ** 2 for mean in means.values()) / (len(means) - 1))
        )

    def _power(self, rest: Sequence[float], free: int) -> Explained | None:
        if not self._sizes or free - 1 < 1:
            return None
        power = sum(map(mul, self._sizes, rest)) / self._width
        if not -1.5 < power < 1.5:
            return None
        left = sum(map(mul, rest, rest)) - sum(rest) ** 2 / len(rest) - power**2 * self._width
        return Explained(max(0.0, left) / (free - 1), 1, self, partial(self._as_power, power))

    def _as_power(self, power: float) -> Effect:
        strays = abs(power) * sqrt(self._width / len(self.values))
        return Effect(self.name, power=power, middle=self._middle, strays=strays)
