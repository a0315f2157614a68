"""What sets the arbiter going and what it reminds itself of; `ToArbiter` is all that it understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainqueue.messages.attempts import FromTrainer
from trainqueue.messages.clients import Calls
from trainqueue.messages.files import OrdersWritten, Tidied
from trainqueue.messages.gpus import GpuNews
from trainqueue.messages.runners import Armed, ArmFailed

if TYPE_CHECKING:
    from pykka import ActorRef

    from trainqueue.core.reading import Sighting


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
class WatchAgain:
    """Arbiter to itself, a little after a trainer's crash."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Arbiter to itself: look up what became of all that these wait for, since who had let them down has ended anew."""

    jobs: tuple[int, ...]


ToSelf = Flush | Refill | Foretell | Reconsider | FillReserve | WatchAgain | Due | BlockOver
ToArbiter = Open | Calls | OrdersWritten | FromTrainer | Armed | ArmFailed | Tidied | ToSelf | GpuNews
