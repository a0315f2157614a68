"""What the core is told (events) and what it asks for (effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainqueue.core.job import StateName

if TYPE_CHECKING:
    from trainqueue.core.job import Cause, Ended, Job
    from trainqueue.core.lanes import Choice, Lane
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


@dataclass(frozen=True, slots=True)
class Changed:
    """Write this job down and tell the world, in the order given. `job` is a copy: the next step may follow at once.

    `told` is the type of the event that the world gets.
    """

    job: Job
    told: Literal["job", "stalled", "stirred"] = "job"


@dataclass(frozen=True, slots=True)
class Explained:
    """What the driver has reported late about an attempt that failed. Add it to the job's message, where the journal
    still has the job as it was then: it may have been retried or removed since.
    """

    job: int
    attempt: int
    error: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Write the job's place down; its state is the same."""

    job: Job


@dataclass(frozen=True, slots=True)
class Reported:
    """Tell the world of the job's progress; it is written down when the job's row is."""

    job: Job


@dataclass(frozen=True, slots=True)
class ModeChanged:
    paused: bool
    draining: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Start:
    """Begin the job's current attempt on these GPUs."""

    job: Job
    gpu_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the attempt's runner to end it; `force` skips the grace. `stalled`: that is why."""

    job: int
    attempt: int
    force: bool
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """Have the attempt's runner look at its orders (launch/orders.py), which have been written already."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptOver:
    """Another attempt follows this one, which has ended so: note it."""

    job: int
    attempt: int
    state: Ended


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a Tick when the wall clock shows this time (seconds since 1970), however it gets there."""

    at: float


@dataclass(frozen=True, slots=True)
class UnblockAfter:
    """Send the Unblock of this block after so many seconds on the monotonic clock."""

    seconds: float
    block: int


@dataclass(frozen=True, slots=True)
class Look:
    """Have the watch look at these GPUs, processes included, after so many seconds (monotonic); a Seen follows.

    It names the `number` among the looks that it answers.
    """

    gpu_ids: tuple[str, ...]
    after: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True)
class ProveWithin:
    """Send the ProofOverdue of this proof after so many seconds on the monotonic clock."""

    seconds: float
    gpu: str
    proof: int


@dataclass(frozen=True, slots=True)
class SettleAfter:
    """Send Settled after so many seconds on the monotonic clock."""

    seconds: float
    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class GpuChanged:
    """Tell the world, with a number: the GPU has become (un)healthy, (un)available to us, lost, or is back.

    `why` is a sentence, None when all is well.
    """

    gpu: str
    healthy: bool
    enabled: bool
    why: str | None


@dataclass(frozen=True, slots=True)
class LaneChanged:
    """Write down what people have said of the lanes, and tell the world how this one is; None: it is gone."""

    name: str
    lane: Lane | None


@dataclass(frozen=True, slots=True)
class Drained:
    """Draining, and the last running job has ended: the daemon may exit."""


GpuEffect = Look | ProveWithin | SettleAfter | GpuChanged
JobEffect = Changed | Explained | Moved | Reported | Start | Stop | Tell | AttemptOver
Effect = JobEffect | ModeChanged | LaneChanged | WakeAt | UnblockAfter | Drained | GpuEffect
