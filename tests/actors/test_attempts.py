"""All attempts of a job are kept and shown, however each has ended."""

from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

from house import House, gated, kill, rows
from support import wait_until

from trainqueue import annals, wire
from trainqueue.attempts import note

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from trainqueue.core.job import Ended

COUNTS = "case $TRAINQ_ATTEMPT in 1) exit 3;; 2) kill -TERM $$;; *) exit 0;; esac"


def attempts(house: House, job: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.call(wire.Status(job=job))["attempts"]
    return found


def brief(house: House, job: int) -> list[tuple[Any, ...]]:
    names = ("attempt", "state", "cause", "exit_code", "signal")
    return [tuple(one[name] for name in names) for one in attempts(house, job)]


EXPECTED = [(1, "failed", "exit", 3, None), (2, "failed", "signal", None, 15), (3, "completed", None, 0, None)]


def test_every_attempt_with_its_end_and_its_log(house: House) -> None:
    job = house.submit("sh", "-c", f"echo $TRAINQ_ATTEMPT; {COUNTS}", retries={"exit": 1, "signal": 1})
    house.until(job, "completed")
    assert brief(house, job) == EXPECTED
    for one in attempts(house, job):
        assert one["started_at"] <= one["ended_at"]
        with open(one["log"], encoding="ascii") as log:  # noqa: PTH123
            assert log.read() == f"{one['attempt']}\n"
    house.restart()
    assert brief(house, job) == EXPECTED


def test_the_record_tells_where_the_note_is_missing_and_nothing_where_all_is(house: House) -> None:
    job = house.submit("sh", "-c", COUNTS, retries={"exit": 1, "signal": 1})
    house.until(job, "completed")
    for number in (1, 2):
        (house.home.attempt(job, number) / "over").unlink()
    assert brief(house, job) == EXPECTED
    shutil.rmtree(house.home.attempt(job, 1))
    assert brief(house, job)[0] == (1, None, None, None, None)


def test_a_slow_disk_keeps_only_those_waiting_who_ask_for_what_is_on_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, written = threading.Event(), note

    def slowly(folder: Path, state: Ended) -> None:
        assert gate.wait(20)
        written(folder, state)

    monkeypatch.setattr(annals, "note", slowly)
    job = house.submit("sh", "-c", COUNTS, retries={"exit": 1, "signal": 1})
    wait_until(lambda: house.call(wire.Queue())["counts"] == {"completed": 1})
    [slot] = house.ask(wire.Status(job=job))
    house.call(wire.Ping())
    assert slot not in house.answers(), "it is answered when all that was before it has been noted"
    gate.set()
    found = house.answer(slot)["result"]["attempts"]
    assert [(one["attempt"], one["state"]) for one in found] == [(1, "failed"), (2, "failed"), (3, "completed")]


def test_who_asks_just_before_the_end_is_answered(house: House) -> None:
    job = house.submit("sh", "-c", COUNTS, retries={"exit": 1, "signal": 1})
    house.until(job, "completed")
    asked, _ = house.ask(wire.Status(job=job), wire.Shutdown(jobs="keep"))
    assert house.on_exit.wait(10)
    assert len(house.answer(asked)["result"]["attempts"]) == 3


def test_a_waiting_attempt_is_none_and_a_running_one_is(house: House, tmp_path: Path) -> None:
    job = house.submit(*gated(tmp_path / "gate"))
    behind = house.submit("true")
    house.until(job, "running")
    assert attempts(house, behind) == []
    [one] = attempts(house, job)
    assert (one["state"], one["ended_at"]) == ("running", None)
    (tmp_path / "gate").touch()


def test_a_preempted_a_lost_and_a_retried_one(house: House) -> None:
    program = "echo ready; case $TRAINQ_ATTEMPT in 3) exit 5;; *) while :; do sleep 0.02; done;; esac"
    job = house.submit("sh", "-c", program, retries={"runner-died": 1})
    house.until(job, "running")
    house.verb(wire.Preempt(jobs=(job,)))
    wait_until(lambda: house.status(job)["attempt"] == 2 and house.status(job)["state"] == "running")
    [(identity,)] = rows(house.home, "SELECT runner FROM attempts WHERE attempt = 2")
    kill(json.loads(identity)["pid"])
    house.until(job, "failed")
    house.verb(wire.Retry(jobs=(job,), set={"command": ["true"]}))
    house.until(job, "completed")
    shown = attempts(house, job)
    assert [(one["state"], one["cause"]) for one in shown] == [
        ("cancelled", "user"),
        ("lost", "runner-died"),
        ("failed", "exit"),
        ("completed", None),
    ]
    assert "preempted" in shown[0]["message"]
