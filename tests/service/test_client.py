"""The Python client against a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

import trainqueue
from trainqueue import wire
from trainqueue.errors import RequestError
from trainqueue.jobinfo import Job

if TYPE_CHECKING:
    from trainqueue.client import Client


def test_a_job_has_exactly_the_fields_of_the_wire(client: Client) -> None:
    job = client.submit([{"command": ["true"], "cwd": "/", "hold": True, "retries": {"exit": 2}, "grace": 3}])[0]["id"]
    shown = client.call("status", job=job)["job"]
    assert {*Job.__struct_fields__} == shown.keys()
    assert msgspec.json.decode(msgspec.json.encode(client.status(job))) == shown


def test_it_has_a_method_for_each_op_of_the_wire() -> None:
    names = {name.rstrip("_") for name in vars(trainqueue.Client)}
    assert {*wire.OPS} <= names


def test_what_is_said_of_the_whole_queue_and_its_gpus(client: Client) -> None:
    [job] = client.submit([{"command": ["sleep", "1000"], "cwd": "/"}])  # else the drain would be over at once
    assert client.pause() == {"paused": True, "draining": False}
    assert client.drain() == {"paused": True, "draining": True}
    assert client.resume() == {"paused": False, "draining": False}
    [gpu] = client.gpus()
    assert client.disable([gpu["id"]])[0]["enabled"] is False
    assert client.enable([0])[0]["enabled"] is True
    assert sum(client.stats()["counts"].values()) == 1
    client.cancel([job["id"]], force=True)


def test_output_over_retries(client: Client) -> None:
    program = "echo $TRAINQ_ATTEMPT; test $TRAINQ_ATTEMPT = 2"
    spec = {"command": ["sh", "-c", program], "cwd": "/", "retries": {"exit": 1}}
    assert b"".join(client.output(client.submit([spec])[0]["id"])) == b"1\n2\n"


def test_a_job_cannot_move_before_one_that_has_ended(client: Client) -> None:
    ended, held = (job["id"] for job in client.submit([{"command": ["true"], "cwd": "/", "hold": True}] * 2))
    client.cancel([ended])
    with pytest.raises(RequestError, match=f"job {ended} is cancelled") as refusal:
        client.call("move", job=held, before=ended)
    assert refusal.value.code == "conflict"
