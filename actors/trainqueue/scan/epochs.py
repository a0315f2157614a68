"""The epochs that a script counts in words: "Epoch 3/10", before one, after one, or in each line of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainqueue.scan.counter import Counter

if TYPE_CHECKING:
    from trainqueue.scan.reading import Reading


@dataclass(slots=True)
class Epochs(Counter):
    """`step` is how many are over."""

    number: int = 0
    from_zero: bool = False
    whole_range: bool = False
    """From 0 on, but not up to the number that is told."""
    within_one: bool = False
    """Its lines with metrics are those of a part of an epoch: several have the same number."""
    last_said: int | None = None
    brackets: float | None = None
    """They are those of lines with `[3/10]`, and not with a word."""

    @classmethod
    def begun(cls, reading: Reading, order: int, now: float) -> Epochs:
        made = cls("epochs", None, order, order, order, now, now, number=-1)
        made.hear(reading, order, now)
        made.first = made.order = order
        return made

    def hear(self, reading: Reading, order: int, now: float) -> bool:
        """Whether another one has begun, or one has ended. Earlier ones that are named again are a memory."""
        number = reading.epoch
        assert number is not None
        self.from_zero = self.from_zero or number == 0 or reading.from_zero
        self.whole_range = self.whole_range or reading.whole_range
        if number < self.number:
            if number > int(not self.from_zero) or self.number - number < 2:
                return False
            self.restarts, self.order, self.within_one = self.restarts + 1, order, False
        if reading.epochs is not None:
            self.total = float(reading.epochs + (self.from_zero and not self.whole_range))
        self.seen_at = now
        over = not reading.begins and reading.step is None
        if over:
            self.within_one = self.within_one or self.last_said == number
            self.last_said = number
        step = float(number + self.from_zero - (0 if over and not self.within_one else 1))
        fresh = number != self.number
        if fresh or step > self.step:
            self.changed = order
            self.moves += 1
            self.step = step
        elif self.within_one:
            self.step = step
        self.number = number
        return fresh

    def message(self, total: float | None) -> str:
        """The one under way; in the log's own number where the end is not known."""
        return f"epoch {min(self.step + 1, total):g} of {total:g}" if total else f"epoch {self.number}"

    def complete(self) -> bool:
        """Whether the last one has begun. Those from 0 on end with the number that is told, or with one before it."""
        return self.total is not None and self.step >= self.total - 1 - self.from_zero

    def trusted(self) -> bool:
        return True
