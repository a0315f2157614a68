"""What is known of earlier runs of the same command: how long they took, and how much GPU memory they used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainqueue.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Runs:
    """Of the last few completed runs of a command in its folder: seconds, and the highest peak in bytes per GPU.

    `peak_memory` is None where none of them was looked at often enough to say.
    """

    shortest: float | None = None
    longest: float | None = None
    peak_memory: int | None = None
    times: tuple[float, ...] = field(default=(), compare=False)
    """How long each took, the newest first."""


class Past(Protocol):
    """Answers at once, from memory or an index: the core asks it in the middle of a step."""

    def runs(self, spec: JobSpec) -> Runs: ...


class NoPast:
    """Where nothing is remembered."""

    def runs(self, spec: JobSpec) -> Runs:
        del spec
        return Runs()
