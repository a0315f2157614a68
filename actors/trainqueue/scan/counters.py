"""All of a script's counters, and of which of them a line is.

A counter is known by its name and its total. Both may change while it runs, and two may have the same: of bars, the
time that they have run tells which is which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.scan.counter import Counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.scan.reading import Reading

MOST = 40
"""That are kept in mind."""

Key = tuple[str, float | None, bool]
"""The third: it is the one around another one that has the same name and total."""


class Counters:
    """`now` is monotonic; `order` is the number of the line."""

    def __init__(self) -> None:
        self._all: dict[Key, Counter] = {}

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._all.values())

    def forget(self, name: str, total: float | None) -> None:
        self._all.pop((name, total, False), None)

    def of(self, reading: Reading, now: float, order: int, *, new_epoch: bool) -> Counter:
        """A new one where it is of none that is known."""
        key = reading.name, reading.total, False
        known = self._all.get(key)
        if known is not None and self._is_around(known, reading, now):
            key = reading.name, reading.total, True
            known = self._all.get(key)
        if known is None and reading.renames and not key[2]:
            known = self._changed(reading, order, new_epoch=new_epoch)
        if known is None:
            known = self._all[key] = self._made(reading, now, order)
        return known

    def _is_around(self, inner: Counter, reading: Reading, now: float) -> bool:
        """Whether it is of the bar around this one: one that runs anew would show a time from 0 on."""
        assert reading.step is not None
        if reading.elapsed is None or inner.elapsed is None or inner.total is None:
            return False
        outer = self._all.get((reading.name, reading.total, True))
        if outer is None:
            late = reading.elapsed >= max(1.0, inner.elapsed)
            return inner.done and late and reading.step <= inner.total / 2
        if not outer.goes_on(reading.step, reading.elapsed):
            return False
        began = now - reading.elapsed
        return reading.step < inner.step or abs(began - outer.began_at) < abs(began - inner.began_at)

    def _changed(self, reading: Reading, order: int, *, new_epoch: bool) -> Counter | None:
        """The bar that goes on under another description, or to another total: a new one would begin at 0.

        Most get their description with the first step (`set_description` in the loop), behind a frame without it.
        """
        found = [(counter.changed, key) for key, counter in self._all.items() if is_changed(key, counter, reading)]
        if not found:
            return None
        _, key = max(found)
        counter = self._all.pop(key)
        self._all[reading.name, reading.total, key[2]] = counter
        if not counter.step:
            counter.name, counter.minor = reading.name, reading.minor
        if counter.total != reading.total:
            counter.total, counter.done_at = reading.total, 0
        elif new_epoch:
            counter.first = counter.order = order  # it was the epoch's from its beginning
        return counter

    def _made(self, reading: Reading, now: float, order: int) -> Counter:
        if len(self._all) >= MOST:
            del self._all[min(self._all, key=lambda key: self._all[key].seen_at)]
        began = now - (reading.elapsed or 0.0)
        made = Counter(reading.name, reading.total, order, order, order, began, now)
        made.minor, made.weak = reading.minor, reading.weak
        return made


def is_changed(key: Key, counter: Counter, reading: Reading) -> bool:
    """Whether it is this one that goes on so, with either another name or another total."""
    name, total, _ = key
    if total is None or reading.total is None or not counter.goes_on(reading.step or 0.0, reading.elapsed):
        return False
    if total != reading.total:
        return name == reading.name and 0 < counter.step < (reading.step or 0.0)
    is_inner = not reading.step and (counter.holds_others or (reading.epoch is not None and bool(name)))
    return not (counter.done or is_inner)
