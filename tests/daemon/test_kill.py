"""kill -9 at any moment: nothing acknowledged is lost, nothing runs twice, nothing overlaps, codes are true."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.errors import DaemonError

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home
    from trainqueue.jobinfo import Job

JOBS, CLIENTS, KILLS = 160, 16, 7
PROGRAM = 'now() { date +%s%N; }; s=$(now); sleep 0.005; echo "$TRAINQ_JOB_ID $s $(now) $0" >> stamps; exit $0'


def submit_all(home: Home, folder: Path, numbers: list[int], acknowledged: dict[int, int]) -> None:
    """One client; repeats a request under its key until it is acknowledged, whoever dies meanwhile."""
    with Client(home, timeout=1) as client:
        for number in numbers:
            key = uuid.uuid4().hex
            command = ["sh", "-c", PROGRAM, str(number % 256)]
            job: dict[str, object] = {"command": command, "cwd": str(folder), "priority": priority(number)}
            job_id: list[int] = []
            wait_until(partial(tried, client, job, key, job_id), 60)
            acknowledged[number] = job_id[0]


def priority(number: int) -> str:
    """Some pass others, so that a job that is armed does not follow the one with the number before."""
    return "high" if number % 5 == 0 else "normal"


def tried(client: Client, job: dict[str, object], key: str, job_id: list[int]) -> bool:
    try:
        job_id.append(client.submit([job], key=key)[0]["id"])
    except DaemonError:
        return False
    return True


def test_many_jobs_under_kills(home: Home, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice, acknowledged, daemon = random.Random(seed), dict[int, int](), Daemon(home)
    daemon.start()
    clients = [
        threading.Thread(target=submit_all, args=(home, tmp_path, [*range(at, JOBS, CLIENTS)], acknowledged))
        for at in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        threading.Event().wait(dice.uniform(0.0, 0.25))
        daemon.kill()
        daemon.start()
    for client in clients:
        client.join(60)
    with Client(home) as trainq:
        ended = trainq.wait([*acknowledged.values()], 60)
    assert daemon.stop() == 0
    check(ended, acknowledged, (tmp_path / "stamps").read_text(encoding="ascii"))


def check(ended: list[Job], acknowledged: dict[int, int], stamps: str) -> None:
    assert len(acknowledged) == JOBS
    assert len({*acknowledged.values()}) == JOBS
    codes = {job.id: job.exit_code for job in ended}
    assert codes == {job: number % 256 for number, job in acknowledged.items()}
    rows = [[int(word) for word in line.split()] for line in stamps.splitlines()]
    assert Counter(row[0] for row in rows) == dict.fromkeys(acknowledged.values(), 1)
    rows.sort(key=lambda row: row[1])
    assert all(before[2] <= after[1] for before, after in pairwise(rows))
    high = {job for number, job in acknowledged.items() if priority(number) == "high"}
    for band in (high, {*codes} - high):
        started = [row[0] for row in rows if row[0] in band]
        assert started == sorted(started)
