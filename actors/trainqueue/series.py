"""A job's metrics as short series: at most 200 points each, however long it runs and however often it reports. Pure.

Neighbours are merged into buckets of as many reports each, and of a bucket its smallest and its largest value stay: so
every point is one that was reported, with its own time and step; the extremes of the whole run are always among them
(a mean would hide a spike), and so are the first point and the last one. Of a run of equal values its ends stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.wirenumber import LARGEST, number

if TYPE_CHECKING:
    from collections.abc import Mapping

POINTS = 200
"""That are kept of a metric, at most."""
METRICS = 20
"""That are kept: those that come first, and FRACTION besides."""
FRACTION = "fraction"
FULL = (POINTS - 2) // 4 * 2
"""Buckets of two points; the first point and the last one stand beside them. An even number, to be merged in pairs."""

Point = tuple[float, float | None, float]
"""When, at which step (None: nobody said), and the value."""


class Metric:
    """One metric's points; a new one costs O(1), amortised."""

    __slots__ = ("buckets", "filled", "first", "last", "repeated", "width")

    def __init__(self, first: Point) -> None:
        self.first = self.last = first
        self.repeated = False
        """The last point's value is that of the one before."""
        self.buckets: list[list[Point]] = []
        """What lies between: each of one or two points, in the order in which they came."""
        self.width = 2
        """So many points go into a bucket."""
        self.filled = 0

    def add(self, point: Point) -> None:
        same = point[2] == self.last[2]
        if not (same and self.repeated) and self.last is not self.first:
            self._merge(self.last)
        self.last, self.repeated = point, same

    def _merge(self, point: Point) -> None:
        if not self.buckets or self.filled >= self.width:
            if len(self.buckets) >= FULL:
                self._halve()
            self.buckets.append([])
            self.filled = 0
        self.buckets[-1] = extremes([*self.buckets[-1], point])
        self.filled += 1

    def _halve(self) -> None:
        whole = self.buckets
        self.buckets = [extremes([*one, *other]) for one, other in zip(whole[::2], whole[1::2], strict=True)]
        self.width *= 2

    def points(self) -> list[Point]:
        """In the order in which they came."""
        last = [] if self.last is self.first else [self.last]
        return [self.first, *(point for bucket in self.buckets for point in bucket), *last]

    @classmethod
    def restored(cls, points: list[Point], width: int) -> Metric:
        """To go on with what `points` told. What shares a bucket may differ, and nothing is lost by that."""
        first, *inner = points[:POINTS]
        made = cls(first)
        if inner:
            *inner, made.last = inner
            made.repeated = bool(inner) and inner[-1][2] == made.last[2]
        inner = inner[-2 * FULL :]
        made.buckets = [inner[at : at + 2] for at in range(0, len(inner), 2)]
        made.width = made.filled = min(max(2, width), LARGEST)
        return made


def extremes(points: list[Point]) -> list[Point]:
    """The smallest and the largest one, in the order in which they came; the ends where all are equal."""
    if len(points) < 3:
        return points
    values = [value for _, _, value in points]
    low, high = values.index(min(values)), values.index(max(values))
    if low == high:
        high = len(points) - 1
    return [points[min(low, high)], points[max(low, high)]]


class Series:
    """All that is kept of one attempt."""

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}

    def take(self, progress: Mapping[str, Any]) -> bool:
        """What a `progress` map (the wire's) tells; whether anything was added."""
        at, step = number(progress.get("updated_at")), number(progress.get("step"))
        if at is None:
            return False
        told = {FRACTION: progress.get(FRACTION), **(progress.get("metrics") or {})}
        values = ((name, number(value)) for name, value in told.items())
        added = [self._add(name, (at, step, value)) for name, value in values if value is not None]
        return any(added)

    def _add(self, name: str, point: Point) -> bool:
        known = self.metrics.get(name)
        if known is not None:
            known.add(point)
        elif self._has_room(name):
            self.metrics[name] = Metric(point)
        else:
            return False
        return True

    def _has_room(self, name: str) -> bool:
        return name == FRACTION or len(self.metrics) - (FRACTION in self.metrics) < METRICS

    def points(self) -> dict[str, list[Point]]:
        return {name: metric.points() for name, metric in self.metrics.items()}

    def span(self) -> float:
        """Seconds from the first point to the last one."""
        ends = [(metric.first[0], metric.last[0]) for metric in self.metrics.values()]
        return max((last for _, last in ends), default=0.0) - min((first for first, _ in ends), default=0.0)

    def widths(self) -> dict[str, int]:
        return {name: metric.width for name, metric in self.metrics.items()}

    @classmethod
    def restored(cls, points: Mapping[str, list[Point]], widths: Mapping[str, int]) -> Series:
        """From what `points` and `widths` told."""
        made = cls()
        for name, some in points.items():
            if some and made._has_room(name):
                made.metrics[name] = Metric.restored(some, widths.get(name, 2))
        return made
