"""Jobs with a limit of the machine's memory, through a real daemon: really limited where the machine lets us."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import Cli

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from support import Daemon

    from trainqueue.client import Client

MEBI = 2**20
GREEDY = (sys.executable, "-c", "held = bytearray(b'x') * (300 << 20); print(len(held))")


def job(**fields: Any) -> dict[str, Any]:
    return {"command": ["true"], "cwd": "/", "gpus": 0, **fields}


def test_really(client: Client) -> None:
    trouble = client.ping()["memory_trouble"]
    if trouble is not None:
        pytest.skip(trouble)
    small, large = (job(command=GREEDY, memory_limit=limit * MEBI) for limit in (100, 1000))
    [one, other] = [made["id"] for made in client.submit([small, large])]
    limited, free = client.wait([one, other], 60)
    assert (limited.state, limited.cause, limited.signal) == ("failed", "out-of-memory", 9)
    assert (limited.message or "").startswith("host memory ran out: it used all of its memory_limit of 100 MiB")
    assert free.state == "completed"


def test_where_it_cannot_be_it_is_refused_with_the_reason(client: Client) -> None:
    trouble = client.ping()["memory_trouble"]
    if trouble is None:
        pytest.skip("this machine can limit memory")
    with pytest.raises(RequestError) as refused:
        client.submit([job(), job(memory_limit=MEBI)])
    assert refused.value.message == f"$.jobs[1].memory_limit: {trouble}"
    [held] = client.submit([job(hold=True)])
    with pytest.raises(RequestError) as refused:
        client.call("edit", job=held["id"], set={"memory_limit": MEBI})
    assert refused.value.message == f"$.set.memory_limit: {trouble}"


def test_doctor_says_what_the_daemon_has_found(daemon: Daemon, client: Client) -> None:
    trouble = client.ping()["memory_trouble"]
    [found] = [finding for finding in Cli(daemon).json("doctor") if finding["check"] == "memory"]
    said = "; ".join(filter(None, (found["what"], found["advice"])))
    assert (found["result"], said) == ("ok", trouble or "a job's memory can be limited (submit --memory)")


def test_the_option_means_the_field(daemon: Daemon, client: Client) -> None:
    done = Cli(daemon)("submit", "--memory", "512MiB", "--hold", "--", "true")
    if client.ping()["memory_trouble"] is None:
        assert client.status(int(done.stdout)).memory_limit == 512 * MEBI
    else:
        assert (done.returncode, "--memory: this machine cannot" in done.stderr) == (1, True)
