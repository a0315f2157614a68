"""What waiting jobs need of GPUs: which needs can be met by the GPUs there are, so that no other job stops the line.

Jobs with the same need are judged together: when the GPUs change, only the needs are looked at again, and only the
jobs of those that can or cannot be met any more come out of the line, or back into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainqueue.core.expect import would_do

if TYPE_CHECKING:
    from trainqueue.core.board import Board
    from trainqueue.core.job import Job
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec

Need = tuple[object, ...]


def need(spec: JobSpec) -> Need:
    """Equal for jobs that ask for the same GPUs, whatever "auto" may come to for each."""
    return (spec.gpus, spec.gpu_memory, spec.gpu_from, spec.gpu_name, spec.gpu_min_memory)


def ask(spec: JobSpec) -> Need:
    """Equal for jobs that are given the same: "auto" comes to something else for each command."""
    return (need(spec), (spec.command, spec.cwd) if spec.gpu_memory == "auto" else None)


@dataclass(slots=True)
class Group:
    """The queued jobs of one need; `spec` is of one of them."""

    spec: JobSpec
    possible: bool
    jobs: dict[int, None] = field(default_factory=dict[int, None])


class Needs:
    """The needs of all queued jobs."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._groups: dict[Need, Group] = {}
        self._slots: list[Slot] = []
        self._facts: object = None
        self.review()

    def add(self, job: Job) -> bool:
        """Whether its need can be met by the GPUs that are there, now or later."""
        if not job.spec.gpus:
            return True
        key = need(job.spec)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(job.spec, self._is_possible(job.spec))
        group.jobs[job.id] = None
        return group.possible

    def remove(self, job: Job) -> None:
        if not job.spec.gpus:
            return
        key = need(job.spec)
        group = self._groups.get(key)
        if group is not None:
            group.jobs.pop(job.id, None)
            if not group.jobs:
                del self._groups[key]

    def met(self, job: Job) -> bool:
        """What `add` has said, or would say now."""
        group = self._groups.get(need(job.spec))
        return not job.spec.gpus or group is None or group.possible

    def review(self) -> list[int]:
        """After something has changed with the GPUs: the jobs for which that changes the answer."""
        cards = self._board.counted()
        facts = (
            self._board.known,
            [(card.id, card.reading.index, card.reading.name, card.reading.memory_total) for card in cards],
        )
        if facts == self._facts:
            return []
        self._facts = facts
        self._slots = [self._board.slot(card) for card in cards]
        found: list[int] = []
        for group in self._groups.values():
            possible = self._is_possible(group.spec)
            if possible != group.possible:
                group.possible = possible
                found += group.jobs
        return found

    def _is_possible(self, spec: JobSpec) -> bool:
        """Before anybody has seen which GPUs there are, everything is."""
        return not self._board.known or len(would_do(spec, self._slots)) >= spec.gpus
