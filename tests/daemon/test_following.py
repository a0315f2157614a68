"""Following a real daemon, which dies, hangs and comes back."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from support import wait_until

from trainqueue import following
from trainqueue.client import Client
from trainqueue.errors import NoDaemonError, NotAnsweringError
from trainqueue.following import Anew, Follower, Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from support import Daemon

    from trainqueue.following import Happened

HELD: dict[str, Any] = {"command": ["true"], "cwd": "/", "hold": True}


def until(follower: Follower, wanted: Callable[[Happened], object]) -> list[Happened]:
    """All that has happened up to the call of `hear` that brings what is wanted."""
    heard: list[Happened] = []

    def came() -> bool:
        heard.extend(follower.hear(0.1))
        return any(wanted(one) for one in heard)

    wait_until(came, 20)
    return heard


def anew(happened: Happened) -> bool:
    return isinstance(happened, Anew)


def lost(happened: Happened) -> bool:
    return isinstance(happened, Lost)


def job(number: int) -> Callable[[Happened], bool]:
    return lambda happened: isinstance(happened, dict) and happened.get("id") == number


def test_it_is_there_before_the_daemon_and_outlasts_its_deaths(daemon: Daemon) -> None:
    daemon.kill()
    with Client(daemon.home) as client, Follower(client) as follower:
        (first,) = follower.hear(5.0)
        assert isinstance(first, Lost)
        assert isinstance(first.error, NoDaemonError)
        assert not follower.live
        for number in (1, 2):
            daemon.start()
            assert [*map(type, until(follower, anew))][-1] is Anew
            assert follower.live
            client.submit([HELD])
            heard = until(follower, job(number))
            assert not any(anew(one) or lost(one) for one in heard), "nothing was missed"
            assert {"queued"} == {one["state"] for one in heard if isinstance(one, dict) and one["type"] == "job"}
            daemon.kill()
            until(follower, lost)
            assert not follower.live


def test_another_daemon_is_noticed_though_nobody_listened_meanwhile(daemon: Daemon) -> None:
    with Client(daemon.home) as client, Follower(client) as follower:
        until(follower, anew)
        daemon.kill()
        daemon.start()
        until(follower, anew)
        client.submit([HELD])
        until(follower, job(1))


def test_a_gap_in_the_numbers_is_told_before_what_shows_it(daemon: Daemon) -> None:
    """Here it does not hear of jobs, as if those events had been lost."""
    with Client(daemon.home) as client, Follower(client, ("queue", "heartbeat")) as follower:
        until(follower, anew)
        client.pause()
        heard = until(follower, lambda one: isinstance(one, dict) and one["type"] == "queue")
        assert not any(anew(one) for one in heard)
        client.submit([HELD])
        client.resume()
        heard = until(follower, lambda one: isinstance(one, dict) and one["type"] == "queue")
        assert any(anew(one) for one in heard[:-1])
        assert follower.live


def test_a_daemon_that_hangs_is_lost_and_found_again(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    assert daemon.process is not None
    with Client(daemon.home, timeout=0.3) as client, Follower(client) as follower:
        until(follower, anew)
        daemon.process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(following, "SILENCE", 0.1)
        (silent,) = until(follower, lost)
        assert isinstance(silent, Lost)
        assert isinstance(silent.error, NotAnsweringError)
        (still,) = until(follower, lost)
        assert isinstance(still, Lost)
        assert "did not answer in time" in str(still.error)
        daemon.process.send_signal(signal.SIGCONT)
        monkeypatch.undo()
        until(follower, anew)


def test_a_question_without_an_answer_is_told_and_all_begins_anew(daemon: Daemon) -> None:
    with Client(daemon.home) as client, Follower(client) as follower:
        until(follower, anew)
        error = NotAnsweringError("no answer")
        follower.lose(error)
        assert (follower.live, follower.hear(5.0)) == (False, [Lost(error)])
        assert anew(until(follower, anew)[0])


def test_a_key_ends_the_wait_whether_a_daemon_is_there_or_not(daemon: Daemon) -> None:
    reads, writes = os.pipe()
    try:
        with Client(daemon.home) as client, Follower(client) as follower:
            until(follower, anew)
            os.write(writes, b"q")
            began = time.monotonic()
            assert follower.hear(30.0, [reads]) == []
            daemon.kill()
            until(follower, lost)
            assert follower.hear(30.0, [reads]) == []
            assert time.monotonic() - began < 10
    finally:
        os.close(reads)
        os.close(writes)
