"""Of what clients ask, are answered and hear: front desk, feed, and the doors that they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
class Publish:
    """Arbiter to feed, after the commit: (topic, body), and the newest sequence number."""

    events: list[tuple[str, bytes]]
    seq: int


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
