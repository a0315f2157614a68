"""What the terminal view knows of the daemon: its last answers, and what events have said since. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainqueue.expectations import COLUMNS
from trainqueue.jobinfo import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterable

JobMap = dict[str, Any]

RECENT = 50
"""Ended jobs that are remembered."""
SEARCHED = ("name", "user", "group", "state", "cause", "why", "lane")


@dataclass
class World:
    """`jobs` has those of which more is known than their id: of thousands that wait those that were on screen."""

    jobs: dict[int, JobMap] = field(default_factory=dict)
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    recent: list[int] = field(default_factory=list)
    """Ended ones, the last one first."""
    ready: int = 0
    """So many of `waiting` have a position."""
    gpus: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    modes: dict[str, Any] = field(default_factory=dict)
    """paused, draining, pause_reason, paused_since, lanes"""
    epoch: str = ""
    known: bool = False
    """Whether any answer has come."""
    filter: str = ""

    def take(
        self,
        found: dict[str, Any],
        line: dict[str, Any],
        jobs: Iterable[JobMap],
        recent: Iterable[JobMap] | None = None,
    ) -> None:
        """Answers to `queue`, `line` and `jobs`, asked one after the other."""
        self.known, self.epoch = True, found["epoch"]
        self.gpus, self.counts = found["gpus"], found["counts"]
        self.modes = {name: found.get(name) for name in ("paused", "draining", "pause_reason", "paused_since", "lanes")}
        self.running = [job["id"] for job in found["running"]]
        started = {*self.running}
        self.waiting = [job for job in line["jobs"] if job not in started]
        self.ready = line["ready"] - sum(1 for job in line["jobs"][: line["ready"]] if job in started)
        for job in (*found["queued"], *jobs, *(recent or ()), *found["running"]):
            self.jobs[job["id"]] = job
        self._foresee(line)
        self._sort_out()

    def _foresee(self, line: dict[str, Any]) -> None:
        """The forecast stands beside the order, for all that wait."""
        told = [(name, line[name]) for name in COLUMNS if line.get(name)]
        for at, job in enumerate(line["jobs"] if told else ()):
            if (known := self.jobs.get(job)) is not None:
                known.update({name: column[at] for name, column in told})

    def _sort_out(self) -> None:
        """Forget all that is nowhere any more."""
        living = {*self.running, *self.waiting}
        ended = [job for job in self.jobs.values() if job["state"] in ENDED and job["id"] not in living]
        ended.sort(key=lambda job: (job["ended_at"] or 0.0, job["id"]), reverse=True)
        self.recent = [job["id"] for job in ended[:RECENT]]
        keep = living | {*self.recent}
        self.jobs = {id_: job for id_, job in self.jobs.items() if id_ in keep}

    def hear(self, event: dict[str, Any]) -> bool:
        """Whether it says enough by itself; what else has changed must be asked for."""
        match event["type"]:
            case "progress":
                if (job := self.jobs.get(event["id"])) is not None:
                    job["progress"] = event["progress"]
                return True
            case "gpus":
                self.gpus = event["gpus"]
                return True
            case other:
                return bool(other in {"heartbeat", "welcome"})

    def position(self, job: int) -> int | None:
        """By the order of the line, which is newer than what the job itself says."""
        known = self.jobs.get(job)
        if known is None or known["state"] != "queued":
            return None
        at = self._places.get(job)
        return at + 1 if at is not None and at < self.ready else None

    @property
    def _places(self) -> dict[int, int]:
        """Made when it is first asked for after the line has changed."""
        kept: tuple[list[int], dict[int, int]] | None = self.__dict__.get("_placed")
        if kept is None or kept[0] is not self.waiting:
            kept = (self.waiting, {job: at for at, job in enumerate(self.waiting)})
            self.__dict__["_placed"] = kept
        return kept[1]

    def name(self, job: int) -> str:
        known = self.jobs.get(job)
        return known["name"] if known is not None else ""

    def state(self, job: int | None) -> str:
        """Empty for one of which nothing is known."""
        known = self.jobs.get(job) if job is not None else None
        return str(known["state"]) if known is not None else ""

    def matches(self, job: int) -> bool:
        """Whether the filter lets it through; all words must occur somewhere."""
        if not self.filter:
            return True
        known = self.jobs.get(job)
        if known is None:
            return False
        texts = [str(known.get(name) or "") for name in SEARCHED]
        texts += [f"{key}={value}" for key, value in (known.get("tags") or {}).items()]
        text = " ".join([str(job), *texts, " ".join(known.get("command") or ())]).casefold()
        return all(word in text for word in self.filter.casefold().split())

    def dependents(self, job: int) -> list[int]:
        """Of those that are known: who waits for it."""
        return [other for other in self.waiting if job in (self.jobs.get(other) or {}).get("waits_for", ())]
