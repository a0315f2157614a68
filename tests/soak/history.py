"""What happened in a soak, seen from outside: what was asked and answered, what jobs stamped, who was killed.

All times are monotonic seconds, which every process of the machine shares. The invariants are functions of a History.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDED = frozenset({"completed", "failed", "cancelled", "lost"})


@dataclass(frozen=True, slots=True)
class Stamp:
    """A line that a job wrote: `word` is the exit code of a `stop`, the name of the lock of an `overlap`.

    `runner` is 0 where that is not known: it died when the job was born, or its nursery has died.
    """

    what: Literal["start", "stop", "overlap", "tick", "told"]
    job: int
    attempt: int
    key: str
    edition: int
    pid: int
    runner: int
    at: float
    gpus: tuple[str, ...] = ()
    word: str = ""


@dataclass(slots=True)
class Order:
    """A job that a client asked for; `id` once that was acknowledged, `sent` when it was first asked for.

    `alone`: nobody touches it, and nothing but its place in the line decides when it starts.
    """

    key: str
    codes: tuple[int, ...]
    gpus: int = 1
    priority: int = 0
    retries: int = 0
    held: bool = False
    after: tuple[int, ...] = ()
    alone: bool = True
    edition: int = 0
    id: int | None = None
    sent: float = 0.0
    answered: float | None = None
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    """All that was asked for, where that matters (a weekend)."""
    mode: str = "plain"
    doubtful: bool = False
    """Nobody knows whether it was accepted."""

    def code(self, attempt: int) -> int:
        return self.codes[min(attempt, len(self.codes)) - 1]


@dataclass(slots=True)
class Ask:
    """A verb that a client sent, `tries` times until it was answered. `state`: the job's in the answer.

    `edition` is that of an `edit`; `to` is where a `move` goes, or the priority of a `prioritise`.
    """

    op: str
    job: int
    sent: float
    answered: float | None = None
    ok: bool = False
    state: str | None = None
    edition: int = 0
    to: str = ""
    tries: int = 0
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    was: str = ""
    """The job's state as far as the asker knew."""

    @property
    def may_have(self) -> bool:
        """Whether it may have been done: nobody was told, or the first of several tries was."""
        return self.ok or self.answered is None or self.tries > 1


@dataclass(frozen=True, slots=True)
class Kill:
    """`what` was hit: "daemon", "nursery", "runner" or "job"; `kind` names the blow that it was a part of."""

    what: str
    pid: int
    at: float
    kind: str = ""


@dataclass(slots=True)
class Life:
    """A daemon's. `served`: when it was first seen to answer, which is after it has looked at what ran before."""

    pid: int
    spawned: float
    served: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class News:
    """A numbered event about a job."""

    seq: int
    at: float
    type: str
    job: int
    state: str
    attempt: int


@dataclass(slots=True)
class History:
    """Everything; `jobs` are the wire's Jobs by id, `left` and `faults` are sentences."""

    orders: list[Order] = field(default_factory=list[Order])
    asks: list[Ask] = field(default_factory=list[Ask])
    stamps: list[Stamp] = field(default_factory=list[Stamp])
    kills: list[Kill] = field(default_factory=list[Kill])
    lives: list[Life] = field(default_factory=list[Life])
    news: list[News] = field(default_factory=list[News])
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict[int, "dict[str, Any]"])
    seqs: list[int] = field(default_factory=list[int])
    faults: list[str] = field(default_factory=list[str])
    """What nobody should have seen: odd answers, a daemon that ended by itself."""
    left: list[str] = field(default_factory=list[str])
    """Processes that lived on."""


class Reading:
    """A history by job; made once all of it is there."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.acknowledged = {order.id: order for order in history.orders if order.id is not None}
        self.news = grouped(history.news, "job")
        self.asks = grouped(history.asks, "job")
        self.stamps = grouped(history.stamps, "job")

    def asked(self, job: int, *ops: str) -> list[Ask]:
        return [ask for ask in self.asks.get(job, []) if ask.op in ops]

    def stamp(self, what: str, job: int, attempt: int) -> Stamp | None:
        """The first such stamp of an attempt."""
        return next((each for each in self.stamps.get(job, []) if (each.what, each.attempt) == (what, attempt)), None)

    def starts(self, job: int) -> list[Stamp]:
        return [stamp for stamp in self.stamps.get(job, []) if stamp.what == "start"]

    def first(self, state: str, job: int) -> News | None:
        """When the job first became this."""
        return next((each for each in self.news.get(job, []) if (each.type, each.state) == ("job", state)), None)

    def ends(self, job: int) -> list[News]:
        return [each for each in self.news.get(job, []) if each.type == "job" and each.state in ENDED]

    def voided(self, job: int) -> bool:
        """Whether it was taken from the line and went back without a start: its runner or daemon died too early."""
        told = [each for each in self.news.get(job, []) if each.type == "job"]
        pairs = pairwise(told)
        return any((one.state, two.state) == ("pending", "queued") and one.attempt == two.attempt for one, two in pairs)

    def found_at_start(self, news: News) -> bool:
        """Whether a daemon may have written this before it served: then it tells of what an earlier one had begun."""
        lives = [life for life in self.history.lives if life.spawned <= news.at]
        return bool(lives) and (lives[-1].served is None or news.at <= lives[-1].served)

    @cached_property
    def runner_kills(self) -> list[Kill]:
        return [kill for kill in self.history.kills if kill.what == "runner"]

    def runner_killed(self, stamp: Stamp | None, since: float, until: float) -> bool:
        """Whether the stamp's runner was killed; of a job without a stamp, or of an orphan, whether any was."""
        near = [kill for kill in self.runner_kills if since <= kill.at <= until]
        if stamp is None or not stamp.runner:
            return bool(near)
        return any(kill.pid == stamp.runner for kill in near)


def grouped(things: Iterable[Any], name: str) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for thing in things:
        found.setdefault(getattr(thing, name), []).append(thing)
    return found


def stamp_from(line: str) -> Stamp:
    """Raises ValueError for a line that no job has written."""
    what, job, attempt, key, edition, pid, runner, at, gpus, word = line.split()
    if what not in {"start", "stop", "overlap", "tick", "told"}:
        raise ValueError(line)
    held = () if gpus == "-" else tuple(gpus.split(","))
    numbers = (int(edition), int(pid), int(runner), float(at))
    return Stamp(what, int(job), int(attempt), key, *numbers, held, word)  # type: ignore[arg-type]
