"""Who looks on all the while: reads every event, keeps what each job said of itself at its end, counts the line."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from soak import explained
from soak.history import ENDED, News
from soak.protocol import GivenUpError, RefusedError

if TYPE_CHECKING:
    from soak.people import Office

LOOK = 0.2
EVERY = 5
"""Of the looks one is at the whole line, too."""
ALIKE = ("gpus", "group", "max_running", "lane")
GPU_ALIKE = ("gpu_memory", "gpu_from", "gpu_name", "gpu_min_memory", "time_limit", "grace")


class Place(NamedTuple):
    """Of a waiting job."""

    job: int
    position: int | None
    priority: int | str
    attempt: int
    alike: str


class Snapshot(NamedTuple):
    """The line as it was when `seq` was the newest event; `sent` is when somebody asked."""

    seq: int
    sent: float
    places: list[Place]


class Watch(threading.Thread):
    """`raw`: the events as they came. `attempts`: of each job, as it was last seen."""

    def __init__(self, office: Office) -> None:
        super().__init__(name="watch", daemon=True)
        self.office, self.history = office, office.history
        self.raw: list[dict[str, Any]] = []
        self.attempts: dict[int, list[dict[str, Any]]] = {}
        self.looks = 0
        self.longest = 0
        self.reasons = Counter[str]()
        """Why jobs waited, as often as anybody looked."""
        self.lines: list[Snapshot] = []
        self.enough = False
        self.offset = time.time() - time.monotonic()

    def run(self) -> None:
        try:
            while not self.enough:
                self.read()
                self.looks += 1
                if self.looks % EVERY == 0:
                    self.count()
                time.sleep(LOOK)
        except GivenUpError as error:
            self.history.faults.append(f"the watch was not answered ({error})")
        except Exception as error:  # noqa: BLE001  (nobody leaves in silence)
            self.history.faults.append(f"the watch died: {error!r}")

    def read(self) -> None:
        """All events that there are by now; what has ended is asked how."""
        more = True
        while more:
            after = self.history.seqs[-1] if self.history.seqs else 0
            found = self.office.line.call("events", after=after, limit=2000)
            for event in found["events"]:
                self.hear(event)
            more = bool(found["events"]) and found["last"] > self.history.seqs[-1]

    def hear(self, event: dict[str, Any]) -> None:
        self.history.seqs.append(event["seq"])
        self.raw.append(event)
        if "state" not in event:
            return
        job, at = event["id"], event["at"] - self.offset
        self.history.news.append(News(event["seq"], at, event["type"], job, event["state"], event["attempt"]))
        self.office.states[job] = event["state"]
        if event["state"] in ENDED:
            self.keep(job)

    def keep(self, job: int) -> None:
        """How it ended, before retention takes it; it may have been retried meanwhile."""
        try:
            found = self.office.line.call("status", job=job)
        except RefusedError as error:
            self.history.faults.append(f"job {job} has just ended, and its status was refused: {error}")
            return
        self.history.jobs[job] = found["job"]
        self.attempts[job] = found["attempts"]

    def count(self) -> None:
        asked_at, sent = time.time(), time.monotonic()
        found = self.office.line.call("queue", limit=10_000)
        self.longest = max(self.longest, len(found["queued"]))
        self.reasons.update(job["why_code"] for job in found["queued"])
        self.history.faults += explained.wrong(found, asked_at)
        self.lines.append(Snapshot(found["seq"], sent, [seen(job) for job in found["queued"]]))


def seen(job: dict[str, Any]) -> Place:
    """Of whom there is the same to say but for their places is alike."""
    fields = [job[name] for name in (*ALIKE, *(GPU_ALIKE if job["gpus"] else ()))]
    return Place(job["id"], job["position"], job["priority"], job["attempt"], repr(fields))
