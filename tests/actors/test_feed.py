"""The feed over real sockets: the welcome, what each subscriber gets, the heartbeat, and quiet without listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import zmq
from support import packed, unpacked, wait_until

from trainqueue.actor import stop_and_join
from trainqueue.errors import TrainqError
from trainqueue.feed import Feed
from trainqueue.messages.clients import Publish
from trainqueue.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pykka

PATIENCE = 5.0


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(0)


@pytest.fixture
def feed(context: zmq.Context[Any], tmp_path: Path) -> Iterator[pykka.ActorRef[Feed]]:
    crashes: list[BaseException | None] = []
    ref = Feed.start(context, tmp_path / "events.sock", "epoch", 41, crashes.append)
    yield ref
    stop_and_join(ref, 5)
    assert not crashes


def join(context: zmq.Context[Any], tmp_path: Path, *topics: str) -> Subscription:
    return Subscription(context, f"ipc://{tmp_path / 'events.sock'}", topics)


def event(number: int, topic: str = "job.1") -> tuple[str, bytes]:
    return topic, packed({"type": "job", "seq": number})


def unheard(error: BaseException | None) -> None:
    del error


def publish(ref: pykka.ActorRef[Feed], *numbers: int) -> None:
    ref.tell(Publish([event(number) for number in numbers], numbers[-1]))


def test_after_the_welcome_nothing_is_missed(
    context: zmq.Context[Any], feed: pykka.ActorRef[Feed], tmp_path: Path
) -> None:
    """Many join while events flow: each gets every event behind the number that its welcome names."""
    joined = [join(context, tmp_path, "job.") for _ in range(50)]
    for number in range(42, 142):
        publish(feed, number)
    for subscription in joined:
        with subscription:
            heard: list[int] = []
            welcome: int | None = None
            while welcome is None or heard[-1:] != [141]:
                got = subscription.get(PATIENCE)
                assert got is not None
                if got["type"] == "job":
                    heard.append(got["seq"])
                elif welcome is None:  # the first one counts; those of others are seen, too
                    welcome = got["seq"]
                    if welcome == 141:
                        break  # all that there is
            assert heard == [*range(heard[0], heard[-1] + 1)] if heard else True
            assert welcome == 141 or heard[0] <= welcome + 1


def test_each_welcome_is_answered(context: zmq.Context[Any], feed: pykka.ActorRef[Feed], tmp_path: Path) -> None:
    for _ in range(3):
        with join(context, tmp_path, "job.") as first:
            got = first.get(PATIENCE)
            assert got == {"type": "welcome", "epoch": "epoch", "seq": 41}
    assert feed.is_alive()


def test_only_what_was_asked_for(context: zmq.Context[Any], feed: pykka.ActorRef[Feed], tmp_path: Path) -> None:
    with join(context, tmp_path, "job.2") as one:
        assert one.get(PATIENCE) is not None
        feed.tell(Publish([event(42, "job.1"), event(43, "queue"), event(44, "job.2")], 44))
        got = one.get(PATIENCE)
        assert got is not None
        assert got["seq"] == 44


def test_the_heartbeat_tells_the_newest_number(
    context: zmq.Context[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: pykka.ActorRef[Feed]
) -> None:
    monkeypatch.setattr("trainqueue.feed.HEARTBEAT", 0.02)
    publish(feed, 77)
    with join(context, tmp_path, "heartbeat") as one:
        assert one.get(PATIENCE) is not None
        for _ in range(3):
            assert one.get(PATIENCE) == {"type": "heartbeat", "epoch": "epoch", "seq": 77}


class CountedFeed(Feed):
    """Counts what it is woken by."""

    woken = 0

    def receive(self, message: Any) -> None:
        type(self).woken += 1
        super().receive(message)


def test_without_listeners_it_sleeps(
    context: zmq.Context[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainqueue.feed.HEARTBEAT", 0.02)
    ref = CountedFeed.start(context, tmp_path / "events.sock", "epoch", 0, unheard)
    with join(context, tmp_path, "heartbeat") as one:
        for _ in range(3):
            assert one.get(PATIENCE) is not None
    quiet: list[int] = []

    def settled() -> bool:
        quiet.append(CountedFeed.woken)
        return len(quiet) > 40 and quiet[-1] == quiet[-40]

    wait_until(settled)
    stop_and_join(ref, 5)


def test_a_subscriber_that_does_not_read_holds_up_nobody(
    context: zmq.Context[Any], feed: pykka.ActorRef[Feed], tmp_path: Path
) -> None:
    with join(context, tmp_path, "job.") as deaf, join(context, tmp_path, "job.") as other:
        for each in (deaf, other):
            assert each.get(PATIENCE) is not None
        body = packed({"type": "job", "seq": 1, "fill": "x" * 1000})
        for _ in range(40):
            feed.tell(Publish([("job.1", body)] * 500, 1))
            for _ in range(500):
                assert other.get(PATIENCE) is not None


@pytest.mark.parametrize(
    "frames", [[b""], [b"\2"], [b"\1"], [b"\0never"], [b"\1" + b"x" * 10_000], [b"x", b"y"], [b"hello"]]
)
def test_whatever_a_stranger_sends_does_no_harm(
    context: zmq.Context[Any], feed: pykka.ActorRef[Feed], tmp_path: Path, frames: list[bytes]
) -> None:
    """An XSUB may send anything upwards."""
    stranger = context.socket(zmq.XSUB)
    stranger.connect(f"ipc://{tmp_path / 'events.sock'}")
    stranger.send_multipart(frames)
    stranger.send(b"\1welcome")
    assert stranger.poll(round(PATIENCE * 1000))
    assert unpacked(stranger.recv_multipart()[1])["type"] == "welcome"
    with join(context, tmp_path, "job.") as one:
        assert one.get(PATIENCE) is not None
        publish(feed, 42)
        got = one.get(PATIENCE)
        assert got is not None
        assert got["seq"] == 42
    stranger.close(0)


def test_nobody_silences_the_others(
    context: zmq.Context[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: pykka.ActorRef[Feed]
) -> None:
    """By words that are no subscription, or by leaving twice."""
    monkeypatch.setattr("trainqueue.feed.HEARTBEAT", 0.02)
    with join(context, tmp_path, "job.", "heartbeat") as one:
        assert one.get(PATIENCE) is not None
        stranger = context.socket(zmq.XSUB)
        stranger.connect(f"ipc://{tmp_path / 'events.sock'}")
        for word in [b"hello"] * 5 + [b"\1mine", b"\0mine", b"\0mine", b"\1welcome"]:
            stranger.send(word)
        assert stranger.poll(round(PATIENCE * 1000))
        stranger.close(0)
        publish(feed, 42)
        wait_until(lambda: one.get(PATIENCE) == {"type": "job", "seq": 42})
        for _ in range(3):
            assert one.get(PATIENCE) == {"type": "heartbeat", "epoch": "epoch", "seq": 42}


@pytest.mark.filterwarnings("ignore:Unclosed socket:ResourceWarning")
def test_a_path_that_cannot_be_had(context: zmq.Context[Any], tmp_path: Path) -> None:
    with pytest.raises(TrainqError):
        Feed.start(context, tmp_path / "none" / "events.sock", "epoch", 0, unheard)
