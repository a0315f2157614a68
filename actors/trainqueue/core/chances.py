"""Run times that nobody knows for sure, as a few draws of equal likelihood each.

A draw is a rank: of k draws the first is the shortest that a run may well take, the middle one its median. Each job
gets the ranks in another order, the same one at each forecast, so that what is shown does not flicker. Since each job
goes through all ranks once, a few draws do as well as many that are left to chance.

The distribution is log-logistic: run times are never below zero and vary by factors, its tail is long (who has outlived
all expectations will take longer still), and what is left of a run that has lasted so long follows from it at once.
"""

from __future__ import annotations

from functools import cache
from math import exp, inf, log

ORDERS = 509
OUTLIERS = 0.05
"""This part of all runs is not like the others at all..."""
FAR = 0.4
"""... but spread like this."""


@cache
def ranks(draws: int) -> tuple[float, ...]:
    """The logit of each rank's probability."""
    return tuple(log((rank + 0.5) / (draws - rank - 0.5)) for rank in range(draws))


@cache
def orders(draws: int) -> tuple[tuple[int, ...], ...]:
    """Ways to go through the ranks, as different as if they were shuffled."""
    found, state = list[tuple[int, ...]](), 12345
    for _ in range(ORDERS):
        order = [*range(draws)]
        for at in range(draws - 1, 0, -1):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            other = (state >> 33) % (at + 1)
            order[at], order[other] = order[other], order[at]
        found.append(tuple(order))
    return tuple(found)


def order(draws: int, who: int) -> tuple[int, ...]:
    """The ranks of this one, draw by draw."""
    return orders(draws)[(who * 2654435761 >> 8) % ORDERS]


def joint(draws: int, own: tuple[int, float], shared: tuple[int, float]) -> tuple[int, ...]:
    """The ranks of one that shares a part of what is not known of it; of both parts who they are, and how wide."""
    at = ranks(draws)
    pairs = zip(order(draws, own[0]), order(draws, shared[0]), strict=True)
    sums = [own[1] * at[its] + shared[1] * at[of_all] for its, of_all in pairs]
    found = [0] * draws
    for rank, draw in enumerate(sorted(range(draws), key=sums.__getitem__)):
        found[draw] = rank
    return tuple(found)


def survives(middle: float, spread: float, seconds: float) -> float:
    """How likely a run lasts longer."""
    if seconds <= 0:
        return 1.0
    return 1 / (1 + exp(min(700.0, log(seconds / middle) / spread)))


def left(middle: float, spread: float, ran: float, draws: int) -> list[float]:
    """What is left of a run after so many seconds, rank by rank.

    Whoever has outlived its likes by far is taken for an outlier more and more, of which nobody knows much.
    """
    if ran <= 0:
        return [middle * exp(spread * rank) for rank in ranks(draws)]
    like, far = (1 - OUTLIERS) * survives(middle, spread, ran), OUTLIERS * survives(middle, FAR, ran)
    outliers = round(draws * far / (like + far)) if like + far else draws
    found = _beyond(middle, spread, ran, draws - outliers) + _beyond(middle, FAR, ran, outliers)
    return sorted(found)


def _beyond(middle: float, spread: float, ran: float, draws: int) -> list[float]:
    """The excess over `ran` of those that exceed it."""
    odds = exp(max(-700.0, min(700.0, log(ran / middle) / spread)))  # of having ended by then, to 1
    found = list[float]()
    for rank in range(draws):
        part = (rank + 0.5) / draws
        # u = F + part * (1 - F), of which the odds are (odds + part) / (1 - part), with F = odds / (1 + odds)
        found.append(max(0.0, middle * exp(spread * log((odds + part) / (1 - part))) - ran))
    return found


def known(value: float) -> float | None:
    """None for what never comes."""
    return None if value == inf else value
