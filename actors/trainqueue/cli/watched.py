"""The views of `--watch`: the queue, one job, the GPUs."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from trainqueue.cli import gauges, scene
from trainqueue.cli.given import refuse
from trainqueue.cli.select import ENDED, STARTED
from trainqueue.cli.watch import watch

if TYPE_CHECKING:
    from trainqueue.cli.painter import Line
    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

NEWS = frozenset({"job", "moved", "queue", "lane", "stalled", "stirred", "gpu"})
"""After these events the state is another one."""

LOOKED_AT = 30
"""Ended jobs, of which the last ones are shown."""


def states_asked(which: Selection) -> tuple[str, ...]:
    """Of ended jobs those that are wanted."""
    return tuple(state for state in which.states if state in ENDED) if which.states else ENDED


def older(job: dict[str, Any], seconds: float) -> dict[str, Any]:
    """So much later, where nothing else has happened to it."""
    if job["state"] != "running" or job.get("suspended") or job["run_time"] is None:
        return job
    return {**job, "run_time": job["run_time"] + seconds}


class QueueView:
    """What runs, what waits, what has ended last."""

    def __init__(self, which: Selection, limit: int | None) -> None:
        self.which, self.limit = which, limit
        self.found: dict[str, Any] = {}
        self.recent: list[dict[str, Any]] = []
        self._heard: deque[int] = deque(maxlen=scene.RECENT)
        self._ends_changed = True
        self._at = 0.0

    def look(self, trainq: Client, room: int) -> None:
        from trainqueue.cli.look import selected

        limit = min(room, self.limit or room)
        if self.which.filtered:
            self.found = selected(trainq, self.which, limit, document=False)
        else:
            self.found = trainq.queue(limit)
        self._at = time.monotonic()
        if self._ends_changed:
            self.recent = self._ends(trainq)
            self._ends_changed = False

    def _ends(self, trainq: Client) -> list[dict[str, Any]]:
        """The last ones: the daemon lists by id, and an old job may have ended just now."""
        states = [*states_asked(self.which)]
        if not states:
            return []
        asked: dict[str, Any] = self.which.asked(states) | {"states": states, "limit": LOOKED_AT}
        ended: list[dict[str, Any]] = trainq.call("jobs", **asked)["jobs"]
        if missing := [job for job in self._heard if job not in {job["id"] for job in ended}]:
            ended += trainq.call("jobs", jobs=missing, states=states)["jobs"]
        newest = sorted(filter(self.which.matches, ended), key=lambda job: -(job["ended_at"] or 0))
        return newest[: scene.RECENT]

    def hear(self, event: dict[str, Any]) -> bool:
        if event["type"] == "gpus":
            self.found["gpus"] = event["gpus"]
        elif event["type"] == "progress":
            for job in self.found["running"]:
                if job["id"] == event["id"]:
                    job["progress"] = event["progress"]
        elif event["type"] == "job" and event["state"] not in STARTED:
            self._ends_changed = True
            if event["state"] in ENDED:
                self._heard.append(event["id"])
        return event["type"] in NEWS

    @property
    def lively(self) -> bool:
        return bool(self.found["running"])

    def lines(self, size: tuple[int, int], trouble: str) -> list[Line]:
        since = 0.0 if trouble else time.monotonic() - self._at
        running = [older(job, since) for job in self.found["running"]]
        return scene.lines({**self.found, "running": running}, self.recent, time.time(), size, trouble)

    def document(self) -> dict[str, Any]:
        return self.found


class JobView:
    """One job in full."""

    def __init__(self, job: int, *, document: bool) -> None:
        """Of people only: how its metrics went, as of the last look."""
        self.job, self.draws = job, not document
        self.found: dict[str, Any] = {}
        self._at = 0.0

    def look(self, trainq: Client, room: int) -> None:
        del room
        from trainqueue.cli.onejob import told

        self.found = told(trainq.call("status", job=self.job))
        if self.draws:
            self.found = gauges.with_series(trainq, self.found, ask=True, whole=False)
        self._at = time.monotonic()

    def hear(self, event: dict[str, Any]) -> bool:
        """Its position changes with other jobs' events."""
        if event["type"] == "progress" and event["id"] == self.job:
            self.found["progress"] = event["progress"]
        ours = event.get("id") == self.job or self.found["state"] == "queued"
        return event["type"] in NEWS and ours

    @property
    def lively(self) -> bool:
        return bool(self.found["state"] == "running")

    def lines(self, size: tuple[int, int], trouble: str) -> list[Line]:
        from trainqueue.cli.onejob import facts

        since = 0.0 if trouble else time.monotonic() - self._at
        job = older(self.found, since)
        return scene.job_lines(job, facts({**job, "changed_files": None}), time.time(), size, trouble)

    def document(self) -> dict[str, Any]:
        return self.found


class GpuView:
    """What `gpus` shows."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def look(self, trainq: Client, room: int) -> None:
        del room
        self.found = trainq.call("gpus")

    def hear(self, event: dict[str, Any]) -> bool:
        """Jobs start and end there."""
        if event["type"] == "gpus":
            self.found["gpus"] = event["gpus"]
        return event["type"] in NEWS

    @property
    def lively(self) -> bool:
        return False

    def lines(self, size: tuple[int, int], trouble: str) -> list[Line]:
        from trainqueue.cli import gpus

        told = self.found.get("trouble") or ("" if self.found["gpus"] else gpus.NOBODY_KNOWS)
        rows = [[*map(str, gpus.row(gpu))] for gpu in self.found["gpus"]]
        return scene.gpu_lines(gpus.HEADS, rows, told, size, trouble)

    def document(self) -> dict[str, Any]:
        return self.found


def queue(which: Selection, interval: float | None, limit: int | None, *, document: bool) -> None:
    watch(QueueView(which, limit), interval=interval, document=document, limit=limit)


def status(which: Selection, interval: float | None, *, document: bool) -> None:
    if not which.ids:
        queue(which, interval, None, document=document)
        return
    if len(which.ids) > 1 or which.filtered:
        refuse("--watch is for one job, or for the queue: trainq-cli queue --watch with --name, --tag and so on")
    watch(JobView(which.ids[0], document=document), interval=interval, document=document, limit=None)


def gpus(interval: float | None, *, document: bool) -> None:
    watch(GpuView(), interval=interval, document=document, limit=None)
