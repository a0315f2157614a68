"""What actors say to each other. Facts go up by tell; nobody asks upward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from pykka import ActorRef

    from trainqueue.core.events import Result
    from trainqueue.core.job import Ended as EndedState
    from trainqueue.core.job import Job
    from trainqueue.core.reading import Sighting
    from trainqueue.errors import RequestError
    from trainqueue.launch.local import Runner
    from trainqueue.settings import HistorySettings
    from trainqueue.wire import AnyRequest


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded request of `user`, and where the answer goes."""

    request: AnyRequest
    user: str
    slot: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Front desk to arbiter: the requests of one look at the sockets."""

    calls: list[Call]


@dataclass(frozen=True, slots=True)
class Answers:
    """Arbiter to front desk: (slot, bytes)."""

    answers: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class NoteEnd:
    """Arbiter to annals: the attempt has ended so, and another one follows."""

    job: int
    attempt: int
    state: EndedState


@dataclass(frozen=True, slots=True)
class LookUp:
    """Arbiter to annals: answer with what was `found`, and what the folder of the job, which is a copy, tells.

    Of a `status` that is all its attempts, of a `series` those of the attempt that was found.
    """

    desk: ActorRef[Any]
    slot: int
    call: Call
    job: Job
    found: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WriteOrders:
    """Arbiter to annals: job, its attempt's folder, and what its runner shall read there."""

    orders: list[tuple[int, Path, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class OrdersWritten:
    """Annals to arbiter: all but these."""

    refused: dict[int, RequestError]


@dataclass(frozen=True, slots=True)
class Parting:
    """Arbiter to annals: the daemon may exit now."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Arbiter to itself, behind everything already queued: commit the batch."""


@dataclass(frozen=True, slots=True)
class Foretell:
    """Arbiter to itself, behind everything already queued: go on with the forecast."""


@dataclass(frozen=True, slots=True)
class Refill:
    """Arbiter to itself, some time after a hand-over: have an idle runner and an armed one again."""


@dataclass(frozen=True, slots=True)
class FillReserve:
    """Arbiter to itself: try whether the disk has space again."""


@dataclass(frozen=True, slots=True)
class Due:
    """The wall clock's alarm has gone off: a `not_before` is due."""


@dataclass(frozen=True, slots=True)
class BlockOver:
    """Arbiter to itself: the machine has had its pause."""

    block: int


@dataclass(frozen=True, slots=True)
class Open:
    """Service to arbiter, once everything stands: decide unclear attempts and begin.

    Without a `watch` all that there is to know of the GPUs is the sighting.
    """

    desk: ActorRef[Any]
    feed: ActorRef[Any]
    janitor: ActorRef[Any] | None = None
    watch: ActorRef[Any] | None = None
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """Arbiter to armourer: make the attempt's folder and have a runner ready; `handed` is what the runner is told."""

    job: int
    attempt: int
    folder: Path
    handed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Warm:
    """Arbiter to armourer: have idle runners."""


@dataclass(frozen=True, slots=True)
class Spare:
    """Arbiter to armourer: this runner has done its attempt and may be armed again."""

    runner: Runner


@dataclass(frozen=True, slots=True)
class Trim:
    """Armourer to itself: let runners go that a row of short jobs has left."""


@dataclass(frozen=True, slots=True)
class Armed:
    """Armourer to arbiter: the runner waits for its go."""

    job: int
    attempt: int
    runner: Runner


@dataclass(frozen=True, slots=True)
class ArmFailed:
    """Armourer to arbiter: the machine refuses (no space, no processes)."""

    job: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    job: int
    attempt: int
    pid: int | None
    at: float
    began: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing of the attempt lives any more."""

    job: int
    attempt: int
    result: Result


@dataclass(frozen=True, slots=True)
class Gone:
    """The runner has exited, or is `free` for another attempt, with the record written.

    Where it has exited without having told of an end, `verdict` says what became of the attempt; `refused` is why the
    machine did not let it start the job, None where it has died without a word.
    """

    job: int
    attempt: int
    verdict: Literal["void", "lost"] | None
    free: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class TrainerFailed:
    """A trainer has crashed; its runner goes on and must be watched by another one."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class WatchAgain:
    """Arbiter to itself, a little after a trainer's crash."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A job has said or shown how far it is."""

    job: int
    attempt: int
    progress: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LookAtProgress:
    """Trainer to itself, some time after the last look."""


@dataclass(frozen=True, slots=True)
class LookAtLog:
    """Trainer to itself: read on in the job's log."""


@dataclass(frozen=True, slots=True)
class KeepSeries:
    """Trainer to itself: write down the series that have changed some seconds ago."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Trainer to itself: look again what became of the attempt."""


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Arbiter to trainer. `stalled`: the record says that this is why."""

    force: bool
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class FeelPulse:
    """Arbiter to trainer: from now on say every so many seconds whether the job does anything; `log` is its path."""

    every: float
    log: str


@dataclass(frozen=True, slots=True)
class LookAtPulse:
    """Trainer to itself: it is time for that."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Trainer to arbiter: whether the job has logged, reported or computed anything since the last one."""

    job: int
    attempt: int
    beats: bool


@dataclass(frozen=True, slots=True)
class TellOrders:
    """Arbiter to trainer: the attempt's orders have grown."""


@dataclass(frozen=True, slots=True)
class Look:
    """A socket's owner to itself: requests or subscriptions have come, or may have."""


@dataclass(frozen=True, slots=True)
class Knock:
    """A door to its owner: somebody waits outside, and there may be room by now."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Feed to itself: a heartbeat is due."""


@dataclass(frozen=True, slots=True)
class ProxyFailed:
    """The proxy thread to its desk: nobody forwards any more."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Publish:
    """Arbiter to feed, after the commit: (topic, body), and the newest sequence number."""

    events: list[tuple[str, bytes]]
    seq: int


@dataclass(frozen=True, slots=True)
class Clean:
    """Arbiter to janitor, the answer to `Tidied`: measure these jobs' logs, remove these (attempt None: all of it)."""

    measure: list[tuple[int, int]]
    remove: list[tuple[int, int | None]]
    more: bool
    """Another step has something to do, whatever the files say."""
    refused: bool = False
    """The disk has refused this step: ask again soon."""
    snapshots: list[str] = field(default_factory=list[str])
    """Given up: to be removed."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """Janitor to arbiter: (job, attempt, bytes of its logs), jobs whose files are removed. Take the next step."""

    measured: list[tuple[int, int, int]]
    removed: list[int]
    limits: HistorySettings
    snapshots: list[str] = field(default_factory=list[str])
    """Names of some that lie there for long."""


@dataclass(frozen=True, slots=True)
class Stir:
    """Arbiter to a sleeping janitor: something has changed."""


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Janitor to itself: it is time for the arbiter's next step."""

    measured: list[tuple[int, int, int]]
    removed: list[int]


@dataclass(frozen=True, slots=True)
class Sighted:
    """GPU watch to arbiter: what it has seen; asked for by LookNow, or by itself every few seconds."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class LookNow:
    """Arbiter to GPU watch: these GPUs, with their processes, at once. All of them where none is named.

    `number` is the core's look that it is for, None for none.
    """

    gpu_ids: tuple[str, ...]
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """GPU watch to itself: the next look is due."""


@dataclass(frozen=True, slots=True)
class WatchSilent:
    """Arbiter to itself: the watch has not been heard of for too long; a sick driver blocks inside its calls."""


@dataclass(frozen=True, slots=True)
class LookDue:
    """Arbiter to itself: the time of an `fx.Look` with a delay has come."""

    gpu_ids: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class ProofTimeOver:
    """Arbiter to itself: the time of an `fx.ProveWithin` is over."""

    gpu: str
    proof: int


@dataclass(frozen=True, slots=True)
class SettleTimeOver:
    """Arbiter to itself: the time of an `fx.SettleAfter` is over."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Arbiter to itself: look up what became of all that these wait for, since who had let them down has ended anew."""

    jobs: tuple[int, ...]


FromTrainer = Started | Ended | Gone | TrainerFailed | Progress | Pulse
ToSelf = Flush | Refill | Foretell | Reconsider | FillReserve | WatchAgain | Due | BlockOver
GpuNews = Sighted | WatchSilent | LookDue | ProofTimeOver | SettleTimeOver
ToArbiter = Open | Calls | OrdersWritten | FromTrainer | Armed | ArmFailed | Tidied | ToSelf | GpuNews
ToGpuWatch = LookNow | Glance
ToJanitor = Clean | Stir | TakeStep
ToTrainer = StopAttempt | TellOrders | LookAtProgress | LookAtLog | KeepSeries | Decide | FeelPulse | LookAtPulse
ToAnnals = NoteEnd | LookUp | WriteOrders | Parting
ToArmourer = Arm | Spare | Trim | Warm
