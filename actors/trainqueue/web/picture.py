"""What all pages see of the queue, as JSON in pieces, and which pieces changed. No sockets, no clock.

Jobs are kept as the JSON that goes to the pages: thousands of them take a fifth of what dictionaries would, and whether
one has changed is one comparison. Each start moves everybody behind it, and a job that has not changed else must not be
sent again for that: places in the line and expected starts travel as columns (`line`), and jobs are kept without them.
What is null in a job is half of its bytes and stays away, too; a snapshot says once which `fields` there are.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trainqueue.expectations import COLUMNS
from trainqueue.jobinfo import ENDED, Job

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 5_000
"""Waiting jobs that pages get, the foremost; `counts` tells how many there are."""
RECENT = 50
ROW, CELL = 4096, 1024
"""Bytes of a job that goes to pages as it is, and (or characters, of a text) of each field of a longer one."""
MINUTE = 60.0
HEAD = ("paused", "draining", "pause_reason", "paused_since", "lanes", "counts")
PLACE = re.compile(r"^position \d+ in the line")
TICKING = dict.fromkeys(("run_time", "gpu_seconds", "waited"))
"""They are other ones whenever one asks; pages count by themselves."""
json = msgspec.json.encode
FIELDS = json(Job.__struct_fields__)
Pieces = list[bytes]
"""JSON that is not put together: rows are shared by all pages that have not read theirs yet."""


class Kept(NamedTuple):
    """What stays of a job: a fiftieth of what its dictionary takes. By `face` is seen whether it has changed."""

    id: int
    state: str
    attempt: int
    data: bytes
    face: int


def kept(job: dict[str, Any]) -> Kept:
    told = told_of(job)
    face = json({**told, **TICKING})
    data = json(told if len(face) <= ROW else shortened(told))
    return Kept(job["id"], job["state"], job["attempt"], data, hash(face))


def told_of(job: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, and of a waiting job without what the line says of it."""
    told = {name: value for name, value in job.items() if value is not None}
    if job["state"] != "queued":
        return told
    for name in COLUMNS:
        told.pop(name, None)
    if "position" in told:
        told["position"] = 1
    if job["why_code"] == "position" and job["why"]:
        told["why"] = PLACE.sub("in the line", job["why"])
    return told


def shortened(told: dict[str, Any]) -> dict[str, Any]:
    """A job that is too long for a row: its longest fields cut, and named in `cut`. /status has the whole."""
    long = {name: shorter(value) for name, value in told.items() if len(json(value)) > CELL}
    return {**told, **long, "cut": [*long]}


def shorter(value: Any) -> Any:
    """Its beginning."""
    match value:
        case str():
            return value[:CELL] + "…"
        case dict():
            pairs: list[tuple[str, Any]] = [*value.items()]
            return dict(pairs[: fitting(pairs)])
        case list() | tuple():
            items: list[Any] = [*value]
            fit = fitting(items)
            return items[:fit] + [shorter(item) for item in items[fit : fit + 1] if isinstance(item, str)]
        case _:
            return value


def fitting(items: list[Any]) -> int:
    """How many of them, the first ones, fit into CELL bytes."""
    left = CELL
    for at, item in enumerate(items):
        left -= len(json(item)) + 1
        if left < 0:
            return at
    return len(items)


@dataclass(slots=True)
class News:
    """What a page has not been told yet; later news replace earlier ones, so it never grows beyond the queue."""

    jobs: dict[int, bytes] = field(default_factory=dict[int, bytes])
    progress: dict[int, bytes] = field(default_factory=dict[int, bytes])
    gone: set[int] = field(default_factory=set[int])
    head: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Fields by name: paused, counts, gpus, line, daemon ..."""

    def __bool__(self) -> bool:
        return bool(self.jobs or self.progress or self.gone or self.head)

    def take(self, other: News) -> None:
        self.jobs.update(other.jobs)
        for job in other.jobs:
            self.progress.pop(job, None)
            self.gone.discard(job)
        self.progress.update(other.progress)
        self.head.update(other.head)
        for job in other.gone:
            self.jobs.pop(job, None)
            self.progress.pop(job, None)
        self.gone |= other.gone

    def body(self, **more: bytes) -> Pieces:
        """As one JSON object, with further fields that are JSON already."""
        parts: dict[str, Pieces] = {name: [value] for name, value in {**self.head, **more}.items()}
        if self.jobs:
            parts["jobs"] = array(self.jobs.values())
        if self.progress:
            parts["progress"] = whole({str(job): [said] for job, said in self.progress.items()})
        if self.gone:
            parts["gone"] = [json(sorted(self.gone))]
        return whole(parts)


def whole(parts: dict[str, Pieces]) -> Pieces:
    """An object of these fields."""
    pieces = [b"{"]
    for name, value in parts.items():
        pieces += (b"," if len(pieces) > 1 else b"", json(name), b":", *value)
    return [*pieces, b"}"]


def array(rows: Iterable[bytes]) -> Pieces:
    pieces = [b"["]
    for row in rows:
        pieces += (b"," if len(pieces) > 1 else b"", row)
    return [*pieces, b"]"]


History = dict[str, deque[tuple[float, float | None, int | None]]]


class Picture:
    """Each change returns what is news of it. `history`: the samples of the one before."""

    def __init__(self, history: History | None = None) -> None:
        self.jobs: dict[int, bytes] = {}
        self.faces: dict[int, int] = {}
        """By which is seen whether a job has changed."""
        self.running: list[int] = []
        self.line: list[int] = []
        """Waiting ones in start order, those that are shown."""
        self.recent: deque[int] = deque()
        """The newest end first."""
        self.head: dict[str, bytes] = {}
        self.history: History = {} if history is None else history
        self.states: dict[int, tuple[str, int]] = {}
        """State and attempt of those that are shown: who follows a log asks."""
        self.known = False

    def snapshot(self, at: float) -> Pieces:
        def some(ids: Iterable[int]) -> Pieces:
            return array(self.jobs[job] for job in ids if job in self.jobs)

        head = {name: [value] for name, value in self.head.items() if name != "line"}
        head |= {"at": [json(at)], "fields": [FIELDS], "gpu_history": [json(self.history)]}
        return whole({**head, "running": some(self.running), "queued": some(self.line), "recent": some(self.recent)})

    def begin(
        self, found: dict[str, Any], queued: list[Kept], recent: list[dict[str, Any]], daemon: dict[str, Any]
    ) -> None:
        """A fresh one, from answers of `queue` and `jobs`; the line follows by `lay`."""
        self.known = True
        self._head(found, News())
        self.head["daemon"] = json(daemon)
        self.head["epoch"] = json(found["epoch"])
        for job in (*map(kept, found["running"]), *queued, *map(kept, recent)):
            self._keep(job)
        self.running = [job["id"] for job in found["running"]]
        self.line = [job.id for job in queued]
        self.recent = deque(job["id"] for job in sorted(recent, key=lambda job: -(job["ended_at"] or 0)))

    def _keep(self, job: Kept) -> bool:
        """Whether it is another one than before."""
        changed = self.faces.get(job.id) != job.face
        self.states[job.id] = (job.state, job.attempt)
        self.jobs[job.id], self.faces[job.id] = job.data, job.face
        return changed

    def _drop(self, number: int) -> None:
        for known in (self.jobs, self.faces, self.states):
            known.pop(number, None)

    def _head(self, found: dict[str, Any], news: News) -> None:
        for name in (*HEAD, "gpus", "seq"):
            if name in found and (value := json(found[name])) != self.head.get(name):
                self.head[name] = news.head[name] = value

    def lead(self, found: dict[str, Any]) -> News:
        """An answer of `queue`, of which only the running jobs and what is no job count."""
        news = News()
        self._head(found, news)
        self.running = [job["id"] for job in found["running"]]
        self._merge(found["running"], news)
        return news

    def merge(self, jobs: Iterable[dict[str, Any]]) -> News:
        news = News()
        self._merge(jobs, news)
        return news

    def _merge(self, jobs: Iterable[dict[str, Any]], news: News) -> None:
        for job in jobs:
            number, state = job["id"], job["state"]
            if state in ENDED and number not in self.recent:
                self.recent.appendleft(number)
            elif state not in ENDED and number in self.recent:
                self.recent.remove(number)
            if self._keep(kept(job)):
                news.jobs[number] = self.jobs[number]
        while len(self.recent) > RECENT:
            self._drop(self.recent.pop())

    def lay(self, line: dict[str, Any]) -> News:
        """The line, as `line` tells it; who is in none of the lists any more is gone."""
        news = News()
        shown = {name: column[:SHOWN] if isinstance(column, list) else column for name, column in line.items()}
        self.line = shown["jobs"]
        shown["ready"] = min(line["ready"], len(self.line))
        self._put(news, "line", {name: value for name, value in shown.items() if name not in {"seq", "epoch"}})
        seen = {*self.line, *self.running, *self.recent}
        news.gone = {job for job in self.jobs if job not in seen}
        for job in news.gone:
            self._drop(job)
        return news

    def _put(self, news: News, name: str, value: Any) -> None:
        if (made := json(value)) != self.head.get(name):
            self.head[name] = news.head[name] = made

    def progress(self, job: int, said: dict[str, Any] | None) -> News:
        """Not laid into the job that is kept: whole ones come again with every refresh."""
        return News(progress={job: json(said)} if job in self.jobs else {})

    def gpus(self, at: float, gpus: list[dict[str, Any]]) -> News:
        news = News()
        for gpu in gpus:
            samples = self.history.setdefault(gpu["id"], deque())
            samples.append((at, gpu["utilization"], gpu["memory_used"]))
            while samples[0][0] < at - MINUTE:
                samples.popleft()
        for name in {*self.history} - {gpu["id"] for gpu in gpus}:
            del self.history[name]
        self.head["gpus"] = news.head["gpus"] = json(gpus)
        return news

    def daemon(self, told: dict[str, Any]) -> News:
        news = News()
        self._put(news, "daemon", told)
        return news
