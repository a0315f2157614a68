"""Of what is kept in folders: annals, which write and look up, and janitor, who removes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pykka import ActorRef

    from trainqueue.core.job import Ended as EndedState
    from trainqueue.core.job import Job
    from trainqueue.errors import RequestError
    from trainqueue.messages.clients import Call
    from trainqueue.settings import HistorySettings


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


ToAnnals = NoteEnd | LookUp | WriteOrders | Parting


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


ToJanitor = Clean | Stir | TakeStep
