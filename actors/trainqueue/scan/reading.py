"""What one line of a log says about how far a script is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Reading:
    """`name` tells one counter from another. What a line does not say is None.

    `epoch` of `epochs` may stand on one line with the `step` of `total` within it. `said` is where metrics may stand.
    """

    name: str = ""
    step: float | None = None
    total: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    begins: bool = True
    """The epoch named is under way, not over."""
    from_zero: bool = False
    """It is known that epochs are counted from 0 here, up to `epochs`."""
    whole_range: bool = False
    """From 0 up to `epochs` - 1, for sure: the step within them is counted so, too."""
    heads: bool = False
    """A count without a word that may be the headline of an epoch."""
    minor: bool = False
    """Of the preparation, or of a validation."""
    weak: bool = False
    """May be anything; it counts only when it goes on."""
    elapsed: float | None = None
    left: float | None = None
    """Seconds, in a bar's own words."""
    said: str = ""
    passes: float | None = None
    """Epochs done, with their fraction, in the words of one who counts steps besides."""
    renames: bool = False
    """A bar whose description may change while it runs."""
    over: bool = False
    """The training is over."""
    promised_steps: int | None = None
    promised_epochs: int | None = None
    """Said before the first of them."""
