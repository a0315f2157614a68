"""Clients that take without giving: they fill no memory, hold up nobody, and lose nothing that was promised."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import zmq
from msgpack import unpackb
from support import packed, wait_until
from wire.raw import Raw, message
from wire.watch import memory

from trainqueue.client import Client
from trainqueue.errors import DaemonError, RequestError
from trainqueue.frontdesk import IN_FLIGHT, UNREAD
from trainqueue.wire import MAX_REQUEST

if TYPE_CHECKING:
    from support import Daemon

MIB = 2**20
HELD = {"command": ["true"], "cwd": "/", "hold": True}


def test_large_requests_from_twenty_connections(daemon: Daemon, client: Client) -> None:
    """Each holds what it sends, twice while it is looked at, and no more, however often it comes."""
    body = packed({"op": "ping", "id": 1, "more": bytes(MAX_REQUEST - 100)})

    def send(turns: int) -> None:
        raw = Raw(daemon.home.socket("trainqd.sock"))
        for _ in range(turns):
            assert raw.is_let_in()
            raw.socket.sendall(message(body))
            assert raw.receive()["error"]["code"] == "bad-request"
        raw.close()

    def all_at_once(turns: int) -> int:
        senders = [threading.Thread(target=send, args=(turns,)) for _ in range(20)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        client.ping()
        return memory(daemon, "VmHWM")

    first = all_at_once(1)
    second = all_at_once(3)
    print(f"at most {first // MIB}, then {second // MIB} MiB; {memory(daemon) // MIB} MiB are left")
    assert second < 20 * 2 * MAX_REQUEST + 100 * MIB
    assert second < first + 200 * MIB


def test_whoever_does_not_read_fills_no_memory(daemon: Daemon, client: Client) -> None:
    """His requests wait with himself, and of his replies only so many are kept."""
    client.submit([{**HELD, "name": "n" * 1000}] * 100)
    size = len(packed(client.call("jobs", limit=100)))
    with contextlib.closing(Raw(daemon.home.socket("trainqd.sock"))) as deaf:
        assert deaf.is_let_in()
        deaf.socket.settimeout(0.3)
        before, sent = memory(daemon), 0
        request = message(packed({"op": "jobs", "limit": 100, "id": "x" * 1000}))
        with contextlib.suppress(TimeoutError):
            for _ in range(7 * UNREAD // 50):
                deaf.socket.sendall(request * 50)
                sent += 50
                client.ping()
        grown = memory(daemon, "VmHWM") - before
    print(f"{sent} requests, {grown // MIB} MiB more for replies of {sent * size // MIB} MiB")
    assert sent * size > 4 * UNREAD * size
    assert grown < 2 * UNREAD * size + 20 * MIB


def test_as_many_in_flight_as_promised_all_get_their_replies(daemon: Daemon, client: Client) -> None:
    endpoint = daemon.home.endpoint_file.read_text().strip()
    client.ping()
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(endpoint)
        missing, sent = set[int](), 0
        while sent < 3000 or missing:
            while sent < 3000 and len(missing) < IN_FLIGHT:
                dealer.send_multipart([b"", packed({"op": "ping", "id": sent})])
                missing.add(sent)
                sent += 1
            assert dealer.poll(10_000), f"no replies to {sorted(missing)}"
            missing.remove(unpackb(dealer.recv_multipart()[1])["id"])


def test_requests_wait_with_their_sender(daemon: Daemon, client: Client) -> None:
    """Whoever sends more than can be looked at is held up himself, and nobody else."""
    body = message(packed({"op": "ping", "id": 1, "more": bytes(MIB)}))
    senders = [Raw(daemon.home.socket("trainqd.sock")) for _ in range(4)]

    def send(raw: Raw) -> None:
        assert raw.is_let_in()
        for _ in range(60):
            raw.socket.sendall(body)
        for _ in range(60):
            assert raw.receive()["error"]["code"] == "bad-request"

    threads = [threading.Thread(target=send, args=(raw,)) for raw in senders]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        client.ping()
    for raw in senders:
        raw.close()
    most = memory(daemon, "VmHWM")
    print(f"at most {most // MIB} MiB")
    assert most < 150 * MIB


@pytest.mark.parametrize(
    "times", [500, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])], ids=["few", "many"]
)
def test_a_client_that_dies_before_its_reply(daemon: Daemon, client: Client, times: int) -> None:
    def die(times: int) -> int:
        for _ in range(times):
            raw = Raw(daemon.home.socket("trainqd.sock"))
            raw.send(op="queue")
            raw.close()
        assert client.ping()["server"] == "trainqd"
        return memory(daemon)

    warm = die(times // 4)
    assert die(times) - warm < 8 * MIB


def test_replies_that_nobody_fetches(daemon: Daemon, client: Client) -> None:
    silent = [Raw(daemon.home.socket("trainqd.sock")) for _ in range(100)]
    for raw in silent:
        raw.send(op="queue")
    for _ in range(100):
        client.ping()
    for raw in silent:
        raw.close()


def test_requests_while_it_shuts_down(daemon: Daemon, client: Client) -> None:
    """Each gets a reply or is told that nobody is there, and what was acknowledged is there afterwards."""
    acknowledged: list[int] = []
    ends: list[BaseException] = []

    def submit() -> None:
        with Client(daemon.home, timeout=10) as other:
            try:
                while True:
                    acknowledged.extend(job["id"] for job in other.submit([HELD]))
            except (DaemonError, RequestError) as error:
                ends.append(error)

    submitters = [threading.Thread(target=submit) for _ in range(16)]
    for submitter in submitters:
        submitter.start()
    wait_until(lambda: len(acknowledged) > 200)
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 10
    for submitter in submitters:
        submitter.join()
    assert len(ends) == 16
    daemon.start()
    assert len({*acknowledged}) == len(acknowledged)
    found = {job.id for job in client.jobs(limit=10_000)[0]}
    assert {*acknowledged} <= found


LISTENER = """
import sys, zmq, msgpack
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 1)
for topic in ("job.", "heartbeat", "welcome"):
    socket.subscribe(topic)
socket.connect(sys.argv[1])
while socket.poll(20_000):
    event = msgpack.unpackb(socket.recv_multipart()[1])
    print(event["type"], event["seq"], event["epoch"], flush=True)
"""


def test_a_subscriber_that_never_reads(daemon: Daemon, client: Client) -> None:
    """It loses events and can see that; the others get all of them, and the daemon keeps only so many for it."""
    endpoint = client.ping()["events"]
    deaf = subprocess.Popen([sys.executable, "-c", LISTENER, endpoint], stdout=subprocess.PIPE, text=True)
    assert deaf.stdout is not None
    assert deaf.stdout.readline().startswith("welcome")
    client.call("pause")
    ids = [job["id"] for job in client.submit([HELD] * 1000)]
    heard: list[int] = []
    sizes: list[int] = []
    with client.subscribe(["job."]) as others:
        wait_until(lambda: (others.get(10) or {"type": None})["type"] == "welcome")
        deaf.send_signal(signal.SIGSTOP)
        for turn in range(28):
            client.verb("hold" if turn % 2 else "release", ids)
            last = client.queue(limit=1)["seq"]
            while not heard or heard[-1] < last:
                event = others.get(10)
                assert event is not None
                heard.append(event["seq"])
            sizes.append(memory(daemon))
    assert heard == [*range(heard[0], heard[-1] + 1)]
    print(f"{len(heard)} events; {sizes[len(sizes) // 2] // MIB} MiB in the middle, {sizes[-1] // MIB} at the end")
    assert sizes[-1] - sizes[len(sizes) // 2] < 16 * MIB
    deaf.send_signal(signal.SIGCONT)
    missed = holes(deaf, heard[-1])
    deaf.kill()
    deaf.wait()
    deaf.stdout.close()
    assert missed > len(heard) // 4


def holes(listener: subprocess.Popen[str], last: int) -> int:
    """How many events it has missed, by what it hears until it knows of the last one."""
    assert listener.stdout is not None
    missed, known = 0, 0
    for line in listener.stdout:
        kind, seq, _ = line.split()
        if kind == "welcome":
            continue
        newest = int(seq) if kind == "job" else int(seq) + 1
        missed += newest - known - 1 if known else 0
        known = newest if kind == "job" else newest - 1
        if known >= last:
            break
    return missed


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_thousand_submits_in_a_row(daemon: Daemon, client: Client) -> None:
    client.call("pause")
    before, began = memory(daemon), time.monotonic()
    for number in range(100_000):
        assert client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"] == number + 1
    took, grown = time.monotonic() - began, memory(daemon) - before
    print(f"{100_000 / took:.0f} submits a second; {grown / 100_000:.0f} bytes a waiting job")
    assert client.queue(limit=1)["counts"] == {"queued": 100_000}
    assert grown < 400 * MIB
    assert daemon.stop() == 0
    daemon.start()
    assert client.queue(limit=1)["counts"] == {"queued": 100_000}
