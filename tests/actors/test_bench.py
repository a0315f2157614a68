"""The armourer and the bench with real runners: who is idle, spare, armed, and what becomes of each."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from house import Told, gated
from runner.conftest import adopt_orphans, children_of, left_over
from support import wait_until

from trainqueue import wire
from trainqueue.actor import stop_and_join
from trainqueue.armourer import IDLE, MOST_SPARE, Armourer
from trainqueue.bench import MAX_ARMED
from trainqueue.launch.nursery import Nursery
from trainqueue.messages.runners import Arm, Armed, ArmFailed, Spare, Warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pykka
    from house import House

    from trainqueue.launch.local import Runner


class Arming:
    """An armourer, the arbiter that it tells, and its nursery."""

    def __init__(self, arbiter: Told, home: Path) -> None:
        self.arbiter, self.home = arbiter, home
        self.crashes: list[BaseException | None] = []
        self.nursery = Nursery()
        self.ref: pykka.ActorRef[Armourer] = Armourer.start(arbiter.ref, self.nursery, self.crashes.append)

    def arm(self, number: int) -> None:
        log = str(self.home / f"log-{number}")
        handed: dict[str, Any] = {"argv": ["true"], "cwd": "/", "log": log, "grace": 1.0, "env": {"PATH": os.defpath}}
        self.ref.tell(Arm(number, 1, self.home / str(number) / "attempt-1", handed))

    def armed(self, number: int) -> Runner:
        def found() -> list[Armed]:
            return [message for message in self.arbiter.of(Armed) if message.job == number]

        wait_until(found)
        return found()[0].runner


@pytest.fixture
def arming(arbiter: Told, tmp_path: Path) -> Iterator[Arming]:
    before = children_of(os.getpid())
    adopt_orphans(1)
    made = Arming(arbiter, tmp_path)
    yield made
    stop_and_join(made.ref, 5)
    for message in arbiter.of(Armed):
        message.runner.close()
    arbiter.messages.clear()
    wait_until(lambda: not left_over(before))
    adopt_orphans(0)
    assert not made.crashes


def hears(runner: Runner, name: str) -> None:
    """Wait for this packet."""

    def heard() -> bool:
        packet = runner.receive()
        assert packet != {}, "the runner has left"
        return packet is not None and name in packet

    wait_until(heard)


def ended(runner: Runner) -> None:
    runner.go({}, stay=True)
    hears(runner, "free")


def runners(arming: Arming) -> set[int]:
    """The pids of all that the nursery has forked and that live."""
    return children_of(arming.nursery._pid)


def test_an_armed_runner_comes_with_its_folder(arming: Arming) -> None:
    arming.arm(1)
    runner = arming.armed(1)
    assert (arming.home / "1" / "attempt-1").is_dir()
    hears(runner, "armed")
    ended(runner)
    assert (arming.home / "1" / "attempt-1" / "exit").exists()


def test_a_spare_runner_is_used_first(arming: Arming) -> None:
    arming.arm(1)
    first = arming.armed(1)
    ended(first)
    arming.ref.tell(Spare(first))
    arming.arm(2)
    assert arming.armed(2) is first
    ended(first)


def test_a_spare_runner_that_has_died_is_passed_over(arming: Arming) -> None:
    arming.arm(1)
    first = arming.armed(1)
    ended(first)
    first.signal(signal.SIGKILL)
    assert first.gone(5)
    arming.ref.tell(Spare(first))
    arming.arm(2)
    second = arming.armed(2)
    assert second.pid != first.pid
    ended(second)


def test_idle_runners_that_have_died_are_passed_over(arming: Arming) -> None:
    arming.ref.tell(Warm())
    wait_until(lambda: arming.nursery._pid and len(runners(arming)) == IDLE)
    for pid in runners(arming):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not runners(arming))
    arming.arm(1)
    ended(arming.armed(1))


def test_a_nursery_that_has_died_is_followed_by_another(arming: Arming) -> None:
    arming.arm(1)
    ended(arming.armed(1))
    os.kill(arming.nursery._pid, signal.SIGKILL)
    for number in range(2, 2 + IDLE + 2):
        arming.arm(number)
        ended(arming.armed(number))
    assert not arming.arbiter.of(ArmFailed)


def test_spare_ones_beyond_the_most_are_let_go(arming: Arming) -> None:
    for number in range(MOST_SPARE + 3):
        arming.arm(number + 1)
    carried = [arming.armed(number + 1) for number in range(MOST_SPARE + 3)]
    for runner in carried:
        ended(runner)
        arming.ref.tell(Spare(runner))
    wait_until(lambda: len(runners(arming) & {runner.pid for runner in carried}) <= MOST_SPARE)


def test_what_the_machine_refuses_is_told(arming: Arming) -> None:
    (arming.home / "1").touch()  # a file where the job's folder should be
    arming.arm(1)
    assert arming.arbiter.hear(ArmFailed).job == 1
    arming.arm(2)
    ended(arming.armed(2))


def test_all_that_is_idle_leaves_with_it(arming: Arming) -> None:
    arming.arm(1)
    first = arming.armed(1)
    ended(first)
    arming.ref.tell(Spare(first))
    arming.ref.tell(Warm())
    wait_until(lambda: len(runners(arming)) >= IDLE)
    stop_and_join(arming.ref, 5)
    wait_until(lambda: not children_of(os.getpid()) or not left_over(set()))


def test_nobody_to_tell(arming: Arming) -> None:
    arming.arbiter.close()
    arming.arm(1)
    wait_until((arming.home / "1" / "attempt-1").exists)
    arming.ref.tell(Warm())
    assert arming.ref.is_alive()


# -- the bench, in an arbiter


def pids(house: House) -> dict[int, int]:
    """The runner of each job under way."""
    return {key[0]: one.runner.pid for key, one in house.actor.bench.attempts.items() if one.runner is not None}


def test_a_row_of_jobs_is_served_by_few_runners(house: House) -> None:
    jobs = [house.submit("sh", "-c", "echo $PPID") for _ in range(60)]
    house.until(jobs[-1], "completed")
    wait_until(lambda: all(house.home.log_of(one, 1).exists() for one in jobs))
    served = [house.home.log_of(one, 1).read_text(encoding="ascii") for one in jobs]
    assert len(set(served)) < len(jobs)


def test_not_more_are_armed_than_may_be(house: House, tmp_path: Path) -> None:
    """Short jobs make it arm many; a long one, and moves, must not let their number grow."""
    for _ in range(40):
        house.submit()
    last = house.submit(*gated(tmp_path / "gate"))
    for _ in range(2 * MAX_ARMED):
        house.submit(priority="low")
    house.until(last, "running")
    for _ in range(2 * MAX_ARMED):
        house.submit(priority="high")
    wait_until(lambda: not house.actor.starts.refilling)
    assert len(house.actor.bench.armed()) <= 2 * MAX_ARMED
    (tmp_path / "gate").touch()
    house.until(last + 4 * MAX_ARMED, "completed")


def test_a_second_attempt_starts_without_the_progress_of_the_first(house: House, tmp_path: Path) -> None:
    script = f"[ $TRAINQ_ATTEMPT = 2 ] && exit 0; echo '{{\"step\": 1}}' > $TRAINQ_PROGRESS; touch {tmp_path}/x; exit 1"
    again = house.submit("sh", "-c", script, retries={"exit": 1})
    done = house.until(again, "completed")
    assert (done["attempt"], done["progress"]) == (2, None)
    assert (tmp_path / "x").exists()


def test_the_end_leaves_running_jobs_and_nobody_else(house: House, tmp_path: Path) -> None:
    running = house.submit(*gated(tmp_path / "gate"))
    waiting = house.submit()
    house.until_armed(waiting)
    carried = pids(house)
    house.stop()
    assert alive(carried[running])
    wait_until(lambda: not alive(carried[waiting]))
    house.start()
    (tmp_path / "gate").touch()
    house.until(waiting, "completed")


def alive(pid: int) -> bool:
    """Not as a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def test_cancel_just_after_the_end_does_not_reach_the_next(house: House, tmp_path: Path) -> None:
    """The runner serves the next job when the wish for the end of the first one is told."""
    for turn in range(10):
        gate = tmp_path / f"gate-{turn}"
        first, second = house.submit(*gated(gate)), house.submit("sh", "-c", "sleep 0.02; exit 0")
        house.until_armed(second)
        gate.touch()
        house.verb(wire.Cancel(jobs=(first,)))
        assert house.until(second, "completed")["attempt"] == 1
