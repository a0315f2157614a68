"""Following a daemon for as long as somebody looks, over its deaths and restarts: for all live views.

A view calls `hear` again and again, and gets what has happened:

    Anew      take a snapshot: it is the first time, the daemon is back or another one, or events were missed
    an event  as the wire has it, heartbeats among them
    Lost      there is no daemon, or it is silent; `hear` goes on looking for one

A view whose own question to the daemon was not answered says so by `lose`, and hears of it like that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from trainqueue import guard
from trainqueue.errors import DaemonError, NoDaemonError, NotAnsweringError, RequestError
from trainqueue.subscription import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from trainqueue.client import Client
    from trainqueue.subscription import Subscription

TOPICS = ("job.", "queue", "gpu", "progress.", "heartbeat")
"""Of all that a view of the queue shows, and whether the daemon lives."""
WELCOME = 5.0
"""Seconds for the first word."""
SILENCE = 15.0
"""Seconds without a heartbeat, which comes every 5, after which the daemon or the way to it counts as hung."""
AWAY = 0.25
"""Seconds between looks for a daemon that is not there."""
BURST = 1000
"""Events that are taken in at a time."""


@dataclass(frozen=True, slots=True)
class Anew:
    """All may have changed: take a snapshot."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What is known is old."""

    error: DaemonError | RequestError


Event = dict[str, Any]
Happened = Anew | Event | Lost


class Count:
    """The numbers of the events that have been heard, of the one daemon that sends them. Pure."""

    def __init__(self) -> None:
        self.epoch, self.seq = "", 0

    @property
    def begun(self) -> bool:
        return self.epoch != ""

    def misses(self, event: Event) -> bool:
        """Whether it shows that others are missing, or is the first one of a daemon. It counts as heard."""
        if "seq" not in event:
            return False  # progress and samples of the GPUs are not numbered
        beats = event["type"] in {"heartbeat", "welcome"}  # they tell the number of the newest event, and have none
        same = event["epoch"] == self.epoch
        missing = not same or event["seq"] > self.seq + (not beats)
        self.seq = max(self.seq, event["seq"]) if same else event["seq"]
        self.epoch = event["epoch"]
        return missing


class Follower:
    """Use as a context manager, from one thread. `client` is asked where the events are, and may be used besides."""

    def __init__(self, client: Client, topics: Sequence[str] = TOPICS) -> None:
        self.client, self.topics = client, topics
        self._feed: Subscription | None = None
        self._count = Count()
        self._untold: list[Happened] = []
        self._tried_at, self._heard_at = -AWAY, 0.0
        """Monotonic: when a daemon was looked for, and heard, last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    @property
    def live(self) -> bool:
        """Whether a daemon is heard: from `Anew` to `Lost`."""
        return self._feed is not None and self._count.begun

    def lose(self, error: DaemonError | RequestError) -> None:
        """The daemon has not answered: the next `hear` tells that, and those after it look for one again."""
        self._leave()
        self._untold = [Lost(error)]

    def hear(self, patience: float, others: Sequence[int] = ()) -> list[Happened]:
        """What has happened; waits up to `patience` seconds for it, or until one of the descriptors can be read.

        While no daemon is heard that is up to AWAY seconds instead, and where one is there and hangs, as long as the
        client waits for an answer. Raises what nobody can foresee (no descriptor is left: OSError, zmq.ZMQError).
        """
        if not self._untold:
            try:
                self._untold = self._hear(patience, others)
            except (DaemonError, RequestError) as error:
                self.lose(error)
        news, self._untold = self._untold, []
        return news

    def _hear(self, patience: float, others: Sequence[int]) -> list[Happened]:
        if self._feed is None:
            if wait_for(others, self._tried_at + AWAY - time.monotonic()):
                return []
            self._feed = self._subscribed()
        wait_for([self._feed.socket, *others], patience if self.live else AWAY)
        events = [*islice(iter(partial(self._feed.get, 0), None), BURST)]
        if not events:
            self._see_that_it_lives()
            return []
        self._heard_at = time.monotonic()
        return [news for event in events for news in self._told(event)]

    def _subscribed(self) -> Subscription:
        self._tried_at = time.monotonic()
        feed = self.client.subscribe(self.topics)
        self._count, self._heard_at = Count(), time.monotonic()
        return feed

    def _told(self, event: Event) -> Iterator[Happened]:
        """Before the welcome nothing is sure to be whole; those of others say nothing to us."""
        welcome = event["type"] == "welcome"
        if (welcome or self._count.begun) and self._count.misses(event):
            yield Anew()
        if self._count.begun and not welcome:
            yield event

    def _see_that_it_lives(self) -> None:
        home = self.client.home
        if not guard.is_held(home.lock):
            msg = f"no daemon serves {home.path} any more"
            raise NoDaemonError(msg)
        if time.monotonic() - self._heard_at > (SILENCE if self._count.begun else WELCOME):
            msg = f"the daemon of {home.path} says nothing any more"
            raise NotAnsweringError(msg)

    def _leave(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None
