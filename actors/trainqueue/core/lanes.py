"""Lanes: named queues beside each other, each with its own share of the GPUs and its own pause.

There is always one without a name, called "default". The settings make lanes, and so do people while the daemon runs;
what people say of a lane goes before what the settings say, and outlives a restart, as with GPUs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from trainqueue.core.words import DEFAULT_LANE, number
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Lane:
    """`gpus`: so many at most for its jobs together, a GPU counting for each job on it; None: as many as there are."""

    gpus: int | None = None
    paused: bool = False
    paused_since: float | None = field(default=None, compare=False)
    """Wall time; None where the settings pause it, or an older daemon has been told to."""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people have said of a lane, apart from the settings."""

    gpus: int | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    since: float | UnsetType = UNSET
    """When that was said, of a lane that is paused."""


class Lanes:
    """What is known of each lane, and the jobs that wait in it."""

    def __init__(self, given: Mapping[str, Lane]) -> None:
        """`given` by the settings."""
        self.given = {DEFAULT_LANE: Lane(), **given}
        self.from_settings = frozenset(given)
        self.choices: dict[str, Choice] = {}
        self.all: dict[str, Lane] = dict(self.given)
        self.waiting: dict[str, dict[int, None]] = {}
        self.running = Counter[str]()
        """Active jobs."""

    # -- of a job

    def name(self, spec: JobSpec) -> str:
        return spec.lane or DEFAULT_LANE

    def cap(self, spec: JobSpec) -> int | None:
        """GPUs that its lane may hold; None: as many as there are."""
        return self.all[spec.lane or DEFAULT_LANE].gpus

    def closed(self, spec: JobSpec) -> tuple[str, str] | None:
        """Why nothing but a person can let such a job start: why_code and sentence."""
        name = spec.lane or DEFAULT_LANE
        lane = self.all[name]
        if lane.paused and not (name in self.given or name in self.choices):
            ways = f"`trainq-cli lane {name} --resume` lets its jobs start, and `edit --set lane=` moves them"
            return "paused", f"lane {name} stands in the settings no more: {ways}"
        if lane.paused:
            return "paused", f"lane {name} is paused; `trainq-cli lane {name} --resume` goes on"
        if lane.gpus is not None and spec.gpus > lane.gpus:
            return "gpu-count", f"needs {number(spec.gpus, 'GPU')}, and lane {name} may have {lane.gpus}"
        return None

    def check(self, spec: JobSpec, where: str) -> None:
        """Raises RequestError ("not-found") for a lane that there is not."""
        if spec.lane is not None and spec.lane not in self.all:
            there = ", ".join(sorted(self.all))
            raise RequestError("not-found", f"{where}.lane: there is no lane {spec.lane}; there are: {there}")

    def join(self, job: Job) -> None:
        """It waits. A lane that nobody knows any more lives as long as jobs are in it."""
        self.expect(self.name(job.spec))
        self.waiting.setdefault(self.name(job.spec), {})[job.id] = None

    def leave(self, job: Job) -> None:
        jobs = self.waiting.get(self.name(job.spec), {})
        jobs.pop(job.id, None)
        if not jobs:
            self.waiting.pop(self.name(job.spec), None)
            self._forget(self.name(job.spec))

    def count(self, name: str, active: int) -> None:
        """So many more jobs of it have become active, or fewer."""
        self.running[name] += active
        if not self.running[name]:
            del self.running[name]
            self._forget(name)

    def _forget(self, name: str) -> None:
        """It was only there for the sake of its jobs, and the last of them has gone."""
        if not (name in self.given or name in self.choices or name in self.waiting or self.running[name]):
            self.all.pop(name, None)

    def expect(self, name: str) -> None:
        """Jobs of an earlier daemon are in it, and the settings know it no more: nor does anybody know its bound.

        So it is paused until somebody says what is to become of it.
        """
        self.all.setdefault(name, Lane(paused=True))

    # -- what people say

    def recall(self, choices: Mapping[str, Choice]) -> None:
        """What they have said to an earlier daemon."""
        self.choices = dict(choices)
        for name in choices:
            self.all[name] = self._as_chosen(name)

    def choose(self, name: str, choice: Choice, now: float) -> None:
        """In addition to what was said before. What only says what the settings say is forgotten: they may change.

        But a person's pause stays.
        """
        before, given = self.choices.get(name, Choice()), self.given.get(name)
        gpus = before.gpus if choice.gpus is UNSET else choice.gpus
        paused = before.paused if choice.paused is UNSET else choice.paused
        if given is not None:
            gpus = UNSET if gpus == given.gpus else gpus
            paused = UNSET if paused is False and not given.paused else paused
        since = before.since if before.paused is True else now
        self.choices[name] = Choice(gpus, paused, since if paused is True else UNSET)
        self.all[name] = self._as_chosen(name)
        if given is not None and self.choices[name] == Choice():
            del self.choices[name]

    def _as_chosen(self, name: str) -> Lane:
        given, choice = self.given.get(name, Lane()), self.choices[name]
        gpus = given.gpus if choice.gpus is UNSET else choice.gpus
        since = None if choice.since is UNSET else choice.since
        return Lane(gpus, given.paused if choice.paused is UNSET else choice.paused, since)

    def check_removal(self, name: str) -> None:
        """Raises RequestError ("not-found", "conflict")."""
        waiting, running = len(self.waiting.get(name, ())), self.running[name]
        if name not in self.all:
            raise RequestError("not-found", f"there is no lane {name}; there are: {', '.join(sorted(self.all))}")
        if name == DEFAULT_LANE:
            raise RequestError("conflict", "the lane default is always there")
        if name in self.from_settings:
            raise RequestError("conflict", f"lane {name} stands in the settings ([lanes.{name}]): remove it there")
        if waiting or running:
            wait, run = ("s" if count == 1 else "" for count in (waiting, running))
            raise RequestError("conflict", f"{number(waiting, 'job')} wait{wait} and {running} run{run} in lane {name}")

    def remove(self, name: str) -> None:
        self.all.pop(name)
        self.choices.pop(name, None)

    def special(self) -> bool:
        """Whether there is more to say than that all jobs wait in one line."""
        return len(self.all) > 1 or self.all[DEFAULT_LANE] != Lane()
