"""How many epochs or steps there will be, where that is known otherwise: by the command, or a promise in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.scan.reading import Reading

EPOCHS = re.compile(
    r"^(?:-{0,2}(?:\w+\.)*|-{1,2})(?:num|max|n|total|num_train|max_train|train)?[_-]?epochs?$", re.IGNORECASE
)
STEPS = re.compile(
    r"^-{0,2}(?:\w+\.)*(?:max|total|num|n|max_train|num_train|train)[_-]?(?:steps?|iters?|iterations)$", re.IGNORECASE
)


LONGEST = 200
"""Characters of a word that are looked at: what is longer is no option, but a program or a text."""
DIGITS = 10
"""A number of more is none of these."""


@dataclass(frozen=True, slots=True)
class Hints:
    """None: nobody knows. `per_epoch`: a bar without a name is one epoch's, rather than the whole run's."""

    epochs: float | None = None
    steps: float | None = None
    per_epoch: bool = False

    @classmethod
    def of(cls, command: Sequence[str]) -> Hints:
        """From `--epochs 10`, `--max-steps=500`, `trainer.max_epochs=10`."""
        epochs = steps = None
        trainer = False
        for at, word in enumerate(command):
            name, equals, value = word[:LONGEST].partition("=")
            if not equals:
                if not name.startswith("-"):
                    continue
                value = command[at + 1] if at + 1 < len(command) else ""
            if not (value.isdecimal() and len(value) < DIGITS and int(value)):
                continue
            if EPOCHS.match(name):
                epochs, trainer = float(value), "num_train" in name.replace("-", "_")
            elif STEPS.match(name):
                steps = float(value)
        return cls(epochs, steps, epochs is not None and epochs > 1 and steps is None and not trainer)

    def with_promises(self, reading: Reading) -> Hints:
        if reading.promised_steps:
            return replace(self, steps=float(reading.promised_steps), per_epoch=False)
        if reading.promised_epochs:
            return replace(self, epochs=float(reading.promised_epochs))
        return self
