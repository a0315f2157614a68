"""Waiting without a daemon: what is done when events get lost, and when the time is over."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from trainqueue import waiting
from trainqueue.client import Client
from trainqueue.errors import RequestError
from trainqueue.jobinfo import Job
from trainqueue.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Feed:
    """Gives these events, then silence; jobs end, unheard, after `ends_after` of them."""

    def __init__(self, client: Dummy, events: list[dict[str, Any]], ends_after: int) -> None:
        self.client, self.events, self.ends_after = client, events, ends_after
        self.patience: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def get(self, patience: float) -> dict[str, Any] | None:
        self.patience.append(patience)
        self.ends_after -= 1
        if self.ends_after < 0:
            self.client.state = "completed"
        if self.events:
            return self.events.pop(0)
        threading.Event().wait(patience)
        return None


class Dummy(Client):
    """Knows all jobs up to 99; counts how often it is asked."""

    def __init__(self, events: Sequence[dict[str, Any]] = (), ends_after: int = 1000) -> None:
        self.feed = Feed(self, [*events], ends_after)
        self.state, self.looks, self.last = "running", 0, 0

    def subscribe(self, topics: Sequence[str]) -> Any:
        self.topics = topics
        return self.feed

    def jobs(self, **filters: Any) -> tuple[list[Job], bool]:
        self.looks += 1
        return [Job(id=job, name="", state=self.state) for job in filters["jobs"] if job < 100], False

    def events(self, after: int, limit: int = 1000) -> dict[str, Any]:
        del after, limit
        return {"last": self.last}


def of_another(seq: int, epoch: str = "a") -> dict[str, Any]:
    return {"type": "job", "seq": seq, "epoch": epoch, "id": 99, "state": "running"}


WELCOME = {"type": "welcome", "seq": 5, "epoch": "a"}


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MANY", 2)


def test_the_time_is_not_overstepped() -> None:
    client = Dummy([WELCOME])
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="1 of 1 jobs"):
        Wait(client, [1]).until(began + 0.3)
    assert max(client.feed.patience) <= 0.3
    assert sum(client.feed.patience[1:]) <= 0.31  # the first one is answered at once by the welcome


def test_few_jobs_are_looked_at_though_other_events_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    client = Dummy([WELCOME, *(of_another(seq) for seq in range(6, 100_000))], ends_after=2)
    Wait(client, [1]).until(time.monotonic() + 20)
    assert client.feed.events  # it did not need silence


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize(
    "hole",
    [of_another(8), {"type": "heartbeat", "seq": 6, "epoch": "a"}, {"type": "welcome", "seq": 5, "epoch": "b"}],
    ids=["a number is missing", "a heartbeat knows more", "another daemon"],
)
def test_many_jobs_are_looked_at_when_events_are_missing(hole: dict[str, Any]) -> None:
    client = Dummy([WELCOME, of_another(6) if hole["seq"] > 6 else WELCOME, hole], ends_after=2)
    Wait(client, [1, 2]).until(time.monotonic() + 1)
    assert client.looks == 3


@pytest.mark.usefixtures("few_are_many")
def test_many_jobs_are_not_looked_at_while_no_event_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    whole = [WELCOME, of_another(6), {"type": "heartbeat", "seq": 6, "epoch": "a"}, of_another(7), of_another(8)]
    client = Dummy(whole)
    with pytest.raises(TimeoutError):
        Wait(client, [1, 2]).until(time.monotonic() + 0.2)
    assert client.looks == 2  # before, and at the welcome
    assert {*client.topics} == {"job.", "queue", "heartbeat"}


@pytest.mark.usefixtures("few_are_many")
def test_a_lost_last_event_is_noticed_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    client = Dummy([WELCOME], ends_after=1)
    client.last = 6
    Wait(client, [1, 2]).until(time.monotonic() + 20)


def test_an_unknown_job() -> None:
    with pytest.raises(RequestError, match="there is no job 100"):
        Wait(Dummy(), [1, 100]).until(None)
