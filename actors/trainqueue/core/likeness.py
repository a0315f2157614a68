"""What earlier runs of one script tell of the next: which of its options matter for how long it takes.

Nobody knows what `--epochs` or `--model` mean; but the runs tell. Beginning with the median of their logarithms, the
option whose values explain most of what is left is taken, again and again, as long as that is more than chance: as a
factor for each value seen several times (`--model big`), or, of numbers, as a power (`--epochs 20` takes twice as long
as 10). The group is such an option as well: jobs of one sweep are more alike than those of two.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING

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
NEW_WORD, NEW_NUMBER, NEW_GROUP = 0.4, 0.1, 0.15
"""How widely runs with a value spread that nobody has tried: --model big, --lr 0.3, another sweep."""
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
    """`spread` of one run about what is expected of it, `runs` that this is known from, figures `used` up by that."""

    base: float
    effects: list[Effect]
    spread: float
    runs: int
    used: int
    seen: dict[str, set[str]]

    def of(self, values: Mapping[str, str]) -> tuple[float, float, str]:
        """What is expected, as a logarithm; how unsure that is; and the values about which it is."""
        expected, variance, unseen = self.base, self.spread**2 * self.used / self.runs, ""
        for effect in self.effects:
            adds, strays = effect.of(values)
            expected += adds
            if strays:
                variance += strays**2
                unseen += f" {effect.name}={values.get(effect.name, '')}"
        known = {effect.name for effect in self.effects}
        for name, value in values.items():
            if name not in known and value not in self.seen.get(name, ()):
                number = name != "group" and magnitude(value) is not None
                variance += (NEW_GROUP if name == "group" else NEW_NUMBER if number else NEW_WORD) ** 2
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
    options = {name for run in runs for name in run.values}
    seen = {name: {run.values.get(name, "") for run in runs} for name in options}
    effects, used = _lengthy(seen), 1
    rest = [run.seconds - sum(effect.of(run.values)[0] for effect in effects) for run in runs]
    base = median(rest)
    rest = [one - base for one in rest]
    names = {name for name, values in seen.items() if len(values) > 1}
    while len(effects) < MOST and names and len(runs) - used >= 2:
        before = sum(one * one for one in rest) / (len(runs) - used)
        if before < LEAST:
            break
        found = [(made, name) for name in sorted(names) if (made := _explain(runs, rest, name, used)) is not None]
        if not found:
            break
        (variance, effect, costs), name = min(found, key=lambda one: one[0][0])
        if variance > (WORTH - 1 / (len(runs) - used)) * before:
            break
        effects.append(effect)
        rest = [one - effect.of(run.values)[0] for run, one in zip(runs, rest, strict=True)]
        used += costs
        names.discard(name)
    middle = median(rest)
    free = max(1, len(runs) - used)
    off = sum(abs(one - middle) for one in rest) / free / 1.386  # of a logistic distribution: 2 ln 2
    spread = sqrt((weight * prior**2 + free * off**2) / (weight + free))
    return Likeness(base + middle, effects, spread, len(runs), used, seen)


def is_lengthy(name: str) -> bool:
    """Such as --epochs, --num_train_epochs or trainer.max_steps=, and not --save-steps."""
    *before, last = re.findall(r"[a-z0-9]+", name.lower()) or [""]
    return last in LENGTHY and BEFORE.issuperset(before)


def _lengthy(seen: Mapping[str, set[str]]) -> list[Effect]:
    """Of the first number of steps that stands in each of the runs."""
    for name in sorted(filter(is_lengthy, seen)):
        sizes = [size for value in seen[name] if (size := magnitude(value)) is not None]
        if len(sizes) == len(seen[name]):
            return [Effect(name, power=1.0, middle=fmean(sizes), strays=NEW_WORD)]
    return []


def _explain(runs: Sequence[Run], rest: Sequence[float], name: str, used: int) -> tuple[float, Effect, int] | None:
    """The variance that this option leaves, its effect, and how many figures that takes; of two ways the better."""
    ways: list[Callable[[Sequence[Run], Sequence[float], str], tuple[Effect, int] | None]] = [_factors, _power]
    best = None
    for way in ways:
        made = way(runs, rest, name)
        if made is None or len(runs) - used - made[1] < 1:
            continue
        effect, costs = made
        left = [one - effect.of(run.values)[0] for run, one in zip(runs, rest, strict=True)]
        middle = fmean(left)
        variance = sum((one - middle) ** 2 for one in left) / (len(runs) - used - costs)
        if best is None or variance < best[0]:
            best = variance, effect, costs
    return best


def _factors(runs: Sequence[Run], rest: Sequence[float], name: str) -> tuple[Effect, int] | None:
    cells = defaultdict[str, list[float]](list)
    for run, one in zip(runs, rest, strict=True):
        cells[run.values.get(name, "")].append(one)
    if len(cells) > 0.7 * len(runs):
        return None
    means = {value: fmean(some) for value, some in cells.items()}
    middle = fmean(means.values())
    strays = sqrt(sum((mean - middle) ** 2 for mean in means.values()) / (len(means) - 1))
    return Effect(name, means, strays=strays), len(cells) - 1


def _power(runs: Sequence[Run], rest: Sequence[float], name: str) -> tuple[Effect, int] | None:
    sizes = [magnitude(run.values.get(name, "")) for run in runs]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or len({*known}) < 2 or len(known) < 4:
        return None
    middle, height = fmean(known), fmean(rest)
    width = sum((size - middle) ** 2 for size in known)
    power = sum((size - middle) * (one - height) for size, one in zip(known, rest, strict=True)) / width
    if not -1.5 < power < 1.5:
        return None
    strays = abs(power) * sqrt(width / len(known))
    return Effect(name, power=power, middle=middle, strays=strays), 1
