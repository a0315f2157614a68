"""The whole service inside this process: real runners, real sockets, a real journal."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from trainqueue import Queue
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    before = threading.active_count()
    with Queue(home=tmp_path / "home") as made:
        yield made
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(5)  # a trainer may be a moment behind
    assert threading.active_count() == before


def test_exit_codes_are_true(queue: Queue) -> None:
    jobs = [queue.submit(["sh", "-c", f"exit {code}"]) for code in range(20)]
    assert [job.wait(30).exit_code for job in jobs] == [*range(20)]


def test_an_unknown_program_fails_with_a_line_in_its_log(queue: Queue) -> None:
    job = queue.submit(["no-such-program"]).wait(10)
    assert (job.state, job.cause) == ("failed", "start-failed")
    assert b"no-such-program" in queue.client.log(job.id)["data"]


def test_cancel_leaves_nobody_behind(queue: Queue, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        f"    open({str(pids)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(100)\n"
    )
    job = queue.submit([sys.executable, "-c", program], grace=0.2)
    events = queue.client.follow(patience=0.02)
    for _ in range(500):
        next(events)
        if pids.exists() and pids.read_text():
            break
    events.close()
    job.cancel()
    assert job.wait(10).state == "cancelled"
    stat = f"/proc/{pids.read_text()}/stat"
    with pytest.raises(FileNotFoundError):
        open(stat)  # noqa: PTH123, SIM115


def test_time_limit(queue: Queue) -> None:
    job = queue.submit(["sleep", "100"], time_limit=0.2, grace=0.1).wait(10)
    assert (job.state, job.cause) == ("failed", "time-limit")


def test_a_refusal_names_the_field_and_changes_nothing(queue: Queue) -> None:
    with pytest.raises(RequestError, match=r"\$\.jobs\[0\]\.gpus"):
        queue.client.submit([{"command": ["true"], "cwd": "/", "gpus": "two"}])
    assert queue.client.jobs() == ([], False)


def test_a_second_queue_joins_the_first(queue: Queue) -> None:
    with Queue(home=queue.home.path) as second:
        job = second.submit(["true"])
        assert job.wait(10).state == "completed"
    assert queue.client.status(job.id).state == "completed"


def test_running_jobs_are_adopted(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Queue(home=tmp_path / "home") as first:
        job = first.submit(["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 7"])
        waiting = first.submit(["true"])
        events = first.client.follow(patience=0.02)
        for _ in range(500):
            next(events)
            if job.status().state == "running":
                break
        events.close()
    gate.touch()
    with Queue(home=tmp_path / "home") as second:
        ended = second.client.wait([job.id, waiting.id], 10)
    assert [(each.state, each.exit_code) for each in ended] == [("failed", 7), ("completed", 0)]
