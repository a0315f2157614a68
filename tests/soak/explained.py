"""What a `queue` reply says, held against the rest of it: places, counts, GPUs, and why each job waits."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from soak.wishes import GPUS

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = re.compile(r"(\d+) of group (\S+) run")
LANE = re.compile(r"lane (\S+) holds (\d+) of its (\d+) GPU")
PLACE = re.compile(r"position (\d+) in the line")
NO_GPU = re.compile(r"next in line; (\d+) of (\d+) jobs without a GPU are running")
TRIED_AGAIN = "tried again every second"


def wrong(found: dict[str, Any], asked_at: float) -> Iterator[str]:
    """Sentences; `asked_at` by the wall clock."""
    yield from places(found)
    yield from counts(found)
    yield from gpus(found)
    firsts = {job["id"] for job in (first(found, gpu=True), first(found, gpu=False)) if job is not None}
    for job in found["queued"]:
        if sentence := Waiting(found, job, asked_at).wrong(first=job["id"] in firsts):
            yield f"job {job['id']} waits for ({job['why_code']}) {job['why']!r}: {sentence}"


def places(found: dict[str, Any]) -> Iterator[str]:
    """Each once, none left out, those who have none behind."""
    there = [job["position"] for job in found["queued"]]
    ready = [place for place in there if place is not None]
    if ready != [*range(1, len(ready) + 1)] or None in there[: len(ready)]:
        yield f"the places in line were {there}"
    ids = Counter(job["id"] for job in [*found["queued"], *found["running"]])
    yield from (f"job {job} stands there {count} times" for job, count in ids.items() if count > 1)


def counts(found: dict[str, Any]) -> Iterator[str]:
    told = Counter(job["state"] for job in [*found["queued"], *found["running"]])
    said = {state: found["counts"].get(state, 0) for state in ("queued", "pending", "running")}
    if any(told[state] != count for state, count in said.items()):
        yield f"counted {said}, shown {dict(told)}"
    for lane in found["lanes"]:
        mine = [job for job in found["running"] if (job["lane"] or "default") == lane["name"]]
        if (lane["running"], lane["held"]) != (len(mine), sum(job["gpus"] for job in mine)):
            yield f"of lane {lane['name']} it says {lane}, running are {[(job['id'], job['gpus']) for job in mine]}"


def gpus(found: dict[str, Any]) -> Iterator[str]:
    """What the GPUs say of the jobs is what the jobs say of the GPUs."""
    held = {(job["id"], gpu) for job in found["running"] for gpu in job["gpu_ids"]}
    shown = {(job, gpu["id"]) for gpu in found["gpus"] for job in gpu["jobs"]}
    if held != shown:
        yield f"jobs hold {sorted(held)}, GPUs are held by {sorted(shown)}"


def first(found: dict[str, Any], *, gpu: bool) -> dict[str, Any] | None:
    return next((job for job in found["queued"] if job["position"] is not None and (job["gpus"] > 0) is gpu), None)


LATE = 0.5
"""Seconds that an alarm may take on a busy machine."""


class Waiting:
    """One job that waits, and what it says of that."""

    def __init__(self, found: dict[str, Any], job: dict[str, Any], asked_at: float) -> None:
        self.found, self.job, self.asked_at = found, job, asked_at
        self.code, self.why = job["why_code"], job["why"]
        lanes = {lane["name"]: lane for lane in found["lanes"]}
        self.lane = lanes[job["lane"] or "default"]

    def wrong(self, *, first: bool) -> str | None:
        """In the order in which the reasons go before each other: what only a person can change comes first."""
        job, code = self.job, self.code
        if job["hold"] or code == "held":
            return None if job["hold"] and code == "held" else f"hold is {job['hold']}"
        waits = [*job["waits_for"], *job["waits_for_groups"]]
        if waits or code == "dependency":
            return None if waits and code == "dependency" else f"it waits for {waits}"
        if code == "backoff":
            return None if job["attempt"] > 1 or TRIED_AGAIN in self.why else "it is its first attempt"
        if code == "not-before":
            early = job["not_before"] is not None and job["not_before"] > self.asked_at - LATE
            return None if early and job["position"] is None else f"not before {job['not_before']}"
        if self.found["draining"] or self.found["paused"]:
            return None if code == ("draining" if self.found["draining"] else "paused") else "the queue stands still"
        if job["position"] is None:
            return self.beside()
        return self.ahead() if first else self.behind()

    def beside(self) -> str | None:
        """It may not start, whoever else goes."""
        if self.code == "paused" or self.lane["paused"]:
            ours = self.code in {"paused", "gpu-count"} and self.lane["paused"]
            return None if ours else f"its lane is {self.lane}"
        if self.code == "gpu-count":
            return self.scarce()
        bound, group, lane = self.job["max_running"], GROUP.search(self.why), LANE.search(self.why)
        if group is not None:
            run = sum(job["group"] == self.job["group"] for job in self.found["running"])
            ours = (int(group[1]), group[2]) == (run, self.job["group"]) and bound is not None
            return None if ours else f"{run} of its group {self.job['group']} run, its bound is {bound}"
        if lane is not None:
            ours = (lane[1], int(lane[2]), int(lane[3])) == (self.lane["name"], self.lane["held"], self.lane["gpus"])
            return None if ours else f"its lane is {self.lane}"
        return "nothing is in its way"

    def scarce(self) -> str | None:
        """It needs more than it can ever have."""
        most = min(self.lane["gpus"] if self.lane["gpus"] is not None else GPUS, len(self.usable()))
        return None if self.job["gpus"] > most else f"it needs {self.job['gpus']} of {most}"

    def usable(self) -> list[dict[str, Any]]:
        """GPUs that would do, whoever is on them."""
        wanted = self.job["gpu_from"]
        return [gpu for gpu in self.found["gpus"] if gpu["enabled"] and (not wanted or gpu["index"] in wanted)]

    def ahead(self) -> str | None:
        """First of its sort: it starts as soon as there is room."""
        if not self.job["gpus"]:
            told, run = NO_GPU.search(self.why), sum(not job["gpus"] for job in self.found["running"])
            full = told is not None and int(told[1]) == run >= int(told[2])
            return None if full else f"{run} jobs without a GPU run"
        free = [gpu["index"] for gpu in self.usable() if not gpu["jobs"]]
        idle = self.code == "position" and self.job["gpus"] <= len(free)
        return f"it needs {self.job['gpus']}, and these are free: {free}" if idle else None

    def behind(self) -> str | None:
        place = PLACE.search(self.why)
        told = self.code == "position" and place is not None and int(place[1]) == self.job["position"]
        return None if told else f"its position is {self.job['position']}"
