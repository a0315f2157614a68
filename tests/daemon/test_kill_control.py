"""kill -9 of the daemon at any moment around suspend, continue, preempt, retry and copy: what was answered holds."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from support import wait_until

from trainqueue.client import Client
from trainqueue.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Daemon

SAVES = "trap 'echo saved; exit 7' TERM; echo began; while :; do sleep 0.02; done"
KILLS = 4


def stopped(pid: int | None) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] in "TD"
    return False


def killed_during(daemon: Daemon, dice: random.Random, ask: Callable[[Client], object]) -> bool:
    """Whether it was answered; the daemon dies a moment after it was asked, and lives again."""
    timer = threading.Timer(dice.choice([0.0, 0.001, 0.003, 0.01, 0.1]), daemon.kill)
    timer.start()
    answered = False
    with Client(daemon.home, timeout=5) as client, contextlib.suppress(DaemonError):
        ask(client)
        answered = True
    timer.join()
    daemon.start()
    return answered


def saved_once(client: Client, job: int, attempt: int) -> bool:
    words = client.log(job, attempt=attempt)["data"].split()
    return bool((words.count(b"began"), words.count(b"saved")) == (1, 1))


def test_suspension_and_processes_agree_after_each_kill(daemon: Daemon) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Client(daemon.home) as client:
        job = client.submit([{"command": ["sh", "-c", SAVES], "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
    wanted = False
    for _ in range(KILLS):
        wish = not wanted
        verb = "suspend" if wish else "continue"
        answered = killed_during(daemon, dice, lambda client, verb=verb: client.verb(verb, [job]))  # type: ignore[misc]
        with Client(daemon.home) as client:
            shown = client.status(job)
            assert shown.state == "running"
            assert shown.suspended == wish or not answered
            wanted = shown.suspended
            wait_until(lambda pid=shown.pid, wanted=wanted: stopped(pid) == wanted)  # type: ignore[misc]
    with Client(daemon.home) as client:
        client.cancel([job])
        ended = client.wait([job], 20)[0]
        assert (ended.state, ended.exit_code) == ("cancelled", 7)
        assert saved_once(client, job, 1)


def test_preemptions_under_kills_lose_and_repeat_no_attempt(daemon: Daemon) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Client(daemon.home) as client:
        job = client.submit([{"command": ["sh", "-c", SAVES], "cwd": "/", "resume_args": ["x"]}])[0]["id"]
    for _ in range(KILLS):
        with Client(daemon.home) as client:
            wait_until(lambda client=client: client.status(job).state == "running")  # type: ignore[misc]
            before = client.status(job).attempt
            wait_until(lambda client=client, n=before: client.log(job, attempt=n)["data"] == b"began\n")  # type: ignore[misc]
        answered = killed_during(daemon, dice, lambda client: client.preempt([job]))
        with Client(daemon.home) as client:
            if answered or client.status(job).preempting:
                wait_until(lambda client=client, n=before: client.status(job).attempt == n + 1)  # type: ignore[misc]
            else:
                assert client.status(job).attempt in {before, before + 1}
    with Client(daemon.home) as client:
        client.cancel([job])
        ended = client.wait([job], 20)[0]
        assert ended.state == "cancelled"
        for number in range(1, ended.attempt):
            assert saved_once(client, job, number)
        assert [one["attempt"] for one in client.attempts(job)] == [*range(1, ended.attempt + 1)]


def test_what_was_answered_of_copies_and_retries_holds(daemon: Daemon) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Client(daemon.home) as client:
        job = client.submit([{"command": ["false"], "cwd": "/", "name": "0"}])[0]["id"]
        client.wait([job], 20)
    for turn in range(1, KILLS - 1):
        name, key = str(turn), f"key {turn}"
        attempt = turn

        def ask(client: Client, name: str = name, key: str = key) -> None:
            client.call("copy", jobs=[job], set={"hold": True, "name": name}, key=key)
            client.retry([job], set={"name": name})

        answered = killed_during(daemon, dice, ask)
        with Client(daemon.home) as client:
            [copied] = client.copy([job], set={"hold": True, "name": name}, key=key)
            assert copied["id"] == job + turn, "once, whoever died meanwhile"
            if not answered and client.status(job).name != name:
                client.retry([job], set={"name": name})
            ended = client.wait([job], 20)[0]
            assert (ended.name, ended.attempt) == (name, attempt + 1)
