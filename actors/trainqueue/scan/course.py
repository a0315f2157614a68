"""Which of a script's counters says how far it is: the outermost one that lives longest, and what counts within it.

Scripts show many bars: of files that are loaded, of each epoch, of validations. What a counter is follows from its
life. One that begins while another is under way is within it, or beside it; one that begins anew with each epoch is
within the epochs; one that goes on from one epoch to the next counts all of them; a count in
brackets is one of epochs if another one runs within it. Those of a preparation or a
validation are known by their names. A bar that runs again and again, nobody knows how often, says no fraction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.scan.counters import Counters
from trainqueue.scan.epochs import Epochs

if TYPE_CHECKING:
    from trainqueue.scan.counter import Counter
    from trainqueue.scan.hints import Hints
    from trainqueue.scan.reading import Reading

STALE, LONGER = 120.0, 3.0
"""Seconds of silence after which a counter gives way to one that has lived so many times as long."""
BRACKETS = "[]"
"""The name of a count that has none but stands in them."""
HIGHEST = 1e15
"""A larger count is none."""
REFINED = 100
"""Steps of a counter up to which another one's steps within one of them are worth to be shown."""


class Place(NamedTuple):
    """How far it is. `unit` changes when `step` begins to count something else; `exact` is the step with its parts."""

    step: float | None = None
    total: float | None = None
    fraction: float | None = None
    message: str | None = None
    unit: object = None
    exact: float | None = None
    partial: bool = False
    """`step` and `total` are those of a part, such as an epoch: when they meet, the job does not end."""


class Course:
    def __init__(self, hints: Hints) -> None:
        self.hints = hints
        self.counters = Counters()
        self.epochs: Epochs | None = None
        self.over = False
        self.passes: float | None = None
        """Epochs done, from a trainer's dicts."""
        self.order = 0
        self._finished: Counter | None = None
        self._header: tuple[Reading, int] | None = None
        """The last line with a count in brackets, and its number."""

    # -- what lines say

    def take(self, reading: Reading, now: float) -> None:
        if any(count is not None and not 0 <= count <= HIGHEST for count in counts(reading)):
            return
        self.order += 1
        self.over = self.over or reading.over
        self.hints = self.hints.with_promises(reading)
        if reading.passes is not None:
            self.passes = max(self.passes or 0.0, reading.passes)
        if self.epochs is not None and self.epochs.brackets == reading.total and reading.name == BRACKETS:
            reading = as_epoch(reading)
        new_epoch = reading.epoch is not None and self._epoch(reading, now)
        if reading.step is not None:
            self._count(reading, now, new_epoch=new_epoch)

    def _epoch(self, reading: Reading, now: float) -> bool:
        if self.epochs is None:
            self.epochs = Epochs.begun(reading, self.order, now)
            return True
        return self.epochs.hear(reading, self.order, now)

    def _count(self, reading: Reading, now: float, *, new_epoch: bool) -> None:
        assert reading.step is not None
        counter = self.counters.of(reading, now, self.order, new_epoch=new_epoch)
        before = counter.changed
        on = counter.move(reading.step, reading.elapsed, now, self.order, new_epoch=new_epoch)
        if reading.elapsed is not None and reading.left is not None:
            counter.lasts = reading.elapsed + reading.left
        counter.weak = counter.weak and reading.weak
        if on and self.epochs is not None and counter.order < self.epochs.changed:
            counter.outlasts += 1
        if reading.name == BRACKETS:
            self._header = reading, self.order
        elif counter.order == self.order and not counter.minor:
            self._begin_within(counter, before, now)

    def _begin_within(self, counter: Counter, before: int, now: float) -> None:
        """It begins now, within what stood in brackets if that was the first of them, or has moved on since it ran."""
        if self._header is None or self.epochs is not None:
            return
        header, at = self._header
        first = at == self.order - 1 and header.heads and (header.step or 0.0) <= 1
        if (header.total or 0.0) > 1 and (first or (counter.restarts and at > before)):
            self.counters.forget(header.name, header.total)
            self.epochs = Epochs.begun(as_epoch(header), at, now)
            self.epochs.brackets = header.total

    # -- what follows from it

    def place(self, now: float, *, ended: bool = False) -> Place:
        main = self._main(now, ended=ended)
        if main is None:
            return self._bare()
        place = self._with_inner(main) if main.holds_others else self._alone(main, ended=ended)
        return place._replace(fraction=1.0) if self.over and place.fraction is None else place

    def _bare(self) -> Place:
        """Nothing counts. What is done meanwhile stands in the message."""
        if self.over:
            return Place(fraction=1.0)
        if self.passes is not None and self.hints.epochs:
            total = max(self.hints.epochs, self.passes)
            message = f"epoch {min(int(self.passes) + 1, total):g} of {total:g}"
            return Place(fraction=self.passes / total, message=message, unit="passes")
        if self.passes is not None:
            return Place(message=f"epoch {self.passes:g}")
        alive = [counter for counter in self.counters if counter.minor and not counter.done and counter.total]
        if not alive:
            return Place()
        last = max(alive, key=lambda counter: counter.seen_at)
        return Place(message=f"{last.name}: {last.step:g} of {last.total:g}")

    def _main(self, now: float, *, ended: bool) -> Counter | None:
        outermost = [counter for counter in self.counters if counter.trusted()]
        if ended and not outermost:
            outermost = [counter for counter in self.counters if not counter.minor]
        epochs = self.epochs
        if epochs is not None:
            outermost = [each for each in outermost if each.outlasts_epochs or self._before(each, epochs)] or [epochs]
        ending = [each for each in outermost if each.total is not None or isinstance(each, Epochs)]
        if outermost and not ending:
            return max(outermost, key=lambda counter: counter.moves)
        once = [counter for counter in ending if not counter.restarts]
        outermost = once or ending
        outermost.sort(key=lambda counter: counter.first)
        under_way = [counter for counter in outermost if not self._is_past(counter, outermost)]
        main = next((counter for counter in under_way if not self._gives_way(counter, under_way, now)), None)
        finished = self._finished
        if main is None or (finished is not None and finished in outermost and main.expected <= finished.life):
            main = finished or main  # what comes behind the long one is its end
        elif main.done:
            self._finished = main
        return main

    @staticmethod
    def _before(counter: Counter, epochs: Epochs) -> bool:
        """Under way before the first epoch, and never anew since."""
        return counter.first < epochs.first and not counter.restarts and not 0 < counter.done_at < epochs.first

    def _is_past(self, counter: Counter, others: list[Counter]) -> bool:
        """Done, with another one behind it."""
        past = counter.done_at > 0 and any(other.order > counter.done_at for other in others if other is not counter)
        if past and (self._finished is None or self._finished.life <= counter.life):
            self._finished = counter
        return past

    @staticmethod
    def _gives_way(counter: Counter, others: list[Counter], now: float) -> bool:
        """A bar that was left in the middle must not stand for ever."""
        return now - counter.seen_at > STALE and any(
            other.first > counter.first and other.life > LONGER * counter.life and now - other.seen_at < STALE
            for other in others
        )

    def _inner(self, outer: Counter) -> Counter | None:
        """What counts within the present step of `outer`, the longest-lived of them."""
        epochs = self.epochs
        if epochs is not None and outer.holds_others and epochs is not outer and epochs.order > outer.changed:
            return epochs
        found = [
            counter
            for counter in self.counters
            if counter is not outer and counter.total and not (counter.minor or counter.weak)
            if counter.order >= outer.changed
        ]
        return max(found, key=lambda counter: counter.life, default=None)

    def _with_inner(self, outer: Counter) -> Place:
        """In steps of what counts within, as long as anybody has seen such."""
        total = outer.total or self.hints.epochs
        inner = self._inner(outer)
        done = min(outer.step, total) if total else outer.step
        message = outer.message(total) if isinstance(outer, Epochs) else None
        if isinstance(inner, Epochs):
            place = self._with_inner(inner)
            step, of = place.fraction or 0.0, 1.0
        elif inner is not None and inner.total:
            step, of = min(inner.step, inner.total), inner.total
            outer.within = of
            if not total and message:
                return Place(step, of, None, message, (outer.name, of), done * of + step, partial=True)
        else:
            step, of = 0.0, outer.within or 1.0
        made = done * of + step
        if outer.done:
            made = done * of
        whole = total * of if total else None
        return Place(made, whole, made / whole if whole else None, message, (outer.name, of))

    def _alone(self, main: Counter, *, ended: bool) -> Place:
        step, total = main.step, main.total
        runs = 1 if ended and main.done and not main.restarts else self._runs(main)
        if total and (runs is None or runs > 1):
            whole = total * runs if runs else None
            step += main.restarts * total
            message = f"run {main.restarts + 1}, {main.step:g} of {total:g}" if whole is None else None
            return Place(step, whole, min(1.0, step / whole) if whole else None, message, main.first)
        if total is None:
            total = self.hints.steps
        if not total:
            return Place(step, unit=main.first)
        exact = min(step, total)
        if total <= REFINED and not main.done and (inner := self._inner(main)) is not None and not inner.holds_others:
            exact += min(1.0, inner.step / (inner.total or 1.0)) * (inner.total or 0) / ((inner.total or 0) + 1)
        return Place(step, total, exact / total, None, main.first, exact)

    def _runs(self, main: Counter) -> float | None:
        """How often it runs from its beginning to its end; None: nobody knows."""
        if main.total in {self.hints.epochs, self.hints.steps}:
            return 1
        if main.restarts or (self.hints.per_epoch and self.passes is None):
            return self.hints.epochs
        return 1


def as_epoch(reading: Reading) -> Reading:
    """What stands in brackets, as a count of epochs; with metrics it is one that is over."""
    assert reading.step is not None
    assert reading.total is not None
    number, of = int(reading.step), int(reading.total)
    return replace(reading, step=None, total=None, epoch=number, epochs=of, begins=reading.weak)


def counts(reading: Reading) -> tuple[float | None, ...]:
    return (
        *(reading.step, reading.total, reading.epoch, reading.epochs, reading.passes),
        *(reading.promised_steps, reading.promised_epochs, reading.elapsed, reading.left),
    )
