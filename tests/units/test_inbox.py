"""The selecting inbox, and what it uses of pykka's internals (the one contract test)."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pykka
import pytest
from pykka._envelope import Envelope
from support import wait_until

from trainqueue.actor import SelectingActor, stop_and_join
from trainqueue.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recorder(SelectingActor):
    """Keeps what it got."""

    def __init__(self, fd: int | None = None) -> None:
        super().__init__()
        self.fd = fd
        self.got: list[Any] = []

    def on_start(self) -> None:
        if self.fd is not None:
            self.inbox.watch(self.fd, self._read)

    def _read(self) -> object:
        assert self.fd is not None
        return os.read(self.fd, 100)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple):
            self.inbox.after(*message)
        elif message == "fail":
            raise ValueError(message)
        self.got.append(message)
        return list(self.got)


def got(ref: pykka.ActorRef[Recorder], last: str) -> list[Any]:
    return cast("list[Any]", ref.ask(last))


def tell_many(ref: pykka.ActorRef[Recorder]) -> None:
    for number in range(500):
        ref.tell(number)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_what_pykka_must_offer() -> None:
    assert "_create_actor_inbox" in vars(pykka.ThreadingActor)
    assert {"put", "get", "empty"} <= {name for name in dir(Inbox) if not name.startswith("_")}
    assert Envelope("x").message == "x"
    assert Envelope("x").reply_to is None


def test_messages_sockets_and_timers_arrive(pipe: tuple[int, int]) -> None:
    ref = Recorder.start(pipe[0])
    ref.tell("one")
    ref.tell((0.01, "later"))
    os.write(pipe[1], b"bytes")
    wait_until(lambda: {"one", "later", b"bytes"} <= set(got(ref, "so far")))
    stop_and_join(ref, 5)


def test_a_flood_of_messages_does_not_starve_the_sockets(pipe: tuple[int, int]) -> None:
    ref = Recorder.start(pipe[0])
    os.write(pipe[1], b"bytes")
    for number in range(5000):
        ref.tell(number)
    received = got(ref, "last")
    assert received.index(b"bytes") < 4000
    stop_and_join(ref, 5)


def test_a_reader_that_fails_does_not_kill_the_actor(pipe: tuple[int, int]) -> None:
    ref = Recorder.start(pipe[0])
    ref.ask("started")
    os.set_blocking(pipe[0], False)
    cast("Inbox", ref.actor_inbox)._readers[pipe[0]] = lambda: 1 / 0
    os.write(pipe[1], b"x")
    assert "alive" in got(ref, "alive")
    stop_and_join(ref, 5)


def test_nothing_is_left_after_the_end(pipe: tuple[int, int]) -> None:
    ref = Recorder.start(pipe[0])
    thread = cast("Inbox", ref.actor_inbox).thread
    stop_and_join(ref, 5)
    assert thread is None or not thread.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("anybody?")


def test_puts_from_many_threads_all_arrive() -> None:
    ref = Recorder.start()
    senders = [threading.Thread(target=partial(tell_many, ref)) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(got(ref, "end")) == 8 * 500 + 1
    stop_and_join(ref, 5)
