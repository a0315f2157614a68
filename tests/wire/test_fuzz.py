"""Hostile frames over the socket of a real daemon: one reply to each, flat memory, and a journal that opens clean."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import sqlite3
import struct
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from support import Daemon, packed
from wire.fuzz import Map, meant, messages, named, requests
from wire.raw import GREETING, READY, message
from wire.watch import memory

from trainqueue import wire
from trainqueue.client import Client
from trainqueue.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from trainqueue.home import Home

CODES = frozenset(get_args(ErrorCode)) - {"internal", "unavailable", "forbidden"}
EACH = 40
"""Messages made of one drawn request."""
GROWTH = 24 * 2**20
"""Bytes that a daemon may grow after the first part of the messages."""
UNHURRIED = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
UNWELCOME = (wire.Shutdown, wire.Drain, wire.Resume)
"""Valid requests that would end the daemon or start programs."""


@pytest.fixture
def daemon(home: Home, tmp_path: Path) -> Iterator[Daemon]:
    """Paused, and with room for few jobs, so that its memory has no good reason to grow."""
    made = Daemon(home)
    (tmp_path / "trainq.toml").write_text("[queue]\nmax_waiting = 300\n", encoding="utf-8")
    made.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    made.start()
    with Client(home) as client:
        client.call("pause")
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


class Stranger:
    """A DEALER that has many messages in flight; a number in front of the empty frame says whose reply it is."""

    def __init__(self, daemon: Daemon) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        self.socket.connect(daemon.home.endpoint_file.read_text(encoding="utf-8").strip())
        self.sent = 0

    def ask(self, batch: list[list[bytes]]) -> list[bytes]:
        """The replies, in the order of the messages. Fails unless each gets exactly one."""
        for number, frames in enumerate(batch):
            self.socket.send_multipart([struct.pack(">I", number), b"", *frames])
        replies: dict[int, bytes] = {}
        while len(replies) < len(batch):
            assert self.socket.poll(10_000), (
                f"no reply to {[batch[at] for at in range(len(batch)) if at not in replies]}"
            )
            tag, empty, body = self.socket.recv_multipart()
            (number,) = struct.unpack(">I", tag)
            assert number not in replies, "two replies"
            assert empty == b""
            replies[number] = body
        self.sent += len(batch)
        return [replies[number] for number in range(len(batch))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        more = self.socket.poll(0)
        self.context.destroy(0)
        assert not more or raised[0], "a reply that nobody asked for"


def check(frames: list[bytes], body: bytes) -> None:
    reply, asked = msgspec.msgpack.decode(body), named(frames)
    if asked is not None:  # what cannot be read may have an id all the same
        assert msgspec.msgpack.encode(reply["id"]) == msgspec.msgpack.encode(asked.get("id"))
    if reply["ok"]:
        assert meant(frames) is not None
        assert reply.keys() == {"ok", "id", "result"}
    else:
        assert reply.keys() == {"ok", "id", "error"}
        assert reply["error"]["code"] in CODES, reply
        assert 0 < len(reply["error"]["message"]) < 1000


def fuzz(stranger: Stranger, examples: int) -> None:
    @settings(UNHURRIED, max_examples=examples)
    @given(requests(), st.integers(0, 2**32))
    def each(request: Map, seed: int) -> None:
        batch = [frames for frames in messages(request, seed, EACH) if not isinstance(meant(frames), UNWELCOME)]
        for frames, body in zip(batch, stranger.ask(batch), strict=True):
            check(frames, body)

    each()


def whole(home: Home) -> list[Any]:
    """What a daemon of this home has to say, but for what every start changes."""
    with Client(home) as client:
        first = client.queue(limit=10_000)
        ended = client.call("jobs", limit=10_000)
        for job in [*first["queued"], *ended["jobs"]]:
            del job["waited"]  # time passes
        return [first["queued"], first["counts"], first["seq"], first["running"], ended["jobs"]]


def is_sound(daemon: Daemon) -> None:
    """Nothing in its log, and after its end a journal that is whole and says the same."""
    before = whole(daemon.home)
    assert daemon.stop() == 0
    log = daemon.home.log.read_text(encoding="utf-8")
    assert not re.findall("Traceback| ERROR | CRITICAL ", log), log[-3000:]
    db = sqlite3.connect(daemon.home.database)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    daemon.start()
    assert whole(daemon.home) == before
    assert not before[3]


def hostile(daemon: Daemon, count: int) -> None:
    with Stranger(daemon) as stranger:
        fuzz(stranger, count // EACH // 4)
        warm = memory(daemon)
        fuzz(stranger, count // EACH * 3 // 4)
        grown = memory(daemon) - warm
    print(f"{stranger.sent} messages; {warm >> 20} MiB after a quarter of them, {grown >> 10} KiB more at the end")
    assert stranger.sent > 0.8 * count
    assert grown < GROWTH
    is_sound(daemon)


def test_ten_thousand_hostile_messages(daemon: Daemon) -> None:
    hostile(daemon, 10_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million_hostile_messages(daemon: Daemon) -> None:
    hostile(daemon, 1_000_000)


def test_the_fuzz_knows_every_op() -> None:
    """And draws valid requests: each op's is understood by our own codec."""
    seen: set[type] = set()

    def is_last(request: Map) -> bool:
        (frames,) = messages(request, 0, 1)
        seen.add(type(meant(frames)))
        return len(seen - {type(None)}) == len(get_args(wire.AnyRequest))

    find(requests(), is_last, settings=settings(UNHURRIED, max_examples=2000, phases=[Phase.generate]))
    assert seen - {type(None)} == {*get_args(wire.AnyRequest)}


# -- below ZeroMQ

SPEECH = GREETING + READY + message(packed({"op": "ping"}))
HUGE = b"\x02" + struct.pack(">Q", 2**62)


def speeches() -> st.SearchStrategy[bytes]:
    """A ZMTP conversation that breaks off, has bytes wrong, or goes on with rubbish; or nothing like it."""
    rubbish = st.binary(max_size=300) | st.sampled_from([b"", HUGE, b"\x04\xff", b"\x06" + bytes(8), b"\0" * 5000])
    cut = st.tuples(st.integers(0, len(SPEECH)), rubbish).map(lambda it: SPEECH[: it[0]] + it[1])
    spoilt = st.tuples(st.integers(0, len(SPEECH) - 1), st.integers(0, 255), rubbish).map(
        lambda it: SPEECH[: it[0]] + bytes([it[1]]) + SPEECH[it[0] + 1 :] + it[2]
    )
    return rubbish | cut | spoilt | st.just(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def garbage(daemon: Daemon, path: str, count: int) -> None:
    """Some hang up at once, some stay half open while others come."""
    open_: list[socket.socket] = []
    turn = itertools.cycle(range(4))

    @settings(UNHURRIED, max_examples=count)
    @given(speeches())
    def each(speech: bytes) -> None:
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(10)
        stranger.connect(path)
        open_.append(stranger)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            stranger.sendall(speech)
        if next(turn):
            open_.pop().close()
        if len(open_) > 50:
            open_.pop(0).close()

    with Client(daemon.home) as client:
        each()
        client.ping()
    with Client(daemon.home, timeout=2) as late:
        late.ping()
    for stranger in open_:
        stranger.close()


@pytest.mark.parametrize("where", ["trainqd.sock", "events.sock"])
def test_what_is_not_even_zmtp(daemon: Daemon, where: str) -> None:
    path = str(daemon.home.socket(where))
    garbage(daemon, path, 150)
    warm = memory(daemon)
    garbage(daemon, path, 350)
    assert memory(daemon) - warm < GROWTH
    is_sound(daemon)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("where", ["trainqd.sock", "events.sock"])
def test_much_that_is_not_even_zmtp(daemon: Daemon, where: str) -> None:
    garbage(daemon, str(daemon.home.socket(where)), 5_000)
    warm = memory(daemon)
    garbage(daemon, str(daemon.home.socket(where)), 50_000)
    assert memory(daemon) - warm < GROWTH
    is_sound(daemon)
