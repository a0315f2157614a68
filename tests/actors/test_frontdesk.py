"""The front desk over real sockets: exactly one reply to whatever comes, and many at a time."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pykka
import pytest
import zmq
from support import packed, unpacked, wait_until

from trainqueue import wire
from trainqueue.actor import SelectingActor, stop_and_join
from trainqueue.errors import TrainqError
from trainqueue.frontdesk import SLOTS, FrontDesk
from trainqueue.messages.clients import Answers, Calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 5.0


class Clerk(SelectingActor):
    """Stands for the arbiter: answers every call with its op, or keeps them until `go`."""

    def __init__(self, kept: list[Calls], *, waits: bool) -> None:
        super().__init__()
        self.kept, self.waits = kept, waits
        self.desk: pykka.ActorRef[Any] | None = None

    def receive(self, message: Any) -> None:
        if isinstance(message, pykka.ActorRef):
            self.desk = message
        elif message == "go":
            self.waits = False
            for calls in self.kept:
                self._answer(calls)
        else:
            self.kept.append(message)
            if not self.waits:
                self._answer(message)

    def _answer(self, calls: Calls) -> None:
        assert self.desk is not None
        answers = [(call.slot, wire.answer(call.request.id, call.user)) for call in calls.calls]
        self.desk.tell(Answers(answers))


class Office:
    """A desk, its clerk, and clients."""

    def __init__(self, folder: Path, *, waits: bool = False) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.path = folder / "trainqd.sock"
        self.kept: list[Calls] = []
        self.crashes: list[BaseException | None] = []
        self.clerk: pykka.ActorRef[Any] = Clerk.start(self.kept, waits=waits)
        self.desk: pykka.ActorRef[Any] = FrontDesk.start(self.context, self.path, self.clerk, "me", self.crashes.append)
        self.clerk.tell(self.desk)
        self.clients: list[zmq.Socket[bytes]] = []

    def client(self, kind: int = zmq.REQ) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self.context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        made.connect(f"ipc://{self.path}")
        self.clients.append(made)
        return made

    def close(self) -> None:
        stop_and_join(self.desk, 10)
        stop_and_join(self.clerk, 5)
        for client in self.clients:
            client.close(0)
        self.context.destroy(0)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()
    assert not made.crashes


def reply(client: zmq.Socket[bytes]) -> Any:
    assert client.poll(round(PATIENCE * 1000)), "no reply"
    return unpacked(client.recv_multipart()[-1])


def ping(number: object = 1) -> bytes:
    return packed({"op": "ping", "id": number})


def test_a_request_reaches_the_arbiter_with_its_user(office: Office) -> None:
    client = office.client()
    client.send(ping(7))
    assert reply(client) == {"ok": True, "id": 7, "result": "me"}


BAD: dict[str, list[bytes]] = {
    "nothing": [b""],
    "no map": [packed([1])],
    "no MessagePack": [b"\xc1"],
    "half of it": [ping()[:-1]],
    "more behind it": [ping() + b"x"],
    "two frames": [ping(), ping()],
    "no op": [packed({"id": 3})],
    "an op that is none": [packed({"op": "pling", "id": 3})],
    "an op that is no text": [packed({"op": 7, "id": 3})],
    "an unknown field": [packed({"op": "ping", "id": 3, "x": 1})],
    "bytes that are no text": [b"\x82\xa2op\xa4\xff\xff\xff\xff\xa2id\x03"],
    "deep": [b"\x91" * 100_000 + b"\x01"],
    "a deep id": [b"\x82\xa2op\xa4ping\xa2id" + b"\x91" * 100_000 + b"\x01"],
    "large": [packed({"op": "ping", "id": "x" * (wire.MAX_REQUEST + 10)})],
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_one_reply_and_the_next_is_served(office: Office, case: str) -> None:
    """More often than there are slots: a slot that does not answer would be stuck."""
    client = office.client()
    for _ in range(3 if case == "large" else 2 * SLOTS):
        client.send_multipart(BAD[case])
        answer = reply(client)
        assert answer["ok"] is False
        assert answer["error"]["code"] in {"bad-request", "unknown-op", "too-large"}
    client.send(ping())
    assert reply(client)["ok"]
    assert not client.poll(20), "a second reply"


@pytest.mark.parametrize("kind", ["a surrogate", "an ext", "a map with an odd key", "a long number"])
def test_an_odd_id_is_echoed_or_refused(office: Office, kind: str) -> None:
    ids: dict[str, bytes] = {
        "a surrogate": b"\xa3\xed\xa0\x80",
        "an ext": b"\xd4\x05x",
        "a map with an odd key": b"\x81\x90\x01",
        "a long number": b"\xcf" + b"\xff" * 8,
    }
    client = office.client()
    for _ in range(SLOTS + 1):
        client.send(b"\x82\xa2op\xa4ping\xa2id" + ids[kind])
        assert client.poll(round(PATIENCE * 1000))
        assert client.recv()
    client.send(ping())
    assert reply(client)["ok"]


def test_many_clients_at_once(office: Office) -> None:
    def talk(number: int, heard: list[int]) -> None:
        client = clients[number]
        for turn in range(50):
            client.send(ping([number, turn]))
            assert reply(client)["id"] == [number, turn]
            heard.append(turn)

    clients = [office.client() for _ in range(24)]
    heard: list[int] = []
    threads = [threading.Thread(target=partial(talk, number, heard)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(heard) == 24 * 50


def test_more_than_there_are_slots_wait_and_are_served(tmp_path: Path) -> None:
    office = Office(tmp_path, waits=True)
    clients = [office.client() for _ in range(SLOTS + 8)]
    for number, client in enumerate(clients):
        client.send(ping(number))
    wait_until(lambda: sum(len(calls.calls) for calls in office.kept) == SLOTS)
    office.clerk.tell("go")
    assert [reply(client)["id"] for client in clients] == [*range(SLOTS + 8)]
    office.close()


def test_a_client_that_has_left_takes_nothing_along(tmp_path: Path) -> None:
    office = Office(tmp_path, waits=True)
    for _ in range(SLOTS):
        office.client().send(ping())
    wait_until(lambda: sum(len(calls.calls) for calls in office.kept) == SLOTS)
    for client in office.clients:
        client.close(0)
    office.clients.clear()
    office.clerk.tell("go")
    for _ in range(2 * SLOTS):
        other = office.client()
        other.send(ping(5))
        assert reply(other)["id"] == 5
    office.close()


def test_when_the_arbiter_is_gone_everybody_is_told(office: Office) -> None:
    stop_and_join(office.clerk, 5)
    for _ in range(SLOTS + 1):
        client = office.client()
        client.send(ping(3))
        answer = reply(client)
        assert (answer["id"], answer["error"]["code"]) == (3, "unavailable")


def test_answers_given_just_before_the_end_go_out(tmp_path: Path) -> None:
    office = Office(tmp_path, waits=True)
    clients = [office.client() for _ in range(SLOTS)]
    for number, client in enumerate(clients):
        client.send(ping(number))
    wait_until(lambda: sum(len(calls.calls) for calls in office.kept) == SLOTS)
    slots = [(call.slot, wire.answer(call.request.id, "bye")) for calls in office.kept for call in calls.calls]
    office.desk.tell(Answers(slots))
    stop_and_join(office.desk, 10)
    assert [reply(client)["result"] for client in clients] == ["bye"] * SLOTS
    office.close()


@pytest.mark.usefixtures("expected_crash")
def test_frames_without_an_envelope_do_no_harm(tmp_path: Path) -> None:
    """A DEALER may leave out the empty frame: then there is nobody to answer to, and the slot must be free again."""
    office = Office(tmp_path)
    stranger, client = office.client(zmq.DEALER), office.client()
    for _ in range(2 * SLOTS):
        stranger.send_multipart([b"no delimiter", ping()])
        stranger.send_multipart([b"", ping()])
    served: list[bool] = []
    while all(served) and len(served) < 2 * SLOTS:
        client.send(ping(len(served)))
        served.append(bool(client.poll(1000)) and unpacked(client.recv())["ok"])
    office.close()
    assert all(served)
    assert office.crashes == []


@pytest.mark.usefixtures("expected_crash")
def test_a_proxy_that_fails_ends_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(zmq, "proxy_steerable", fault)
    office = Office(tmp_path)
    wait_until(lambda: office.crashes)
    assert [type(crash) for crash in office.crashes] == [ZeroDivisionError]
    office.close()


@pytest.mark.filterwarnings("ignore:Unclosed socket:ResourceWarning")
def test_a_path_that_cannot_be_had(office: Office, tmp_path: Path) -> None:
    with pytest.raises(TrainqError):
        FrontDesk.start(office.context, tmp_path / "none" / "x.sock", office.clerk, "me", office.crashes.append)
