"""How far a job is, as people see it: the bar, the numbers beside it, and how its metrics went, as a line of bars."""

from __future__ import annotations

import os
import sys
import time
from itertools import pairwise, starmap
from operator import le
from typing import TYPE_CHECKING, Any

from trainqueue.cli.said import FIRST, figure, metric, rate, steps
from trainqueue.cli.screen import GAP, NARROW, bar, cells, clean, encodable, padded, shortened, terminal_width, widest
from trainqueue.core.forewords import duration
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainqueue.client import Client

    Job = Mapping[str, Any]
    Points = Sequence[Sequence[float | None]]

LEVELS = "▁▂▃▄▅▆▇█"
MOST, LONGEST, LABEL = 20, 60, 30
"""Metrics that are shown, cells of a line of bars, and cells of a metric's name."""
NAME, SENTENCE = 20, 30
"""In a table, columns for a name and for why it waits, before anything is told besides the bar."""
DETAILS, LEAST, SHORT = 2, -1, 5
"""The most that is told besides the bar, and what stands for the least: a bar of so few cells."""


def can_draw() -> bool:
    """Whether this is a terminal that has characters of eight heights."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "linux"} and encodable(LEVELS)


def cell(job: Job, details: int = DETAILS) -> str:
    """In a table: the bar; then of a running job its first metric, and its rate."""
    progress = job.get("progress") or {}
    facts = [metric(progress), rate(progress.get("rate"))] if job.get("state") == "running" else []
    shown = bar(progress.get("fraction"), SHORT) if details == LEAST else bar(progress.get("fraction"))
    return GAP.join(filter(None, [shown, *facts[: max(0, details)]]))


def rows(
    heads: Sequence[str], jobs: Sequence[Job], row: Callable[[Any, int], Sequence[object]]
) -> list[Sequence[object]]:
    """Of a table, with as many details as its width allows; in a pipe with all."""
    for details in range(DETAILS, LEAST, -1):
        found = [row(job, details) for job in jobs]
        if not sys.stdout.isatty() or fits(heads, found, heads.index("NAME")):
            return found
    return [row(job, LEAST) for job in jobs]


def fits(heads: Sequence[str], found: Sequence[Sequence[object]], elastic: int) -> bool:
    lines = [[clean("" if value is None else value) for value in line] for line in found]
    if not lines:
        return True
    widths = [max(width, cells(head)) if width else 0 for width, head in zip(widest(lines), heads, strict=True)]
    widths[elastic], widths[-1] = min(widths[elastic], NAME), max(NARROW, min(widths[-1], SENTENCE))
    return sum(widths) + len(GAP) * (sum(map(bool, widths)) - 1) <= terminal_width()


def with_series(trainq: Client, job: Job, *, ask: bool, whole: bool) -> dict[str, Any]:
    """How its metrics went, null where there are too many jobs to ask for each; for people only what can be drawn."""
    draws = whole or (can_draw() and bool((job.get("progress") or {}).get("metrics")))
    try:
        series = trainq.series(job["id"]) if ask and draws else None
    except RequestError:  # retention has just taken the job, or the daemon is an older one
        series = None
    return {**job, "series": series}


def block(job: Job, series: Mapping[str, Points]) -> Iterator[tuple[str, str]]:
    """What `status` says of one job, by name: the bar and its numbers, the message, and each metric."""
    progress, live = job["progress"], sys.stdout.isatty()
    facts = [bar(progress["fraction"]), steps(progress), rate(progress["rate"]), left(job, time.time())]
    message = progress["message"] or ""
    if line := GAP.join(filter(None, [*facts, "" if live else message])):
        yield "progress", line
    if live and message:
        yield "" if line else "progress", message
    names = sorted(progress["metrics"], key=rank)[:MOST]
    values = {name: figure(progress["metrics"][name]) for name in names}
    yield from on_terminal(values, series) if live else ((f"metric {clean(name)}", values[name]) for name in names)
    if len(names) < len(progress["metrics"]):
        yield "" if live else "metrics", f"and {len(progress['metrics']) - len(names):,} more"


def on_terminal(values: Mapping[str, str], series: Mapping[str, Points]) -> Iterator[tuple[str, str]]:
    """One below the other: names, values, and bars where there is room for them."""
    labels = {name: "  " + shortened(clean(name), LABEL) for name in values}
    label = max(14, max(map(cells, labels.values()), default=0))
    width = max(map(len, values.values()), default=0)
    room = min(LONGEST, terminal_width() - label - 1 - width - len(GAP))
    room = min(room, max(map(len, series.values()), default=0))  # one scale for all: of some only changes are kept
    for name, value in values.items():
        drawn = line_of_bars(series.get(name, ()), room)
        yield padded(labels[name], label), padded(value, width) + (GAP + drawn if drawn else "")


def rank(name: str) -> tuple[int, ...]:
    return (FIRST.index(name),) if name in FIRST else (len(FIRST),)


def line_of_bars(points: Points, width: int) -> str:
    """How the value went, from the smallest to the largest one; over steps where all have one, else over time."""
    known = [(at, step, value) for at, step, value in points if at is not None and value is not None]
    if len(known) < 2 or width < 2:
        return ""
    steps = [step for _, step, _ in known if step is not None]
    ordered = len(steps) == len(known) and all(starmap(le, pairwise(steps)))
    places = steps if ordered and steps[-1] > steps[0] else [at for at, _, _ in known]
    means = binned(places, [value for _, _, value in known], width)
    low, high = min(means), max(means)
    if low == high:
        return LEVELS[3] * len(means)
    return "".join(LEVELS[min(7, int(8 * part(mean, low, high)))] for mean in means)


def binned(places: Sequence[float], values: Sequence[float], count: int) -> list[float]:
    """The mean of what falls into each of so many parts of the way; where nothing does, the last value stands."""
    parts: list[list[float]] = [[] for _ in range(count)]
    for place, value in zip(places, values, strict=True):
        parts[max(0, min(count - 1, int(count * part(place, places[0], places[-1]))))].append(value)
    means: list[float] = []
    last = values[0]
    for some in parts:
        means.append(sum(value / len(some) for value in some) if some else last)
        last = some[-1] if some else last
    return means


def part(value: float, low: float, high: float) -> float:
    """Where it lies between the two, from 0 to 1; by halves, since the way between large numbers may be too large."""
    way = high / 2 - low / 2
    return (value / 2 - low / 2) / way if way > 0 else 0.0


def left(job: Job, now: float) -> str:
    """About 2 h 5 left; of a running job, by its own progress."""
    progress = job["progress"]
    if job["state"] != "running" or progress["eta"] is None:
        return ""
    seconds = progress["eta"] - max(0.0, now - (progress["updated_at"] or now))
    if progress.get("rate") and progress["step"] is not None and progress["total"]:  # one that stands still
        seconds = max(seconds, (progress["total"] - progress["step"] - 1) / progress["rate"])
    return f"about {duration(seconds)} left" if seconds > 1 else "about to end"
