"""Who looks on all the while: reads every event, keeps what each job said of itself at its end, counts the line."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from soak.history import ENDED, News
from soak.protocol import GivenUpError, RefusedError

if TYPE_CHECKING:
    from soak.people import Office

LOOK = 0.2
EVERY = 5
"""Of the looks one is at the whole line, too."""


class Watch(threading.Thread):
    """`raw`: the events as they came. `attempts`: of each job, as it was last seen."""

    def __init__(self, office: Office) -> None:
        super().__init__(name="watch", daemon=True)
        self.office, self.history = office, office.history
        self.raw: list[dict[str, Any]] = []
        self.attempts: dict[int, list[dict[str, Any]]] = {}
        self.looks = 0
        self.longest = 0
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
        """The places of the line: each once, none left out, those who have none behind."""
        found = self.office.line.call("queue", limit=10_000)
        places = [job["position"] for job in found["queued"]]
        self.longest = max(self.longest, len(places))
        ready = [place for place in places if place is not None]
        if ready != [*range(1, len(ready) + 1)] or None in places[: len(ready)]:
            self.history.faults.append(f"the places in line were {places}")
        ids = [job["id"] for job in [*found["queued"], *found["running"]]]
        if len({*ids}) < len(ids):
            self.history.faults.append(f"a job stands there twice: {[job for job, n in Counter(ids).items() if n > 1]}")
        told = Counter(job["state"] for job in [*found["queued"], *found["running"]])
        counts = {state: found["counts"].get(state, 0) for state in ("queued", "pending", "running")}
        if any(told[state] != count for state, count in counts.items()):
            self.history.faults.append(f"counted {counts}, shown {dict(told)}")
        self.gpus(found)

    def gpus(self, found: dict[str, Any]) -> None:
        """What the GPUs say of the jobs is what the jobs say of the GPUs."""
        held = {(job["id"], gpu) for job in found["running"] for gpu in job["gpu_ids"]}
        shown = {(job, gpu["id"]) for gpu in found["gpus"] for job in gpu["jobs"]}
        if held != shown:
            self.history.faults.append(f"jobs hold {sorted(held)}, GPUs are held by {sorted(shown)}")
