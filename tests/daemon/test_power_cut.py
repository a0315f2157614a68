"""The power is cut at any moment: what was acknowledged is on the disk, and jobs end truly or say that they are lost.

Once on a real ext4 that is shut down without a flush, and once on every prefix of the write-ahead log, which is all
that a disk may have of it: what was not synced may be there or not, in whole frames or cut in the middle of one.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import signal
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from house import House
from runner.conftest import adopt_orphans, children_of, left_over
from support import Daemon, PowerDisk, wait_until

from trainqueue.client import Client
from trainqueue.errors import TrainqError
from trainqueue.home import Home
from trainqueue.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CUTS, CLIENTS = 3, 4
LONG = 1.0
"""Seconds: a job that had run for longer when the power was cut must not run again as the same attempt."""
FRAME, HEADER = 24 + 4096, 32
"""Bytes of a frame of the write-ahead log (its own header and a page), and of the log's header."""


@dataclass(slots=True)
class Promises:
    """What clients have been told, by job id."""

    codes: dict[int, int] = field(default_factory=dict[int, int])
    keys: dict[str, int] = field(default_factory=dict[str, int])
    asked: set[int] = field(default_factory=set[int])
    """Those whose cancel was asked for, answered or not."""
    cancelled: set[int] = field(default_factory=set[int])
    held: set[int] = field(default_factory=set[int])
    runs: Path | None = None
    """Where each job says that it begins: "JOB ATTEMPT TIME". On a disk that keeps its power."""
    cuts: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When the disk's power was cut, and when nothing ran any more, in seconds since 1970."""
    dark: bool = False
    """The power is being cut, which takes a moment here: what is answered by now nobody has seen."""

    def submit(self, client: Client, code: int, seconds: float = 0.01, **fields: Any) -> int:
        key = uuid.uuid4().hex
        stamp = f"echo $TRAINQ_JOB_ID $TRAINQ_ATTEMPT $(date +%s.%N) >> {self.runs or os.devnull}"
        command = ["sh", "-c", f"{stamp}; sleep $1; exit $0", str(code), str(seconds)]
        job: int = client.submit([{"command": command, "cwd": "/", **fields}], key=key)[0]["id"]
        if not self.dark:
            self.codes[job] = code
            self.keys[key] = job
        return job

    def change(self, client: Client, job: int) -> None:
        """A hold or a cancel, if it still waits."""
        [held] = client.call("hold", jobs=[job])["jobs"]
        if held["ok"] and not self.dark:
            self.held.add(job)
        if held["ok"] and job % 2:
            self.held.discard(job)
            self.asked.add(job)
            [cancelled] = client.call("cancel", jobs=[job])["jobs"]
            if cancelled["state"] == "cancelled" and not self.dark:
                self.cancelled.add(job)

    def started(self) -> dict[tuple[int, int], list[float]]:
        """When each attempt began, each time."""
        found: dict[tuple[int, int], list[float]] = {}
        assert self.runs is not None
        for line in self.runs.read_text(encoding="ascii").splitlines():
            job, attempt, at = line.split()
            found.setdefault((int(job), int(attempt)), []).append(float(at))
        return found

    def ran_once(self) -> None:
        """But for those that had only just begun when the power was cut."""
        for key, times in self.started().items():
            for at in times[:-1]:
                assert min(cut for cut, over in self.cuts if over > at) - at < LONG, (key, times, self.cuts)

    def kept(self, client: Client) -> None:
        for key, job in self.keys.items():
            assert client.submit([{"command": ["false"], "cwd": "/"}], key=key)[0]["id"] == job
        assert {client.status(job).state for job in self.cancelled} <= {"cancelled"}
        for job in self.held:
            assert client.status(job).why_code == "held"

    def true(self, client: Client) -> None:
        """Every job ends as it must, or says that nobody knows."""
        client.call("release", jobs=[*self.codes])
        self.held.clear()
        for job in client.wait([*self.codes], 60):
            how, expected = ending(job.state, job.cause, job.exit_code), told(self.codes[job.id])
            assert how in {CANCELLED, LOST, expected}, job
            assert how != CANCELLED or job.id in self.asked, job
            assert how == CANCELLED or job.id not in self.cancelled, job


CANCELLED, LOST = ("cancelled", "user", None), ("lost", "reboot", None)


def ending(state: str, cause: str | None, code: int | None) -> tuple[str, str | None, int | None]:
    return (state, cause, code)


def told(code: int) -> tuple[str, str | None, int | None]:
    return ("failed", "exit", code) if code else ("completed", None, 0)


def until_dark(home: Home, promises: Promises, dice: random.Random) -> None:
    """A client that goes on until nobody answers it any more, or says no."""
    with contextlib.suppress(TrainqError), Client(home, timeout=1) as client:
        while not promises.dark:
            job = promises.submit(client, dice.randrange(3), priority=dice.choice(["normal", "low"]))
            if dice.random() < 0.3:
                promises.change(client, job)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerDisk]:
    made, before = PowerDisk(tmp_path / "disk"), children_of(os.getpid())
    adopt_orphans(1)
    yield made
    end_all(before)
    adopt_orphans(0)
    made.unmount()


def end_all(before: set[int]) -> None:
    """Whatever a daemon has started; the power is off."""

    def look() -> bool:
        with contextlib.suppress(FileNotFoundError):  # a thread of ours has ended meanwhile
            left = left_over(before)
            for child in left:
                os.kill(child, signal.SIGKILL)
            return not left
        return False

    wait_until(look)


def test_the_power_of_a_real_disk_is_cut(disk: PowerDisk, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice, before = random.Random(seed), children_of(os.getpid())
    daemon, promises = Daemon(Home(disk.folder / "home")), Promises(runs=tmp_path / "runs")
    (tmp_path / "runs").touch()
    for number in range(CUTS):
        daemon.home.path.mkdir(mode=0o700, exist_ok=True)
        daemon.boot(f"{number}")
        daemon.start()
        if number:
            with Client(daemon.home) as client:
                promises.kept(client)
                promises.true(client)
        threads = [
            threading.Thread(target=until_dark, args=(daemon.home, promises, random.Random(dice.random())))
            for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        known = len(promises.codes)
        wait_until(partial(more_than, promises, known + dice.randrange(40)))
        promises.dark = True
        disk.cut()
        cut = time.time()
        daemon.kill()
        for thread in threads:
            thread.join(30)
        end_all(before)
        promises.cuts.append((cut, time.time()))
        disk.unmount()
        assert disk.mount()
        promises.dark = False
    daemon.start()
    with Client(daemon.home) as client:
        promises.kept(client)
        promises.true(client)
    promises.ran_once()
    assert daemon.stop() == 0
    assert len(promises.codes) > CUTS * CLIENTS


def test_a_job_that_was_seen_to_run_is_lost_and_not_run_again(disk: PowerDisk, tmp_path: Path) -> None:
    """Nothing else is written meanwhile, which would take its claim to the disk by the way."""
    before, daemon, promises = children_of(os.getpid()), Daemon(Home(disk.folder / "home")), Promises()
    promises.runs = tmp_path / "runs"
    promises.runs.touch()
    daemon.home.path.mkdir(mode=0o700)
    daemon.boot("first")
    daemon.start()
    with Client(daemon.home) as client:
        job = promises.submit(client, 0, seconds=60)
    wait_until(partial(runs_long, promises, job))
    disk.cut()
    daemon.kill()
    end_all(before)
    disk.unmount()
    assert disk.mount()
    daemon.boot("second")
    daemon.start()
    with Client(daemon.home) as client:
        [found] = client.wait([job], 5)
        assert ending(found.state, found.cause, found.exit_code) == LOST
    assert len(promises.started()[job, 1]) == 1
    assert daemon.stop() == 0


def runs_long(promises: Promises, job: int) -> bool:
    """Whether it has run for so long that it must not run again."""
    [began] = promises.started().get((job, 1), [math.inf])
    return time.time() > began + 1.1 * LONG


def more_than(promises: Promises, jobs: int) -> bool:
    return len(promises.codes) > jobs


# -- every prefix of the log


@dataclass(slots=True)
class Cut:
    """A home as it may be found: the log's first `size` bytes, and what had been promised by then."""

    home: Home
    wal: bytes
    promised: list[tuple[int, str, int]]
    """(size of the log when it was acknowledged, key, job)"""

    def sizes(self) -> list[int]:
        """Every frame's end, and the middle of every frame, behind the first promise."""
        first = self.promised[0][0]
        ends = range(HEADER + FRAME, len(self.wal) + 1, FRAME)
        return [at for end in ends for at in (end - FRAME // 2, end) if at >= first]

    def at(self, size: int, folder: Path, tail: bytes = b"") -> Home:
        """A home of its own; behind `size` lies what a torn write may leave."""
        made = Home(folder)
        made.prepare()
        shutil.copy(self.home.database, made.database)
        made.database.with_name("trainq.db-wal").write_bytes(self.wal[:size] + tail)
        return made

    def promises(self, size: int) -> dict[str, int]:
        return {key: job for at, key, job in self.promised if at <= size}


@pytest.fixture
def past(home: Home) -> Cut:
    """A daemon that was killed after some jobs had been submitted, one by one while others ran and ended."""
    daemon, promises, promised = Daemon(home), Promises(), list[tuple[int, str, int]]()
    wal = home.database.with_name("trainq.db-wal")
    daemon.start()
    with Client(home) as client:
        for number in range(12):
            job = promises.submit(client, number % 3)
            promised.append((wal.stat().st_size, [*promises.keys][-1], job))
        client.wait([*promises.codes], 20)
    daemon.kill()
    cut = Cut(home, wal.read_bytes(), promised)
    assert home.database.stat().st_size < 100_000, "the log was folded into the database meanwhile"
    return cut


@pytest.mark.parametrize("each", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "all"])
def test_every_prefix_of_the_log_holds_what_was_acknowledged(past: Cut, tmp_path: Path, each: int) -> None:
    """Every fifth, from another one on each time, so whole frames and halves in turn; all of them in the soak."""
    assert len(past.sizes()) > 100
    for at, size in enumerate(past.sizes()[random.randrange(each) :: each]):
        torn = past.wal[size : size + 200] + bytes(FRAME) + past.wal[size + FRAME :]
        made = past.at(size, tmp_path / "cut", torn if at % 2 else b"")
        journal = Journal(made.database)
        for key, job in past.promises(size).items():
            assert journal.answer_to(key) is not None, (size, job)
            assert journal.job(job) is not None, (size, job)
        journal.close()
        shutil.rmtree(made.path)


@pytest.mark.parametrize("records", [True, False], ids=["records there", "no record or claim"])
def test_a_daemon_on_a_prefix_of_the_log(past: Cut, tmp_path: Path, *, records: bool) -> None:
    """Jobs end as they must, or are lost; with the records, which are synced, none of those that had ended is."""
    sizes = past.sizes()
    for at, size in enumerate(sizes[:: len(sizes) // 6]):
        made = past.at(size, tmp_path / f"cut-{at}")
        if records:
            shutil.copytree(past.home.path / "jobs", made.path / "jobs", dirs_exist_ok=True)
        house = House(made)
        house.boot = "the next"
        house.start()
        for job in past.promises(size).values():
            wait_until(partial(has_ended, house, job))
            found = house.status(job)
            how = ending(found["state"], found["cause"], found["exit_code"])
            assert how == told((job - 1) % 3) or (how == LOST and not records), found
        house.close()


def has_ended(house: House, job: int) -> bool:
    return house.status(job)["ended_at"] is not None
