"""Retries, from outside: resume arguments, delays, and a daemon that is killed while one waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support import wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from support import Daemon


def test_resume_args_from_the_second_attempt_on(client: Client) -> None:
    command = ["sh", "-c", 'echo "$TRAINQ_ATTEMPT$TRAINQ_RESUME:$*"; exit 3', "sh", "--lr", "1"]
    spec = {"command": command, "cwd": "/", "retries": {"exit": 1}, "resume_args": ["--resume", "a b"]}
    [job] = client.submit([spec])
    ended = client.wait([job["id"]], 20)[0]
    assert (ended.attempt, ended.exit_code) == (2, 3)
    assert client.log(job["id"], attempt=1)["data"] == b"1:--lr 1\n"
    assert client.log(job["id"], attempt=2)["data"] == b"21:--lr 1 --resume a b\n"


def test_a_wait_survives_kill_9_and_ends_with_retry(daemon: Daemon) -> None:
    spec = {"command": ["false"], "cwd": "/", "retries": {"exit": 1}, "retry_delay": 3600.0}
    with Client(daemon.home) as client:
        job = client.submit([spec])[0]["id"]
        wait_until(lambda: client.status(job).why_code == "backoff")
        until = client.status(job).why
    daemon.kill()
    daemon.start()
    with Client(daemon.home) as client:
        shown = client.status(job)
        assert (shown.why_code, shown.attempt) == ("backoff", 2)
        assert shown.why is not None
        assert shown.why.startswith("attempt 2 of at most 2 starts in ")
        assert re.fullmatch(r"attempt .*, at (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", shown.why)
        assert shown.why.split(" at ")[-1] == (until or "").split(" at ")[-1]
        assert client.verb("retry", [job])[0]["ok"]
        assert client.wait([job], 20)[0].attempt == 2


def test_the_clients_retry_and_copy(client: Client) -> None:
    job = client.submit([{"command": ["false"], "cwd": "/"}])[0]["id"]
    client.wait([job], 20)
    assert client.retry([job], set={"command": ["true"]})[0]["ok"]
    assert client.wait([job], 20)[0].state == "completed"
    [made] = client.copy([job], set={"name": "copied"})
    assert client.wait([made["id"]], 20)[0].name == "copied"
