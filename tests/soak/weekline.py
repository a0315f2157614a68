"""The order of a weekend: who stands where in the line, and who goes first."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from soak.timeline import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soak.watch import Place, Snapshot
    from soak.weekrules import Sight

BANDS = {"low": -100, "normal": 0, "high": 100}


def band(place: Place) -> int:
    return BANDS[place.priority] if isinstance(place.priority, str) else place.priority


def the_line_is_sorted(sight: Sight) -> Iterator[str]:
    """By priority and then by age, those with a position and those without: of whom nobody has moved otherwise."""
    moved: dict[int, bool] = {}
    for line in sight.weekend.watch.lines:
        for ready in (True, False):
            places = [place for place in line.places if (place.position is not None) is ready and place.attempt == 1]
            places = [place for place in places if not moved.setdefault(place.job, was_moved(sight, place.job))]
            for one, two in pairwise(places):
                if (-band(one), one.job) > (-band(two), two.job):
                    told = [f"job {place.job} ({place.priority}, place {place.position})" for place in (one, two)]
                    yield f"at event {line.seq}, {told[0]} stands before {told[1]}"


def was_moved(sight: Sight, job: int) -> bool:
    edits = [ask for ask in sight.maybe(job, "edit") if {"priority"} & {*ask.fields.get("set", {})}]
    return bool(edits or sight.maybe(job, "move", "preempt", "retry"))


def starts_follow_the_line(sight: Sight) -> Iterator[str]:
    """Of two that ask for the same, the one that stands in front is taken first, until somebody does something.

    What has run before is known to end soon, and may pass others while GPUs are kept for a wide job.
    """
    lines = sight.weekend.watch.lines
    keys = Counter(order.key for order in sight.history.orders)
    known = {job for job, order in sight.acknowledged.items() if keys[order.key] > 1}
    events = {event["seq"]: event for event in sight.raw}
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        last = after.seq if after is not None else max(events, default=0)
        news = [events[seq] for seq in range(line.seq + 1, last + 1) if "id" in events.get(seq, {})]
        yield from taken_in_turn(sight, line, news, known)


def taken_in_turn(sight: Sight, line: Snapshot, news: list[dict[str, Any]], known: set[int]) -> Iterator[str]:
    """`news`: the numbered events of jobs until the next look at the line."""
    waiting = {place.job: place for place in line.places if place.position is not None}
    for event in news:
        place = waiting.pop(event["id"], None)
        if place is None or event["state"] != "pending" or at_a_start(sight, event):
            continue
        if place.attempt > 1 or place.job in known:
            continue
        for other in waiting.values():
            ahead = (other.position or 0) < (place.position or 0) and other.alike == place.alike
            if ahead and not touched(sight, {place.job, other.job}, line.sent, event["at"]):
                yield f"job {place.job} was taken (event {event['seq']}) before job {other.job}, which stood before it"


def at_a_start(sight: Sight, event: dict[str, Any]) -> bool:
    """Whether a daemon told so before it served: of what an earlier one had begun, perhaps."""
    return any(sight.found_at_start(news) for news in sight.news[event["id"]] if news.seq == event["seq"])


def touched(sight: Sight, jobs: set[int], since: float, until: float) -> bool:
    asks = [ask for job in jobs for ask in sight.asks.get(job, [])]
    return any(ask.sent <= until and (ask.answered or FOREVER) >= since for ask in asks)


INVARIANTS: tuple[Callable[[Any], Iterator[str]], ...] = (the_line_is_sorted, starts_follow_the_line)
