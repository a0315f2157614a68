"""The progress map that is told: what the script has reported, else what its log shows, and how fast it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.scan.course import Place
from trainqueue.scan.pace import Pace
from trainqueue.scan.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAR = ("step", "total", "fraction")
"""What a report says or does not say together; as in Place."""
MOST_WHOLE = 2.0**53


class Told:
    """Of one attempt. `now` is monotonic, `wall` is seconds since 1970."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        self.scanner = Scanner(command)
        self._report: Mapping[str, Any] | None = None
        self._pace = Pace()
        self._last: dict[str, Any] | None = None
        self._anew = False
        """It has reported since the last time, be it the same."""

    def report(self, report: Mapping[str, Any]) -> None:
        """What progress.json says."""
        self._report, self._anew = report, True

    def suspended(self, seconds: float) -> None:
        self._pace.suspended(seconds)

    def map(self, now: float, wall: float, *, ended: bool = False, well: bool = False) -> dict[str, Any] | None:
        """All that is known, or None where nothing is, or nothing has changed."""
        place = self.scanner.place(now, ended=ended, well=well)
        report = self._report or {}
        message = place.message if report.get("message") is None else report["message"]
        if any(report.get(name) is not None for name in FAR):
            step, total, fraction = (report.get(name) for name in FAR)
            place = Place(step, total, fraction, unit=("report", total))
        found: dict[str, Any] = {"step": whole(place.step), "total": whole(place.total), "fraction": place.fraction}
        found["message"] = message
        found["metrics"] = {**self.scanner.metrics, **report.get("metrics", {})}
        found["rate"], found["eta"] = self._speed(place, now)
        if self._report is None and not any(found.values()):
            return None
        if found == self._last and not self._anew:
            return None
        self._last, self._anew = found, False
        return {**found, "updated_at": wall}

    def _speed(self, place: Place, now: float) -> tuple[float | None, float | None]:
        """Steps a second, and seconds left."""
        counts = place.step is not None and bool(place.total or place.fraction is None)
        at, whole = (place.step, place.total) if counts else (place.fraction, 1.0)
        if at is None:
            return None, None
        at = place.exact if counts and place.exact is not None else at
        self._pace.note(now, at, (place.unit, counts))
        eta = self._pace.eta(now, at, whole) if whole and not place.partial else None
        return self._pace.rate(now, whole) if counts else None, eta


def whole(count: float | None) -> float | None:
    """As an integer where it is one: people read it."""
    return int(count) if isinstance(count, float) and count.is_integer() and abs(count) < MOST_WHOLE else count
