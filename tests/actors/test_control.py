"""signal, suspend, continue and preempt, with real runners; also when the daemon dies in between."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house import House, gated, rows
from support import unpacked, wait_until

from trainqueue import annals, controlops, wire
from trainqueue.core.job import Running
from trainqueue.launch import orders
from trainqueue.messages.clients import Publish

if TYPE_CHECKING:
    from collections.abc import Callable

SAVES = "trap 'echo warned' USR1; trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.02; done"


def log(house: House, job: int, attempt: int = 1) -> list[str]:
    path = house.home.log_of(job, attempt)
    return path.read_text().split() if path.exists() else []


def running(house: House, script: str = SAVES, **fields: Any) -> int:
    job = house.submit("sh", "-c", script, **fields)
    wait_until(lambda: "ready" in log(house, job))
    house.until(job, "running")
    return job


def was(house: House, job: int, fact: str) -> bool:
    """Whether an event has said so; it may be over by now."""
    bodies = [body for publish in house.feed.of(Publish) for topic, body in publish.events if topic == f"job.{job}"]
    return any(unpacked(body).get(fact) for body in bodies)


def is_stopped(house: House, job: int) -> bool:
    """A shell whose fresh child was stopped before it became its program is in D: it waits for that."""
    pid = house.status(job)["pid"]
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TD"


def test_a_signal_by_name_or_number(house: House) -> None:
    job = running(house)
    for name in ("USR1", "sigusr1", 10, "10"):
        assert house.verb(wire.Signal(jobs=(job,), signal=name)) is None
        wait_until(lambda: log(house, job).count("warned") == 1)
        house.home.log_of(job, 1).write_text("")


@pytest.mark.parametrize(
    ("name", "words"),
    [("FOO", "no signal 'FOO'"), (9, "cancel"), ("STOP", "suspend"), ("sigcont", "continue"), ("0", ""), ("65", "")],
)
def test_signals_that_are_not_sent(house: House, name: str | int, words: str) -> None:
    code, message = house.refused(wire.Signal(jobs=(1,), signal=name))
    assert (code, message[:9]) == ("bad-request", "$.signal:")
    assert words in message


def test_only_what_runs_takes_orders(house: House, tmp_path: Path) -> None:
    first = house.submit(*gated(tmp_path / "gate"), cwd=str(tmp_path))
    waiting = house.submit("true")
    house.until(first, "running")
    requests: list[Callable[[int], wire.Request]] = [
        lambda job: wire.Signal(jobs=(job,), signal="USR1"),
        lambda job: wire.Suspend(jobs=(job,)),
        lambda job: wire.Continue(jobs=(job,)),
        lambda job: wire.Preempt(jobs=(job,)),
    ]
    for request in requests:
        assert house.verb(request(waiting)) == "conflict"
        assert house.verb(request(99)) == "not-found"
    (tmp_path / "gate").touch()
    house.until(waiting, "completed")
    for request in requests:
        assert house.verb(request(first)) == "conflict"
    assert not (house.home.attempt(first, 1) / "orders").exists()


def test_suspend_and_continue(house: House) -> None:
    job = running(house)
    assert house.verb(wire.Suspend(jobs=(job,))) is None
    wait_until(lambda: is_stopped(house, job))
    assert house.verb(wire.Suspend(jobs=(job,))) is None, "once more changes nothing"
    shown = house.status(job)
    assert (shown["state"], shown["suspended"], shown["gpu_ids"]) == ("running", True, ["cpu:0"])
    frozen = shown["run_time"]
    assert house.status(job)["run_time"] == frozen
    assert house.verb(wire.Continue(jobs=(job,))) is None
    wait_until(lambda: not is_stopped(house, job))
    assert house.status(job)["suspended"] is False
    wait_until(lambda: house.status(job)["run_time"] > frozen)


def test_a_suspended_job_can_be_cancelled_and_saves(house: House) -> None:
    job = running(house, grace=10)
    house.verb(wire.Suspend(jobs=(job,)))
    wait_until(lambda: is_stopped(house, job))
    house.verb(wire.Cancel(jobs=(job,)))
    assert house.until(job, "cancelled")["exit_code"] == 5
    assert "saved" in log(house, job)


def test_a_suspended_job_can_be_preempted_and_saves(house: House) -> None:
    """A signal that it was sent meanwhile comes first."""
    job = running(house, grace=10, warn=0.1)
    house.verb(wire.Suspend(jobs=(job,)))
    wait_until(lambda: is_stopped(house, job))
    [told] = house.call(wire.Signal(jobs=(job,), signal="USR1"))["jobs"]
    assert (told["ok"], told["suspended"]) == (True, True)
    assert house.verb(wire.Preempt(jobs=(job,), hold=True)) is None
    wait_until(lambda: was(house, job, "preempting"))
    assert house.until(job, "queued")["attempt"] == 2
    assert {"warned", "saved"} <= {*log(house, job)}


def test_what_is_being_stopped_takes_no_more_orders(house: House) -> None:
    job = running(house, "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace=1000)
    house.verb(wire.Cancel(jobs=(job,)))
    for request in (wire.Suspend(jobs=(job,)), wire.Preempt(jobs=(job,)), wire.Signal(jobs=(job,), signal="HUP")):
        assert house.verb(request) == "conflict"
    house.verb(wire.Cancel(jobs=(job,), force=True))
    house.until(job, "cancelled")


def test_a_preempted_job_goes_to_the_end_and_comes_again(house: House) -> None:
    job = running(house, SAVES.replace("ready", "ready resume=$TRAINQ_RESUME"), warn=0.1, grace=10, retries={"exit": 1})
    urgent = house.submit("true")
    assert house.verb(wire.Preempt(jobs=(job,))) is None
    wait_until(lambda: was(house, job, "preempting"))
    wait_until(lambda: "resume=1" in log(house, job, 2))
    assert {"warned", "saved"} <= {*log(house, job)}
    shown = house.until(job, "running")  # its log may be ahead of what the daemon has heard
    assert (shown["attempt"], shown["preempting"]) == (2, False)
    assert house.status(urgent)["state"] == "completed"
    assert house.verb(wire.Signal(jobs=(job,), signal="TERM")) is None
    wait_until(lambda: "ready" in log(house, job, 3))  # its retry has not been used up


def test_a_preempted_job_may_be_held(house: House) -> None:
    job = running(house)
    assert house.verb(wire.Preempt(jobs=(job,), hold=True)) is None
    shown = house.until(job, "queued")
    assert (shown["why_code"], shown["attempt"], shown["hold"]) == ("held", 2, True)


def test_a_cancel_wins_over_a_preemption(house: House) -> None:
    job = running(house, "trap 'echo told' TERM; echo ready; while :; do sleep 0.02; done", grace=0.4)
    house.verb(wire.Preempt(jobs=(job,)))
    wait_until(lambda: "told" in log(house, job))
    house.verb(wire.Cancel(jobs=(job,)))
    assert house.until(job, "cancelled")["cause"] == "user"


def test_a_preempted_job_whose_runner_is_killed_goes_back_too(house: House) -> None:
    job = running(house, "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace=1000)
    house.verb(wire.Preempt(jobs=(job,), hold=True))
    house.kill_runner(job)
    assert house.until(job, "queued")["attempt"] == 2


# -- the daemon dies


def test_orders_reach_a_runner_that_was_adopted(house: House) -> None:
    job = running(house)
    house.restart()
    house.verb(wire.Suspend(jobs=(job,)))
    wait_until(lambda: is_stopped(house, job))
    house.restart()
    assert house.status(job)["suspended"] is True
    frozen = house.status(job)["run_time"]
    house.verb(wire.Continue(jobs=(job,)))
    wait_until(lambda: not is_stopped(house, job))
    wait_until(lambda: house.status(job)["run_time"] > frozen)
    house.verb(wire.Signal(jobs=(job,), signal="USR1"))
    wait_until(lambda: "warned" in log(house, job))


@pytest.mark.parametrize("told", [False, True])
def test_an_order_that_was_not_written_down_is_known_to_the_next_daemon(house: House, *, told: bool) -> None:
    """The last one died after it had written the order, before or after it had told the runner."""
    job = running(house)
    house.stop()
    orders.append(house.home.attempt(job, 1), {"suspend": True})
    [(identity,)] = rows(house.home, "SELECT runner FROM attempts")
    if told:
        os.kill(json.loads(identity)["pid"], signal.SIGUSR2)
    house.start()
    assert house.status(job)["suspended"] is True
    wait_until(lambda: is_stopped(house, job))


def test_a_preemption_that_was_not_written_down(house: House) -> None:
    job = running(house)
    house.stop()
    orders.append(house.home.attempt(job, 1), {"preempt": {"warn": 0, "hold": True}})
    house.start()
    assert house.until(job, "queued")["hold"] is True


@pytest.mark.parametrize("hold", [False, True])
def test_a_preemption_that_ends_while_no_daemon_lives(house: House, *, hold: bool) -> None:
    job = running(house, grace=10, warn=0.2)
    house.verb(wire.Preempt(jobs=(job,), hold=hold))
    house.stop()
    wait_until((house.home.attempt(job, 1) / "exit").exists)
    house.start()
    shown = house.until(job, "queued" if hold else "running")
    assert shown["attempt"] == 2


def test_an_order_that_the_disk_refuses_changes_nothing(house: House) -> None:
    job = running(house)
    (house.home.attempt(job, 1) / "orders").mkdir()
    [one] = house.call(wire.Suspend(jobs=(job,)))["jobs"]
    assert (one["error"]["code"], one["state"]) == ("unavailable", "running")
    assert "cannot be written" in one["error"]["message"]
    assert house.status(job)["suspended"] is False


def test_while_the_disk_is_slow_only_calls_wait(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a runner says meanwhile counts: its job has ended before the order is there."""
    goes, stays = house.submit(*gated(tmp_path / "gate"), gpus=0), running(house)
    house.until(goes, "running")
    gate, written = threading.Event(), controlops.write

    def slowly(job_id: int, folder: Path, order: orders.Order) -> None:
        assert gate.wait(20)
        written(job_id, folder, order)

    monkeypatch.setattr(annals, "write", slowly)
    slots = house.ask(wire.Suspend(jobs=(goes, stays)), wire.Continue(jobs=(stays,)), wire.Ping())
    (tmp_path / "gate").touch()
    wait_until(lambda: goes not in house.actor.core.jobs)
    assert not {*slots} & house.answers().keys()
    gate.set()
    assert [one["ok"] for one in house.answer(slots[0])["result"]["jobs"]] == [False, True]
    assert "has ended already" in house.answer(slots[0])["result"]["jobs"][0]["error"]["message"]
    assert house.answer(slots[1])["result"]["jobs"][0]["changed"] is True
    assert house.answer(slots[2])["ok"]
    assert orders.given(house.home.attempt(stays, 1)) == [{"suspend": True}, {"continue": True}]


def test_what_has_begun_again_meanwhile_is_not_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo ready; while [ $TRAINQ_ATTEMPT = 1 ]; do sleep 0.02; done; exec sleep 1000"
    job = running(house, script, retries={"signal": 1})
    pid = house.status(job)["pid"]
    gate, written = threading.Event(), controlops.write

    def slowly(job_id: int, folder: Path, order: orders.Order) -> None:
        assert gate.wait(20)
        written(job_id, folder, order)

    monkeypatch.setattr(annals, "write", slowly)
    [slot] = house.ask(wire.Preempt(jobs=(job,)))
    os.killpg(pid, signal.SIGTERM)
    wait_until(lambda: house.actor.core.jobs[job].attempt == 2)
    wait_until(lambda: isinstance(house.actor.core.jobs[job].state, Running))
    gate.set()
    [one] = house.answer(slot)["result"]["jobs"]
    assert (one["ok"], one["error"]["code"]) == (False, "conflict")
    assert house.status(job)["preempting"] is False


def test_a_runner_of_an_older_daemon_is_not_told_what_it_does_not_know(house: House) -> None:
    job = running(house)
    claim = house.home.attempt(job, 1) / "claim"
    claim.write_text(claim.read_text().replace('"orders": true, ', ""))
    [one] = house.call(wire.Preempt(jobs=(job,)))["jobs"]
    assert one["error"]["code"] == "conflict"
    assert "older" in one["error"]["message"]
