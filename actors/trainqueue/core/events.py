"""What the core is told: events. What it asks for in answer stands in effects.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainqueue.core.job import StateName

if TYPE_CHECKING:
    from trainqueue.core.job import Cause, Job
    from trainqueue.core.lanes import Choice
    from trainqueue.core.reading import Sighting
    from trainqueue.core.spec import JobSpec


Groups = Mapping[str, tuple[int, StateName] | None]
"""Groups of ended jobs, each with one that has not completed, if there is one."""


class Known(Protocol):
    """What the journal knows of the ended jobs that a spec names as dependencies: their states, and their groups'."""

    @property
    def ended(self) -> Mapping[int, StateName]: ...
    @property
    def groups(self) -> Groups: ...


@dataclass(frozen=True, slots=True)
class Submit:
    """New jobs, all or none; `ended` and `groups` as in Known."""

    specs: tuple[JobSpec, ...]
    user: str
    ended: Mapping[int, StateName] = field(default_factory=dict[int, "StateName"])
    groups: Groups = field(default_factory=dict[str, "tuple[int, StateName] | None"])


@dataclass(frozen=True, slots=True)
class Cancel:
    job: int
    force: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """Some signal for its process group; nothing of its state changes."""

    job: int


@dataclass(frozen=True, slots=True)
class Suspend:
    """Stop all its processes; `at` is what the monotonic clock shows."""

    job: int
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    job: int
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Preempt:
    """Have it save and end, and put it back into the line, held there where `hold` says so."""

    job: int
    hold: bool = False
    at: float | None = None


Control = Signal | Suspend | Continue | Preempt


@dataclass(frozen=True, slots=True)
class Hold:
    job: int


@dataclass(frozen=True, slots=True)
class Release:
    job: int


@dataclass(frozen=True, slots=True)
class Retry:
    """An ended job, loaded from the journal, begins a new attempt, with a new `spec` and held where so given."""

    job: Job
    ended: Mapping[int, StateName] = field(default_factory=dict[int, "StateName"])
    groups: Groups = field(default_factory=dict[str, "tuple[int, StateName] | None"])
    spec: JobSpec | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """To a position (1-based), in front of another job, or to the back (neither given)."""

    job: int
    position: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A new spec for a queued job. `hold`: whether to hold it; None leaves that as it is."""

    job: int
    spec: JobSpec
    hold: bool | None = None
    ended: Mapping[int, StateName] = field(default_factory=dict[int, "StateName"])
    groups: Groups = field(default_factory=dict[str, "tuple[int, StateName] | None"])


@dataclass(frozen=True, slots=True)
class Reconsidered:
    """What is known by now of that by which a job was let down; `groups`: of their members below its bound."""

    job: int
    ended: Mapping[int, StateName] = field(default_factory=dict[int, "StateName"])
    groups: Groups = field(default_factory=dict[str, "tuple[int, StateName] | None"])


@dataclass(frozen=True, slots=True)
class SetMode:
    """Pause, drain, or (both False) resume. `reason` is a sentence's end: "paused since ..."."""

    paused: bool
    draining: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """The machine refuses to prepare a start (disk full, no processes): start nothing for a while."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unblock:
    """The time of that block is over; stale when another one has begun meanwhile."""

    block: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The wall clock has reached an alarm: a `not_before` may be due. Also the first event after a start."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """At start: a waiting job turns out to have been handed over just before the last daemon died.

    Its GPUs were its own: one that shares them goes only when its row says so (starts.py).
    """

    job: int
    gpu_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progressed:
    """The script has said how far it is; `progress` is the wire's map."""

    job: int
    attempt: int
    progress: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """`at` is for people; `began` is what the monotonic clock of this boot showed then."""

    job: int
    attempt: int
    pid: int | None
    at: float
    began: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What the runner's exit record says. Times in seconds since 1970; `run_time` is measured, in seconds."""

    exit_code: int | None
    signal: int | None
    reason: Literal["cancel", "time-limit", "stalled", "start-failed", "out-of-memory", "preempt"] | None
    message: str
    started_at: float | None
    ended_at: float
    run_time: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    job: int
    attempt: int
    result: Result


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """It had started, its runner is gone, and there is no exit record. `run_time` up to its last sign of life."""

    job: int
    attempt: int
    cause: Cause
    run_time: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptVoid:
    """It never started and never will. `runner_died` of itself: that may happen again at once."""

    job: int
    attempt: int
    runner_died: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The watch has looked at the GPUs. What answers a look (looks.py) is fresh for this step, and only for it."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class ProofOverdue:
    """The time is over in which the memory of a GPU should have come back; stale when another such time has begun."""

    gpu: str
    proof: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A job on a shared GPU has had its time to reach its peak."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """A running job has done nothing for `seconds`, which is longer than its `stall_timeout`; `since` is wall time.

    `quiet` says in words what was looked at; `stop`: end it for that.
    """

    job: int
    attempt: int
    since: float
    seconds: float
    quiet: str
    stop: bool = False


@dataclass(frozen=True, slots=True)
class Stirred:
    """A running job has done something: if it had stalled, it does not any more."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class SetGpu:
    """A person takes a GPU out of the queue's hands, or gives it back (which also forgives its errors)."""

    gpu: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class SetLane:
    """A person makes a lane, or says something else of it."""

    name: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class RemoveLane:
    name: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Retention has removed the records of so many ended jobs per state."""

    counts: Mapping[str, int]


Event = (
    Submit
    | Cancel
    | Control
    | Hold
    | Release
    | Retry
    | Move
    | Edit
    | Reconsidered
    | SetMode
    | Block
    | Unblock
    | Tick
    | Adopt
    | Progressed
    | AttemptStarted
    | AttemptEnded
    | AttemptLost
    | AttemptVoid
    | Seen
    | ProofOverdue
    | Settled
    | Stalled
    | Stirred
    | SetGpu
    | SetLane
    | RemoveLane
    | Forgotten
)
