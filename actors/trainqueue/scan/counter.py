"""One thing that counts: a bar, "step 300/1000", or the epochs. It may run often, as a bar in each epoch does."""

from __future__ import annotations

import re
from dataclasses import dataclass

LIKE_EPOCHS = re.compile(r"\bepochs?\b|^(?:fold|trial|round)$")
"""What others count within."""
BRIEF = 2.0
"""Seconds: a bar that is over so soon is never the whole of a job."""
CONFIRMED, LEAST = 3, 5
"""So often, and with so many steps, has to move what may be anything."""


@dataclass(slots=True)
class Counter:
    """`order` says when its present run began, `changed` when its last step came, both in lines seen.

    `now` and all `at` are monotonic seconds.
    """

    name: str
    total: float | None
    order: int
    changed: int
    first: int
    began_at: float
    seen_at: float
    step: float = 0.0
    moves: int = 0
    restarts: int = 0
    minor: bool = False
    weak: bool = False
    elapsed: float | None = None
    lasts: float | None = None
    """Seconds that the present run takes in its own words."""
    earlier: float = 0.0
    """Seconds of all earlier runs."""
    outlasts: int = 0
    """Steps that it has made on from one epoch to the next: it counts over all of them."""
    abandoned: bool = False
    within: float = 0.0
    """The total of what counts within it."""
    done_at: int = 0

    @property
    def done(self) -> bool:
        return self.total is not None and self.step >= self.total

    @property
    def life(self) -> float:
        """Seconds of all its runs."""
        return self.earlier + max(self.elapsed or 0.0, self.seen_at - self.began_at)

    @property
    def expected(self) -> float:
        return max(self.lasts or 0.0, self.life)

    @property
    def holds_others(self) -> bool:
        return LIKE_EPOCHS.search(self.name) is not None

    @property
    def outlasts_epochs(self) -> bool:
        return self.outlasts >= 2 and not self.restarts

    def goes_on(self, step: float, elapsed: float | None) -> bool:
        """Whether this may be said of the run that is under way: neither steps nor seconds become fewer."""
        return elapsed is not None and self.elapsed is not None and step >= self.step and elapsed >= self.elapsed

    def trusted(self) -> bool:
        """Whether it may be shown as the job's; at the end of a job that has nothing else, any may."""
        if self.minor or (self.weak and (self.moves < CONFIRMED or (self.total or LEAST) < LEAST)):
            return False
        if self.name == "keras" or self.elapsed is not None:
            return (self.lasts is None and self.step == 0) or self.expected >= BRIEF or self.restarts > 0
        return True

    def move(self, step: float, elapsed: float | None, now: float, order: int, *, new_epoch: bool) -> bool:
        """Whether that was a step on; a step back is one of another process that shows the same, or a new run."""
        before = self.step
        if step < before or (step == before and new_epoch):
            if not self._begins_anew(step, elapsed, new_epoch=new_epoch):
                return False
            self.earlier = self.life
            self.restarts, self.order, self.changed, self.began_at = self.restarts + 1, order, order, now
            self.step, self.outlasts, self.elapsed, self.done_at = step, 0, elapsed, 0
        elif step > before:
            self.step, self.changed = step, order
            self.moves += 1
        self.seen_at = now
        if elapsed is not None:
            self.elapsed = elapsed
        if self.done and not self.done_at:
            self.done_at = order
        return step > before

    def _begins_anew(self, step: float, elapsed: float | None, *, new_epoch: bool) -> bool:
        if new_epoch:
            return True
        if self.done and self.total is not None and step <= self.total / 2:
            return True
        if elapsed is not None and self.elapsed is not None and elapsed >= self.elapsed:
            return False
        return step < self.step / 2
