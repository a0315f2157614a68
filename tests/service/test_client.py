"""The Python client against a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from trainqueue.errors import RequestError
from trainqueue.jobinfo import Job

if TYPE_CHECKING:
    from trainqueue.client import Client


def test_a_job_has_exactly_the_fields_of_the_wire(client: Client) -> None:
    job = client.submit([{"command": ["true"], "cwd": "/", "hold": True, "retries": {"exit": 2}, "grace": 3}])[0]["id"]
    shown = client.call("status", job=job)["job"]
    assert {*Job.__struct_fields__} == shown.keys()
    assert msgspec.json.decode(msgspec.json.encode(client.status(job))) == shown


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
