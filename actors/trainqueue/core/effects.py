"""What the core asks for in answer to an event: effects, which the arbiter performs in the order given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from trainqueue.core.job import Ended, Job
    from trainqueue.core.lanes import Lane


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
class Reconsider:
    """Who had let these down has ended once more: say what became of all that they wait for (events.Reconsidered)."""

    jobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """Write the job's place down; its state is the same. Not `told`: its number is another, for the same place."""

    job: Job
    told: bool = True


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
class CrashesCounted:
    """Write down the row of the crash guard (crashguard.py): the jobs that have failed at once, one after the other."""

    row: tuple[int, ...]


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
JobEffect = Changed | Explained | Reconsider | Moved | Reported | Start | Stop | Tell | AttemptOver
Effect = JobEffect | ModeChanged | CrashesCounted | LaneChanged | WakeAt | UnblockAfter | Drained | GpuEffect
