"""The thread that hears the daemon, without a page."""

from __future__ import annotations

import errno
import os
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import zmq

from trainqueue.client import Client
from trainqueue.home import Home
from trainqueue.web import watch
from trainqueue.web.live import Live

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from support import Daemon


def test_it_outlives_whatever_goes_wrong_and_says_so(
    served: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: SimpleQueue[watch.Fact] = SimpleQueue()
    wrong: list[Exception] = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 2
    wrong += [zmq.ZMQError(errno.EMFILE), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd")]

    def made(*args: Any, **fields: Any) -> Client:
        if wrong:
            raise wrong.pop(0)
        return Client(*args, **fields)

    monkeypatch.setattr(watch, "Client", made)
    monkeypatch.setattr(watch, "AWAY", 0.01)
    hears = watch.Watch(served.home, told.put)
    hears.start()
    for word in ("Too many open files", "Too many open files", "ZMQError", "UnicodeDecodeError"):
        match told.get(timeout=10):
            case watch.Away(why):
                assert word in why
            case other:
                raise AssertionError(other)
    assert isinstance(told.get(timeout=10), watch.Whole)
    hears.stop()
    hears.join(10)
    assert len(caplog.records) == 3, "the same trouble is logged once"


def test_another_daemon_begins_a_fresh_picture_that_keeps_the_samples(tmp_path: Path) -> None:
    def whole(epoch: str, *recent: int) -> watch.Whole:
        queue: dict[str, Any] = {"running": [], "queued": [], "gpus": [], "epoch": epoch, "seq": 1}
        jobs = [{"id": job, "state": "completed", "attempt": 1, "ended_at": 1.0} for job in recent]
        daemon = {"version": "1", "pid": 1, "started_at": 1.0}
        return watch.Whole(queue, [], jobs, {"jobs": [], "ready": 0}, daemon)

    live = Live(Home(tmp_path))
    live.heard(whole("one", 1, 2))
    gpu = {"id": "GPU-1", "utilization": 5.0, "memory_used": 6}
    live.heard(watch.Said({"type": "gpus", "at": 9.0, "gpus": [gpu]}))
    before = live.picture
    live.heard(whole("two", 3))
    assert (live.picture is before, [*live.picture.jobs], [*live.picture.recent]) == (False, [3], [3])
    assert [*live.picture.history["GPU-1"]] == [(9.0, 5.0, 6)]
