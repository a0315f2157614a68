"""The selecting inbox, and what it uses of pykka's internals (the one contract test)."""

from __future__ import annotations

import errno
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pykka
import pytest
from pykka._envelope import Envelope
from support import wait_until

from trainqueue.actor import SelectingActor, stop_and_join
from trainqueue.inbox import Inbox, Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Recorder(SelectingActor):
    """Keeps what it got."""

    def __init__(self, fd: int | None = None, on_crash: Callable[[BaseException | None], None] | None = None) -> None:
        super().__init__(on_crash)
        self.fd = fd
        self.got: list[Any] = []

    def begin(self) -> None:
        if self.fd is not None:
            self.inbox.watch(self.fd, self._read)

    def _read(self) -> object:
        assert self.fd is not None
        return os.read(self.fd, 100)

    def receive(self, message: Any) -> Any:
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


class Crashing(SelectingActor):
    """Fails where it is told to; `release` is counted."""

    def __init__(self, where: str, fd: int, on_crash: Callable[[BaseException | None], None]) -> None:
        super().__init__(on_crash)
        self.where, self.fd = where, fd
        self.released = 0

    def begin(self) -> None:
        self.inbox.watch(self.fd, lambda: 1 / 0)
        if self.where == "begin":
            raise ZeroDivisionError

    def receive(self, message: Any) -> None:
        raise ZeroDivisionError(message)

    def release(self) -> None:
        self.released += 1


@pytest.mark.parametrize("where", ["begin", "message", "reader"])
def test_a_crash_releases_and_is_told_once(
    where: str, pipe: tuple[int, int], caplog: pytest.LogCaptureFixture, expected_crash: None
) -> None:
    del expected_crash
    told: list[BaseException | None] = []
    if where == "reader":
        os.write(pipe[1], b"x")
    ref = Crashing.start(where, pipe[0], told.append)
    if where == "message":
        ref.tell("divide")
    wait_until(lambda: told)
    wait_until(lambda: not ref.is_alive())
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert "Crashing has failed" in caplog.text


def test_nothing_is_left_after_the_end(pipe: tuple[int, int]) -> None:
    ref = Recorder.start(pipe[0])
    thread = cast("Inbox", ref.actor_inbox).thread
    stop_and_join(ref, 5)
    assert thread is None or not thread.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("anybody?")


def test_one_that_was_never_opened_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    made = Wake.__new__(Wake)
    with monkeypatch.context() as broken:
        broken.setattr("trainqueue.inbox.os.eventfd", none_left)
        with pytest.raises(OSError, match="Too many"):
            made.__init__()  # type: ignore[misc]
    made.__del__()


def test_puts_from_many_threads_all_arrive() -> None:
    ref = Recorder.start()
    senders = [threading.Thread(target=partial(tell_many, ref)) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(got(ref, "end")) == 8 * 500 + 1
    stop_and_join(ref, 5)
