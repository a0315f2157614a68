"""The thread that hears the daemon, without a page."""

from __future__ import annotations

import errno
import os
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import zmq

from trainqueue.client import Client
from trainqueue.web import watch

if TYPE_CHECKING:
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
