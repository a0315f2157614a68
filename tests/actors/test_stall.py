"""The watchdog over real processes: what counts as doing something, and what becomes of a job that does nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from house import job as job_of
from support import wait_until

from trainqueue import stall, wire
from trainqueue.core import events as ev
from trainqueue.core.spec import JobSpec
from trainqueue.core.stalls import UNTOLD
from trainqueue.launch import orders, processes
from trainqueue.messages.clients import Publish
from trainqueue.stall import Rule, quiet
from trainqueue.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from house import House

QUIET = "no output, no progress, processor idle"
SLEEP = ("sleep", "1000")


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "OFTEN", 0.1)


def events(house: House, kind: str) -> list[dict[str, Any]]:
    bodies = [body for publish in house.feed.of(Publish) for _, body in publish.events]
    return [event for body in bodies if (event := msgspec.msgpack.decode(body))["type"] == kind]


def waits(gate: Path) -> tuple[str, ...]:
    """A command that does nothing until `opened`, says so, and does nothing again."""
    os.mkfifo(gate)
    return "sh", "-c", f"read word < {gate}; echo on; exec sleep 1000"


def opened(gate: Path) -> None:
    gate.write_text("go\n", encoding="ascii")


def until_stalled(house: House, job: int) -> dict[str, Any]:
    wait_until(lambda: house.status(job)["stalled_since"] is not None)
    return house.status(job)


def test_one_that_does_nothing_stalls_until_it_does_something(house: House, tmp_path: Path) -> None:
    job = house.submit(*waits(tmp_path / "gate"), stall_timeout=0.5)
    started = house.until(job, "running")
    found = until_stalled(house, job)
    assert (found["state"], found["quiet"], found["stopping"]) == ("running", QUIET, False)
    assert found["stalled_since"] >= started["started_at"] - 0.2
    [event] = events(house, "stalled")
    assert (event["id"], event["quiet"], event["seq"] > 0) == (job, QUIET, True)
    opened(tmp_path / "gate")
    wait_until(lambda: events(house, "stirred"))
    assert len(events(house, "stalled")) == 1
    wait_until(lambda: len(events(house, "stalled")) == 2)


def test_what_has_been_said_is_not_said_to_the_core_at_each_pulse(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[ev.Event] = []
    pulses: list[int] = []
    apply, pulse = house.actor.apply, house.actor.stalls.pulse

    def counted(job: int, attempt: int, *, beats: bool) -> None:
        pulse(job, attempt, beats=beats)
        pulses.append(job)

    def noted(event: ev.Event) -> None:
        if isinstance(event, ev.Stalled | ev.Stirred):
            heard.append(event)
        apply(event)

    monkeypatch.setattr(house.actor, "apply", noted)
    monkeypatch.setattr(house.actor.stalls, "pulse", counted)
    stays = house.submit(*SLEEP, stall_timeout=0.3)
    until_stalled(house, stays)
    deaf = ("sh", "-c", "trap '' TERM; sleep 1000")
    ends = house.submit(*deaf, stall_timeout=0.3, stall_action="stop", gpus=0, grace=1000)
    wait_until(lambda: house.status(ends)["stopping"])
    seen = len(pulses)
    wait_until(lambda: {stays, ends} <= {*pulses[seen + 2 :]})
    assert [type(event) for event in heard] == [ev.Stalled, ev.Stalled]
    house.call(wire.Cancel(jobs=(ends,), force=True))
    house.until(ends, "failed")


@pytest.mark.parametrize(
    "script",
    [
        "while :; do :; done",
        "(while :; do :; done) & sleep 1000",
        "while :; do echo on; sleep 0.35; done",
        "cd $TRAINQ_JOB_DIR; while :; do echo '{\"step\": 1}' > new; mv new progress.json; sleep 0.35; done",
    ],
    ids=["computes", "a child computes", "logs", "reports"],
)
def test_one_that_does_something_does_not(house: House, script: str) -> None:
    """Beside one that does nothing, and stalls although it has longer."""
    busy = house.submit("sh", "-c", script, stall_timeout=1.2, gpus=0)
    house.until(busy, "running")
    idle = house.submit(*SLEEP, stall_timeout=2.0)
    until_stalled(house, idle)
    assert house.status(busy)["stalled_since"] is None
    assert [event["id"] for event in events(house, "stalled")] == [idle]


def test_one_that_is_to_stop_ends_with_that_cause_and_is_tried_again(house: House) -> None:
    job = house.submit(*SLEEP, stall_timeout=0.4, stall_action="stop", retries={"stalled": 1})
    found = house.until(job, "failed")
    assert (found["cause"], found["signal"], found["attempt"]) == ("stalled", 15, 2)
    assert found["message"].startswith(f"{QUIET} for ")
    assert len(events(house, "stalled")) == 2


def test_its_grace_holds(house: House) -> None:
    job = house.submit("sh", "-c", "trap '' TERM; while :; do sleep 0.2; done", stall_timeout=0.4, stall_action="stop")
    wait_until(lambda: house.status(job)["stopping"])
    found = house.until(job, "failed")
    assert (found["cause"], found["signal"]) == ("stalled", 9)


def test_the_next_daemon_watches_it_too_and_counts_anew(house: House) -> None:
    job = house.submit(*SLEEP, stall_timeout=0.5, stall_action="stop")
    house.until(job, "running")
    house.restart()
    assert house.until(job, "failed")["cause"] == "stalled"


def test_what_had_stalled_stays_so_over_a_restart_and_is_not_told_again(house: House, tmp_path: Path) -> None:
    job = house.submit(*waits(tmp_path / "gate"), stall_timeout=0.5)
    before = until_stalled(house, job)
    house.restart()
    assert house.status(job)["stalled_since"] == before["stalled_since"]
    wait_until(lambda: house.actor.stalls.jobs[job].moved + 0.8 < time.monotonic())
    assert house.status(job)["stalled_since"] == before["stalled_since"]
    assert events(house, "stalled") == []
    opened(tmp_path / "gate")
    wait_until(lambda: events(house, "stirred"))


def test_a_daemon_that_dies_before_it_has_written_that_down(house: House) -> None:
    """The runner knows why it ends the job."""
    job = house.submit(*SLEEP, stall_timeout=0.5, stall_action="stop")
    house.until(job, "running")
    house.journal.refuses = True
    wait_until(lambda: house.status(job)["state"] == "failed")
    house.restart()
    found = house.until(job, "failed")
    assert (found["cause"], found["message"]) == ("stalled", UNTOLD)


def test_an_order_that_came_too_late_keeps_no_daemon_from_starting(house: House) -> None:
    """It was being written when the watchdog ended the job, and the daemon died then."""
    job = house.submit("sh", "-c", 'trap "" TERM; exec sleep 100', stall_timeout=0.5, stall_action="stop", grace=60)
    house.until(job, "running")
    wait_until(lambda: house.status(job)["stopping"])
    for order in ({"suspend": True}, {"preempt": {"warn": 0, "hold": False}}):
        house.stop()
        orders.append(house.home.attempt(job, 1), order)
        house.start()
        assert house.status(job)["stopping"]
    house.verb(wire.Cancel(jobs=(job,), force=True))
    house.until(job, "failed")


@pytest.mark.usefixtures("expected_crash")
def test_another_trainer_goes_on_watching(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainqueue.arbiter.TRAINER_PAUSE", 0.05)
    job = house.submit(*SLEEP, stall_timeout=0.5)
    house.until(job, "running")
    with monkeypatch.context() as broken:
        broken.setattr(Vitals, "look", None)
        first = house.actor.bench.attempts[job, 1].trainer
        assert first is not None
        wait_until(lambda: not first.is_alive())
    assert until_stalled(house, job)["quiet"] == QUIET


def test_one_that_is_suspended_does_not_stall_and_its_time_begins_anew(house: House) -> None:
    job = house.submit(*SLEEP, stall_timeout=0.5)
    until_stalled(house, job)
    assert house.verb(wire.Suspend(jobs=(job,))) is None
    wait_until(lambda: house.status(job)["stalled_since"] is None)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 0.8)
    assert house.status(job)["stalled_since"] is None
    continued = time.time()
    assert house.verb(wire.Continue(jobs=(job,))) is None
    assert until_stalled(house, job)["stalled_since"] >= continued - 0.05


def test_without_a_timeout_nobody_looks(house: House) -> None:
    job = house.submit(*SLEEP)
    house.until(job, "running")
    assert house.actor.stalls.jobs == {}
    house.call(wire.Cancel(jobs=(job,)))
    house.until(job, "cancelled")


def test_the_setting_holds_for_those_that_do_not_say(house: House) -> None:
    house.actor.stalls.rule = Rule(0.4, "stop")
    assert house.until(house.submit(*SLEEP), "failed")["cause"] == "stalled"


def test_a_job_that_is_only_to_be_warned_of_or_not_to_be_watched_is_not_ended_by_the_setting(house: House) -> None:
    house.actor.stalls.rule = Rule(0.4, "stop")
    warned = house.submit(*SLEEP, stall_action="warn")
    unwatched = house.submit(*SLEEP, stall_timeout=0.0, gpus=0)
    house.until(unwatched, "running")
    assert until_stalled(house, warned)["stopping"] is False
    assert [*house.actor.stalls.jobs] == [warned]
    assert house.status(warned)["state"] == house.status(unwatched)["state"] == "running"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Rule(60, "stop")),
        ({"stall_timeout": 5.0}, Rule(5, "stop")),
        ({"stall_action": "warn"}, Rule(60, "warn")),
        ({"stall_timeout": 5.0, "stall_action": "warn"}, Rule(5, "warn")),
        ({"stall_timeout": 0.0}, Rule(0, "stop")),
        ({"stall_timeout": 5.0, "stall_action": "stop"}, Rule(5, "stop")),
        ({"stall_action": "stop"}, Rule(60, "stop")),
    ],
)
def test_which_rule_holds(fields: dict[str, Any], expected: Rule) -> None:
    assert Rule(60, "stop").of(msgspec.convert({"command": ["true"], "cwd": "/"} | fields, JobSpec)) == expected


def test_the_words() -> None:
    assert quiet(0) == QUIET
    assert quiet(1) == "no output, no progress, GPU and processor idle"
    assert quiet(4) == "no output, no progress, 4 GPUs and processor idle"


@pytest.fixture
def loop() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child that computes for a while, is waited for, and then nothing."""
    script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; exec sleep 1000"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as made:
        yield made
        made.kill()


def test_the_time_of_those_that_have_ended_counts(loop: subprocess.Popen[bytes]) -> None:
    assert loop.stdout is not None
    assert loop.stdout.readline() == b"done\n"
    used = processes.tree_ticks(os.getpid())
    assert used >= 2
    stranger = processes.tree_ticks(loop.pid)
    assert 2 <= stranger <= used  # what it has waited for; it has no child now


def test_nobody_but_the_job_is_looked_at(loop: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A desktop has hundreds of processes, and the daemon may watch many jobs."""
    assert loop.stdout is not None
    assert loop.stdout.readline() == b"done\n"
    looked, read = set[str](), Path.read_bytes

    def noted(path: Path) -> bytes:
        looked.add(path.parts[2])
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert processes.tree_ticks(loop.pid) >= 2
    assert looked == {str(loop.pid)}


def test_a_stop_that_could_never_come_is_refused(house: House) -> None:
    for timeout, missing in ((None, "missing, here and in the settings"), (0.0, "0, which means never")):
        wanted: dict[str, Any] = {"stall_action": "stop", "stall_timeout": timeout}
        told = f"$.jobs[0].stall_action: nothing says when it has stalled: stall_timeout is {missing}"
        assert house.refused(wire.Submit(jobs=(job_of("true", **wanted),))) == ("bad-request", told)
