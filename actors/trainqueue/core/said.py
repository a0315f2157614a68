"""What a running job says of itself by its progress, and what is to be thought of a bar that stands still.

The time left that was told shrinks while time goes by, but by no more than one step: so much may have been done since,
and if it were more, it would have been told. Whoever then stays silent for far longer than his steps take is held up,
nobody knows by what (a validation, a checkpoint, a disk, a deadlock): he may be for about as long again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf
from typing import TYPE_CHECKING

from trainqueue.core import chances
from trainqueue.core.expect import FRESH, is_sane, told_end
from trainqueue.core.job import Running

if TYPE_CHECKING:
    from trainqueue.core.job import Job

SAYS = 0.06
"""How widely the truth spreads about the time left that a script tells."""
USUAL, SHORT = 3.0, 10.0
"""A silence of so many steps, or seconds, means nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """In seconds: the length of the whole run, how long it had run when it said so, and what it has done since then.

    `spread`: how widely the length spreads, as the natural logarithm of a factor; `still`: for how long it has been
    more silent than usual.
    """

    total: float
    spread: float
    had: float
    since: float
    still: float

    def held_up(self, draws: int) -> list[float]:
        """For how long it stays so, by rank."""
        return [self.still * exp(rank) for rank in chances.ranks(draws)]


def said(job: Job, now: float) -> Said | None:
    """None where it says nothing, or has said it too long ago."""
    state, progress = job.state, job.progress or {}
    if not isinstance(state, Running):
        return None
    began = state.started_at + state.idle
    end, at, part = told_end(progress), progress.get("updated_at"), progress.get("fraction")
    if end is None and at is not None and part and at > began:
        rest = (at - began) * (1 - part) / part
        end = (at, at + rest) if is_sane(rest) else None
    if end is None:
        return None
    at, end_at = end
    step = progress.get("every") or inf
    age, rest, total = now - at, max(0.0, end_at - at), end_at - began
    if not 0 <= age <= max(FRESH, rest / 2, USUAL * step if step < inf else 0.0) or total <= 0:
        return None
    still = max(0.0, age - max(SHORT, USUAL * step))
    return Said(total, max(1e-3, SAYS * rest / total), max(0.0, at - began), min(age, step), still)
