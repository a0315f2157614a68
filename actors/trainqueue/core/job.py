"""Jobs, their states, and the table of legal transitions.

Rule: everything that changes the state of a job goes through `Job.become` in this file, and `NEXT` is the
only place that says what may follow what. A state carries its own data, so "queued with an end time"
cannot be written down. A pending or running job holds its GPUs; a queued or ended one holds none.

    queued -> pending -> running -> completed | failed | cancelled | lost
       ^---------'----------'          (never started; preempted or retried)

An ended job goes back to `queued` only through a retry, which begins a new attempt under the same id.

`ended_at` and `started_at` are what the wall clock showed, which somebody may have set meanwhile; `run_time` is what
was measured, in seconds, and None where nobody knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from trainqueue.errors import FaultError

if TYPE_CHECKING:
    from trainqueue.core.spec import JobSpec

StateName = Literal["queued", "pending", "running", "completed", "failed", "cancelled", "lost"]
Cause = Literal[
    "exit",
    "signal",
    "time-limit",
    "stalled",
    "out-of-memory",
    "start-failed",
    "dependency",
    "reboot",
    "runner-died",
    "user",
]


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits in the line, or beside it while held."""

    held: bool = False
    """By a person."""
    until: float | None = None
    """A retry by itself waits until then (wall time)."""
    unmet: str = ""
    """Why it is held although nobody holds it: a dependency that has not come true, as a sentence."""
    unmet_by: int = 0
    """The job that this is about."""
    name: StateName = field(default="queued", init=False)

    @property
    def is_held(self) -> bool:
        return self.held or bool(self.unmet)


@dataclass(frozen=True, slots=True)
class Pending:
    """Its GPUs are leased and its runner has been told to go."""

    gpu_ids: tuple[str, ...]
    at: float
    stopping: bool = False
    share: int | None = None
    """Bytes that it may use on each of its GPUs, where others share them; None: they are its own."""
    name: StateName = field(default="pending", init=False)


@dataclass(frozen=True, slots=True)
class Running:
    """Its process lives."""

    gpu_ids: tuple[str, ...]
    pid: int | None
    started_at: float
    stopping: bool = False
    began: float | None = None
    """What the monotonic clock of this boot showed then, in seconds: `started_at` is for people only."""
    share: int | None = None
    suspended: bool = False
    """All its processes are stopped; they keep their GPU memory."""
    preempting: bool = False
    """It was asked to save and end, and goes back to the line."""
    preempt_hold: bool = False
    """It is held there then."""
    suspended_at: float | None = None
    """What the monotonic clock showed then."""
    idle: float = 0.0
    """Seconds that it was suspended before."""
    stalled_since: float | None = None
    """When it was last seen to do anything, once that is longer ago than its `stall_timeout`; wall time."""
    quiet: str = ""
    """What has been quiet since then, in words."""
    stall_ends_it: str = ""
    """It was told to end for that: the words for its end; "" where it was not."""
    name: StateName = field(default="running", init=False)

    @property
    def is_ending(self) -> bool:
        """It was told to end, by somebody or by the watchdog."""
        return self.stopping or bool(self.stall_ends_it)


@dataclass(frozen=True, slots=True)
class Completed:
    """It ended with exit code 0."""

    ended_at: float
    started_at: float | None = None
    gpu_ids: tuple[str, ...] = ()
    run_time: float | None = None
    name: StateName = field(default="completed", init=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended badly; `cause` says how."""

    ended_at: float
    cause: Cause
    started_at: float | None = None
    gpu_ids: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    run_time: float | None = None
    name: StateName = field(default="failed", init=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody asked for its end, or a job it depends on did not end as asked."""

    ended_at: float
    cause: Cause = "user"
    started_at: float | None = None
    gpu_ids: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    run_time: float | None = None
    name: StateName = field(default="cancelled", init=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """Machine or runner died without an exit record: nobody knows its exit code."""

    ended_at: float
    cause: Cause
    started_at: float | None = None
    gpu_ids: tuple[str, ...] = ()
    message: str = ""
    run_time: float | None = None
    name: StateName = field(default="lost", init=False)


ACTIVE = (Pending, Running)
"""For isinstance, where it is asked often."""
Ended = Completed | Failed | Cancelled | Lost
State = Queued | Pending | Running | Ended

NEXT: dict[StateName, frozenset[StateName]] = {
    "queued": frozenset({"pending", "cancelled"}),
    "pending": frozenset({"running", "failed", "cancelled", "queued"}),
    "running": frozenset({"completed", "failed", "cancelled", "lost", "queued"}),
    "completed": frozenset({"queued"}),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "lost": frozenset({"queued"}),
}
STATES: dict[str, type[State]] = {
    "queued": Queued,
    "pending": Pending,
    "running": Running,
    "completed": Completed,
    "failed": Failed,
    "cancelled": Cancelled,
    "lost": Lost,
}


def data_of(state: State) -> dict[str, Any]:
    """What the state carries, without its name; `STATES[name](**data)` is the state again."""
    return {name: getattr(state, name) for name in state.__slots__ if name != "name"}


class IllegalTransitionError(FaultError):
    """A step that `NEXT` does not have; a fault of ours. The job is left as it was."""

    def __init__(self, job: Job, to: State) -> None:
        super().__init__(f"job {job.id} (attempt {job.attempt}): {job.state!r} -> {to!r}")
        self.job = job
        self.to = to


@dataclass(slots=True)
class Job:
    """One job over all its attempts. `band` and `rank` say where it stands in the line."""

    id: int
    spec: JobSpec
    user: str
    submitted_at: float
    band: int
    rank: int
    attempt: int = 1
    state: State = field(default_factory=Queued)
    bound: int = 0
    """For the groups that it waits for: only jobs with lower ids count, those that there were when it was asked for."""
    waits_for: set[int] = field(default_factory=set[int])
    waits_for_groups: set[str] = field(default_factory=set[str])
    """Those of its groups that it waits for still; whoever of the others is retried is no concern of it any more."""
    met: frozenset[int] = frozenset()
    """Those of its dependencies that have been met; a later retry of them is no concern of this job."""
    retried: dict[str, int] = field(default_factory=dict[str, int])
    progress: dict[str, Any] | None = None
    """The newest of the current attempt, as the wire shows it; kept when it ends."""
    peak_memory: int | None = None
    """The most bytes that the current attempt was seen to use on one of its GPUs; kept when it ends."""
    samples: int = 0
    """How many looks that peak is of."""
    stood: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds that it stood first in line and could not start, by reason; as far as they are written down."""
    removed: tuple[float, int] | None = None
    """When retention removed its logs (wall time), and up to which attempt."""

    def snapshot(self) -> Job:
        """As it is now; by hand, since each change makes one, and the copy module's way takes five times as long."""
        made = Job(self.id, self.spec, self.user, self.submitted_at, self.band, self.rank, self.attempt, self.state)
        made.waits_for, made.met, made.retried, made.progress = self.waits_for, self.met, self.retried, self.progress
        made.bound, made.waits_for_groups = self.bound, self.waits_for_groups
        made.peak_memory, made.samples = self.peak_memory, self.samples
        made.stood, made.removed = self.stood, self.removed
        return made

    __copy__ = snapshot

    def become(self, to: State) -> None:
        """Take the next state. Raises IllegalTransitionError and changes nothing if the table forbids it."""
        if to.name not in NEXT[self.state.name]:
            raise IllegalTransitionError(self, to)
        self.state = to

    def restate(self, to: State) -> None:
        """New data for the same state (held, being stopped). Raises IllegalTransitionError otherwise."""
        if to.name != self.state.name:
            raise IllegalTransitionError(self, to)
        self.state = to

    @property
    def ended(self) -> bool:
        return isinstance(self.state, Ended)

    @property
    def gpu_ids(self) -> tuple[str, ...]:
        """The GPUs it holds now."""
        return self.state.gpu_ids if isinstance(self.state, ACTIVE) else ()

    def log_removed_at(self, attempt: int) -> float | None:
        """When retention removed this attempt's log, if it did."""
        return self.removed[0] if self.removed is not None and attempt <= self.removed[1] else None
