"""Whatever a frame holds: one reply, an error that names the thing, nothing changed, and the daemon serves on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from support import Daemon, packed, unpacked

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = {"command": ["true"], "cwd": "/"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon that survives all of it."""
    made = Daemon(Home(tmp_path_factory.mktemp("served") / "home"))
    made.start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def client(served: Daemon) -> Iterator[Client]:
    with Client(served.home) as made:
        yield made


@pytest.fixture
def ask(client: Client) -> Iterator[Any]:
    """Send frames, get the decoded reply."""
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, 10_000)
    socket.connect(client.home.endpoint_file.read_text(encoding="utf-8").strip())

    def call(*frames: bytes) -> Any:
        socket.send_multipart(frames)
        return unpacked(socket.recv())

    yield call
    assert call(packed({"op": "ping", "id": 7}))["id"] == 7
    context.destroy(0)
    assert client.jobs() == ([], False)


def submit(**fields: object) -> bytes:
    return packed({"op": "submit", "id": 1, "jobs": [{**JOB, **fields}]})


GARBAGE = {
    "empty": b"",
    "text": b"hello",
    "a number": b"\x05",
    "a list": packed([1, 2]),
    "half a map": packed({"op": "ping"})[:-1],
    "deep": b"\x91" * 200_000 + b"\x00",
    "deep inside": b"\x82\xa2op\xa4ping\xa2id" + b"\x91" * 200_000 + b"\x00",
    "not UTF-8": b"\x81\xa2op\xa2\xff\xfe",
    "random": os.urandom(1000),
    "huge length": b"\xdf\xff\xff\xff\xff",
}


@pytest.mark.parametrize("frame", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(ask: Any, frame: bytes) -> None:
    answer = ask(frame)
    assert not answer["ok"]
    assert answer["error"]["code"] in {"bad-request", "unknown-op"}
    assert answer["error"]["message"]


def test_several_frames(ask: Any) -> None:
    assert ask(packed({"op": "ping"}), b"more")["error"]["code"] == "bad-request"


FIELDS: dict[str, tuple[bytes, str, str]] = {
    "no op": (packed({"id": 1}), "bad-request", "$.op"),
    "unknown op": (packed({"op": "dance", "id": 1}), "unknown-op", "dance"),
    "op of the wrong type": (packed({"op": 3, "id": 1}), "bad-request", "$.op"),
    "unknown field": (packed({"op": "ping", "id": 1, "x": 1}), "bad-request", "$.x"),
    "missing field": (packed({"op": "status", "id": 1}), "bad-request", "$.job"),
    "no jobs": (packed({"op": "submit", "id": 1, "jobs": []}), "bad-request", "$.jobs"),
    "no command": (packed({"op": "submit", "id": 1, "jobs": [{"cwd": "/"}]}), "bad-request", "$.jobs[0]"),
    "empty command": (submit(command=[]), "bad-request", "$.jobs[0].command"),
    "empty program": (submit(command=[""]), "bad-request", "$.jobs[0].command"),
    "NUL": (submit(command=["a\0b"]), "bad-request", "$.jobs[0].command"),
    "command as text": (submit(command="true"), "bad-request", "$.jobs[0].command"),
    "relative folder": (submit(cwd="tmp"), "bad-request", "$.jobs[0].cwd"),
    "negative GPUs": (submit(gpus=-1), "bad-request", "$.jobs[0].gpus"),
    "GPUs as text": (submit(gpus="one"), "bad-request", "$.jobs[0].gpus"),
    "true as GPUs": (submit(gpus=True), "bad-request", "$.jobs[0].gpus"),
    "negative limit": (submit(time_limit=-5), "bad-request", "$.jobs[0].time_limit"),
    "endless limit": (submit(time_limit=float("nan")), "bad-request", "$.jobs[0]"),
    "unknown priority": (submit(priority="urgent"), "bad-request", "$.jobs[0].priority"),
    "misspelt field": (submit(comand=["x"]), "bad-request", "$.jobs[0].comand"),
    "unknown dependency": (submit(after=[99]), "not-found", "$.jobs[0].after"),
    "bad variable": (submit(env={"A=B": "c"}), "bad-request", "$.jobs[0].env"),
    "unknown cause": (submit(retries={"bad-luck": 1}), "bad-request", "$.jobs[0].retries:"),
    "unknown job": (packed({"op": "status", "id": 1, "job": 99}), "not-found", "99"),
    "negative job": (packed({"op": "status", "id": 1, "job": -1}), "bad-request", "$.job"),
    "huge job": (packed({"op": "status", "id": 1, "job": 2**64 - 1}), "bad-request", "$.job"),
    "log of nobody": (packed({"op": "log", "id": 1, "job": 3}), "not-found", "3"),
    "move of nobody": (packed({"op": "move", "id": 1, "job": 3, "to": "front"}), "not-found", "3"),
    "move nowhere": (packed({"op": "move", "id": 1, "job": 3}), "bad-request", "to, before, position"),
}


@pytest.mark.parametrize(("frame", "code", "named"), FIELDS.values(), ids=FIELDS.keys())
def test_the_error_names_the_field(ask: Any, frame: bytes, code: str, named: str) -> None:
    answer = ask(frame)
    assert answer["error"]["code"] == code
    assert named in answer["error"]["message"]
    assert answer["id"] == 1


def test_one_bad_job_spoils_the_whole_message(ask: Any) -> None:
    answer = ask(packed({"op": "submit", "jobs": [JOB, {**JOB, "gpus": -1}]}))
    assert "$.jobs[1].gpus" in answer["error"]["message"]


def test_seventeen_mebibytes_are_refused_with_words(ask: Any) -> None:
    assert ask(b"\xc6\x01\x10\x00\x00" + bytes(17 * 2**20))["error"]["code"] == "too-large"


def test_forty_mebibytes_are_not_even_read(client: Client) -> None:
    """The claim of a huge frame costs its sender the connection, and nobody else anything."""
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(client.home.endpoint_file.read_text(encoding="utf-8").strip())
    socket.send(bytes(40 * 2**20))
    assert not socket.poll(300)
    context.destroy(0)
    assert client.ping()["server"] == "trainqd"
