"""Every verb on a job in every state, from outside: what it answers, and that nothing changes where it refuses."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.errors import RequestError
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

DEAF = """
import signal, time
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(999)
"""
WAITING = ("queued", "held", "dependent", "early", "backoff")
LIVING = ("running", "suspended", "preempting", "stopping")
ENDED = ("completed", "failed", "cancelled", "lost")
TICKING = {
    *("run_time", "gpu_seconds", "waited", "why"),
    *("expected_start_at", "expected_start_range", "expected_end_at", "expected_end_range", "expected_gpu_ids"),
}
"""Fields that change by themselves."""
STATES = (*WAITING, *LIVING, *ENDED)
"""States of the contract, told apart where verbs might."""
POSSIBLE: dict[str, tuple[str, ...]] = {
    "cancel": (*WAITING, *LIVING),
    "hold": WAITING,
    "release": WAITING,
    "move": WAITING,
    "edit": WAITING,
    "retry": (*ENDED, "backoff"),
    "copy": STATES,
    "signal": ("running", "suspended", "preempting"),
    "suspend": ("running", "suspended"),
    "continue": ("running", "suspended", "preempting"),
    "preempt": ("running", "suspended", "preempting"),
    "status": STATES,
    "log": STATES,
}
FIELDS: dict[str, dict[str, Any]] = {
    "move": {"to": "front"},
    "edit": {"set": {"name": "another"}},
    "signal": {"signal": "WINCH"},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Generator[Daemon]:
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "trainq.toml").write_text("[gpus]\ncpu_jobs = 500\n", encoding="utf-8")
    made = Daemon(Home(folder / "home"))
    made.env["TRAINQ_CONFIG"] = str(folder / "trainq.toml")
    made.start()
    with Client(made.home) as trainq:
        submit(trainq, "sleep", "999", gpus=1)  # on cpu:0, so that others wait
    yield made
    with Client(made.home) as trainq:
        trainq.call("pause")
        trainq.cancel([job["id"] for job in trainq.queue()["running"]], force=True)
        wait_until(lambda: not trainq.queue()["running"])
        trainq.shutdown()
    assert made.process is not None
    made.process.wait(30)


def submit(trainq: Client, *command: str, **fields: Any) -> int:
    spec = {"command": [*command], "cwd": "/", "gpus": 0, "grace": 500.0, **fields}
    made: int = trainq.submit([spec])[0]["id"]
    return made


def runs(trainq: Client, *command: str, **fields: Any) -> int:
    job = submit(trainq, *command, **fields)
    wait_until(lambda: trainq.status(job).state == "running")
    return job


def deaf(trainq: Client, op: str) -> int:
    """Asked to end, and it does not."""
    job = runs(trainq, sys.executable, "-c", DEAF)
    wait_until(lambda: trainq.log(job)["data"] == b"deaf\n")
    assert trainq.verb(op, [job])[0]["ok"]
    return job


def ends(trainq: Client, *command: str, **fields: Any) -> int:
    job = submit(trainq, *command, **fields)
    trainq.wait([job], 20)
    return job


def suspended(trainq: Client) -> int:
    job = runs(trainq, "sleep", "999")
    assert trainq.verb("suspend", [job])[0]["ok"]
    wait_until(lambda: trainq.status(job).suspended)
    return job


def waits_to_retry(trainq: Client) -> int:
    job = submit(trainq, "false", retries={"exit": 1}, retry_delay=900.0)
    wait_until(lambda: trainq.status(job).why_code == "backoff")
    return job


def cancelled(trainq: Client) -> int:
    job = submit(trainq, "true", hold=True)
    assert trainq.cancel([job])[0]["ok"]
    return job


def lost(trainq: Client) -> int:
    job = runs(trainq, "sleep", "999")
    stat = Path(f"/proc/{trainq.status(job).pid}/stat").read_text(encoding="ascii")
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)  # its parent is the runner
    trainq.wait([job], 20)
    return job


MAKE: dict[str, Callable[[Client], int]] = {
    "queued": lambda trainq: submit(trainq, "true", gpus=1),
    "held": lambda trainq: submit(trainq, "true", hold=True),
    "dependent": lambda trainq: submit(trainq, "true", after=[submit(trainq, "true", hold=True)]),
    "early": lambda trainq: submit(trainq, "true", not_before=4e9),
    "backoff": waits_to_retry,
    "running": lambda trainq: runs(trainq, "sleep", "999"),
    "suspended": suspended,
    "preempting": lambda trainq: deaf(trainq, "preempt"),
    "stopping": lambda trainq: deaf(trainq, "cancel"),
    "completed": lambda trainq: ends(trainq, "true"),
    "failed": lambda trainq: ends(trainq, "false"),
    "cancelled": cancelled,
    "lost": lost,
}


def ask(trainq: Client, op: str, job: int) -> str:
    """The code of its refusal, or "ok"."""
    one = op in {"move", "edit", "status", "log"}
    request: dict[str, Any] = {"job": job} if one else {"jobs": [job]}
    try:
        found = trainq.call(op, **request, **FIELDS.get(op, {}))
    except RequestError as refusal:
        return refusal.code
    answer: dict[str, Any] = {} if one or op == "copy" else found["jobs"][0]
    return "ok" if answer.get("ok", True) else str(answer["error"]["code"])


@pytest.mark.parametrize("state", STATES)
def test_every_verb_on_a_job_that_is(state: str, daemon: Daemon) -> None:
    with Client(daemon.home) as trainq:
        job = MAKE[state](trainq)
        for op, possible in POSSIBLE.items():
            before = trainq.call("status", job=job)["job"]
            answer = ask(trainq, op, job)
            assert answer == ("ok" if state in possible else "conflict"), (op, state)
            if answer != "ok":
                assert settled(trainq.call("status", job=job)["job"]) == settled(before), (op, state)
            elif op not in {"status", "log", "copy"}:
                job = MAKE[state](trainq)  # it is in another state now


def settled(job: dict[str, Any]) -> dict[str, Any]:
    """Without what changes by itself."""
    return {field: value for field, value in job.items() if field not in TICKING}


@pytest.mark.parametrize("op", POSSIBLE)
def test_every_verb_on_a_job_that_nobody_knows(op: str, daemon: Daemon) -> None:
    with Client(daemon.home) as trainq:
        assert ask(trainq, op, 2**40) == "not-found"
