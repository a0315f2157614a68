"""The arbiter with real runners and a real journal: what it answers, what it starts, and what a full disk does."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from house import House, gated, job, rows
from runner.conftest import adopt_orphans, children_of, left_over
from support import small_disk, wait_until

from trainqueue import requests, wire
from trainqueue.core.arbiter import Core
from trainqueue.core.ends import MAX_VOIDS
from trainqueue.home import Home
from trainqueue.launch import leftovers, local, processes, verdict
from trainqueue.messages.arbiter import Flush
from trainqueue.messages.clients import Publish
from trainqueue.messages.files import Tidied
from trainqueue.reserve import SIZE
from trainqueue.settings import HistorySettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainqueue.inbox import Inbox, Timer


def fault(*_: object, **__: object) -> Any:
    raise ZeroDivisionError


def seqs(house: House) -> list[int]:
    """The numbers of the events that were published."""
    bodies = [body for publish in house.feed.of(Publish) for _, body in publish.events]
    return [event["seq"] for body in bodies if "seq" in (event := msgspec.msgpack.decode(body))]


# -- from the start to the end


def test_calls_before_the_opening_wait_and_are_served(house: House) -> None:
    house.stop()
    house.start(opened=False)
    slots = house.ask(wire.Submit(jobs=(job(),)), wire.Ping(), wire.Status(job=99))
    assert house.answers() == {}
    house.open()
    first, second, third = [house.answer(slot) for slot in slots]
    assert first["result"]["jobs"][0]["id"] == 1
    assert second["ok"]
    assert third["error"]["code"] == "not-found"
    house.until(1, "completed")


def test_whoever_waits_at_the_end_is_answered(house: House) -> None:
    house.stop()
    house.start(opened=False)
    slots = house.ask(wire.Submit(jobs=(job(),)), wire.Ping())
    house.open()
    house.stop()
    assert {*house.answers()} == {*slots}


def test_an_edit_while_the_runner_is_being_armed(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line moves on, too, before the runner is there."""
    before = house.submit(*gated(tmp_path / "gate"))
    house.until(before, "running")
    armourer, prepare = threading.Event(), verdict.prepare

    def late(folder: Path) -> None:
        armourer.wait(10)
        prepare(folder)

    monkeypatch.setattr(verdict, "prepare", late)
    edited = house.submit("sh", "-c", "exit 3")
    wait_until(lambda: (edited, 1) in house.actor.bench.attempts)
    house.call(wire.Edit(job=edited, set={"command": ["sh", "-c", "exit 5"]}))
    (tmp_path / "gate").touch()
    house.until(edited, "pending")
    armourer.set()
    assert house.until(edited, "failed")["exit_code"] == 5


def test_it_goes_on_when_desk_and_feed_have_stopped_before_it(house: House) -> None:
    """As they do when a daemon is told to end; what it was just asked is written down, and nothing crashes."""
    house.desk.close()
    house.feed.close()
    house.ask(wire.Submit(jobs=(job(hold=True),)))
    wait_until(lambda: rows(house.home, "SELECT state FROM jobs") == [("queued",)])
    house.stop()
    assert not house.crashes


def test_events_are_numbered_without_a_hole(house: House) -> None:
    for _ in range(5):
        house.submit()
    house.until(5, "completed")
    wait_until(lambda: seqs(house))
    assert seqs(house) == [*range(1, len(seqs(house)) + 1)]
    assert len(house.call(wire.Events(after=0))["events"]) >= 15


# -- faults of ours


@pytest.mark.usefixtures("expected_crash")
def test_a_fault_in_the_middle_of_a_change_ends_it_with_an_answer_to_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = house.submit(hold=True)
    with monkeypatch.context() as broken:
        broken.setattr(Core, "_hold", fault)
        slots = house.ask(wire.Ping(), wire.Submit(jobs=(job(),)), wire.Hold(jobs=(kept,)), wire.Submit(jobs=(job(),)))
        answers = [house.answer(slot) for slot in slots]
        wait_until(lambda: house.crashes)
    assert not any(answer["ok"] for answer in answers[1:])
    assert [type(crash) for crash in house.crashes] == [ZeroDivisionError]
    house.restart()
    assert house.status(kept)["state"] == "queued"
    assert house.refused(wire.Status(job=kept + 1))[0] == "not-found", "refused, so nothing may be left of it"


def test_a_fault_in_a_read_is_answered_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(requests, "stats", fault)
        code, sentence = house.refused(wire.Stats())
    assert code == "internal"
    assert "ZeroDivision" not in sentence
    assert house.call(wire.Stats())["counts"] == {}
    assert not house.crashes


@pytest.mark.usefixtures("expected_crash")
def test_a_crash_leaves_running_jobs_running(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = house.submit(*gated(tmp_path / "gate", "exit 5"))
    house.until(running, "running")
    with monkeypatch.context() as broken:
        broken.setattr(Core, "_hold", fault)
        house.ask(wire.Hold(jobs=(house.submit(hold=True),)))
        wait_until(lambda: house.crashes)
    house.restart()
    assert house.status(running)["state"] == "running"
    (tmp_path / "gate").touch()
    assert house.until(running, "failed")["exit_code"] == 5


# -- commands


def test_a_far_alarm_does_not_stop_the_arbiter(house: House) -> None:
    for at in (1e11, 9e10, 5e9):
        house.submit(not_before=at)
    assert house.status(1)["why_code"] == "not-before"
    house.restart()
    done = house.submit()
    house.until(done, "completed")
    assert house.status(1)["why_code"] == "not-before"


def test_hold_and_release_and_the_same_by_edit(house: House, tmp_path: Path) -> None:
    house.submit(*gated(tmp_path / "gate"))
    held = house.submit()
    assert house.verb(wire.Hold(jobs=(held,))) is None
    assert house.status(held)["hold"] is True
    assert house.call(wire.Edit(job=held, set={"name": "n"}))["job"]["hold"] is True, "an edit of something else"
    assert house.call(wire.Edit(job=held, set={"hold": False}))["job"]["hold"] is False
    assert house.status(held)["position"] == 1
    assert house.verb(wire.Release(jobs=(held,))) is None
    assert house.call(wire.Edit(job=held, set={"hold": True}))["job"]["why_code"] == "held"
    assert house.status(held)["position"] is None
    house.restart()
    assert house.status(held)["why_code"] == "held"
    assert house.verb(wire.Release(jobs=(held,))) is None
    assert house.status(held)["hold"] is False
    (tmp_path / "gate").touch()
    house.until(held, "completed")


def test_an_edited_job_runs_as_edited_though_it_was_armed(house: House, tmp_path: Path) -> None:
    house.submit(*gated(tmp_path / "gate"))
    edited = house.submit("sh", "-c", "exit 1")
    house.until_armed(edited)
    house.call(wire.Edit(job=edited, set={"command": ["sh", "-c", "exit 2"]}))
    (tmp_path / "gate").touch()
    assert house.until(edited, "failed")["exit_code"] == 2


def test_an_armed_job_that_is_held_does_not_start(house: House, tmp_path: Path) -> None:
    house.submit(*gated(tmp_path / "gate"))
    held = house.submit()
    house.until_armed(held)
    house.verb(wire.Hold(jobs=(held,)))
    behind = house.submit()
    (tmp_path / "gate").touch()
    house.until(behind, "completed")
    assert house.status(held)["state"] == "queued"
    house.verb(wire.Release(jobs=(held,)))
    assert house.until(held, "completed")["attempt"] == 1


def test_a_cancelled_armed_job_never_runs(house: House, tmp_path: Path) -> None:
    house.submit(*gated(tmp_path / "gate"))
    gone = house.submit("touch", str(tmp_path / "ran"))
    house.until_armed(gone)
    assert house.verb(wire.Cancel(jobs=(gone,))) is None
    (tmp_path / "gate").touch()
    house.until(house.submit(), "completed")
    assert house.status(gone)["state"] == "cancelled"
    assert not (tmp_path / "ran").exists()
    assert rows(house.home, f"SELECT * FROM attempts WHERE job={gone}") == []


def test_a_met_dependency_stays_met(house: House, tmp_path: Path) -> None:
    """Also when the job that it waited for runs again, and the daemon starts meanwhile."""
    first = house.submit()
    house.until(first, "completed")
    house.call(wire.Pause())
    other = house.submit(hold=True)
    waits = house.submit(after=(first, other))
    free = house.submit("touch", str(tmp_path / "ran"), after=(first,))
    house.verb(wire.Retry(jobs=(first,)))
    assert house.status(free)["why_code"] == "paused"
    house.restart()
    assert house.status(free)["why_code"] == "paused"
    assert house.status(waits)["why"] == f"waits for job {other}"


def test_a_dependency_met_while_waiting_stays_met(house: House, tmp_path: Path) -> None:
    first = house.submit(*gated(tmp_path / "gate"))
    waits = house.submit(after=(first,), hold=True)
    (tmp_path / "gate").touch()
    house.until(first, "completed")
    house.call(wire.Pause())
    house.verb(wire.Retry(jobs=(first,)))
    for _ in range(2):
        house.verb(wire.Release(jobs=(waits,)))
        assert house.status(waits)["why_code"] == "paused"
        house.restart()


# -- starts


def test_the_next_job_is_armed_while_another_runs(house: House, tmp_path: Path) -> None:
    running = house.submit(*gated(tmp_path / "gate"))
    house.until(running, "running")
    wait_until(lambda: not house.actor.starts.refilling)  # nothing is on its way that could arm it by chance
    late = house.submit()
    house.until_armed(late)
    assert house.status(late)["state"] == "queued"
    assert len(rows(house.home, f"SELECT * FROM attempts WHERE job={late}")) == 1
    (tmp_path / "gate").touch()
    house.until(late, "completed")


def test_the_next_is_armed_when_the_one_before_it_in_line_goes_away(house: House, tmp_path: Path) -> None:
    house.submit(*gated(tmp_path / "gate"))
    first, second = house.submit(), house.submit()
    house.until_armed(first)
    house.verb(wire.Cancel(jobs=(first,)))
    house.until_armed(second)
    (tmp_path / "gate").touch()
    house.until(second, "completed")


@pytest.mark.parametrize("when", ["armed", "told to go"])
def test_a_runner_that_dies_right_before_the_start(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr("trainqueue.core.ends.UNBLOCK", 0.05)
    house.submit(*gated(tmp_path / "gate"))
    victim = house.submit()
    house.until_armed(victim)
    runner = house.actor.bench.attempts[victim, 1].runner
    assert runner is not None
    if when == "told to go":
        runner.signal(signal.SIGSTOP)
        (tmp_path / "gate").touch()
        house.until(victim, "pending")
    runner.signal(signal.SIGKILL)
    (tmp_path / "gate").touch()
    ended = house.until(victim, "completed")
    assert ended["attempt"] == 1


def test_a_job_whose_runners_all_die_before_its_start_is_given_up(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainqueue.core.ends.UNBLOCK", 0.05)
    killed: list[int] = []

    def go(self: Any, env: dict[str, str], gpus: dict[str, bool], *, stay: bool = False) -> None:
        del env, gpus, stay
        killed.append(self.pid)
        os.kill(self.pid, signal.SIGKILL)

    with monkeypatch.context() as cursed:
        cursed.setattr("trainqueue.launch.local.Runner.go", go)
        victim = house.submit("touch", str(tmp_path / "ran"))
        ended = house.until(victim, "failed")
    assert (ended["cause"], ended["attempt"], len(killed)) == ("start-failed", 1, MAX_VOIDS)
    assert not (tmp_path / "ran").exists()
    assert rows(house.home, "SELECT * FROM attempts") == []
    house.until(house.submit(), "completed")


def test_a_runner_that_may_not_write_is_not_the_jobs_fault(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: however often that happens, the job keeps its place and says why it waits."""
    monkeypatch.setattr("trainqueue.core.ends.UNBLOCK", 0.02)
    refused: list[int] = []
    real = local.Runner.go

    def go(self: local.Runner, env: dict[str, str], gpus: dict[str, bool], *, stay: bool = False) -> None:
        refused.append(self.pid)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, 0))
        real(self, env, gpus, stay=stay)

    with monkeypatch.context() as full:
        full.setattr(local.Runner, "go", go)
        first, second = house.submit(), house.submit()
        wait_until(lambda: len(refused) > 2 * MAX_VOIDS)
        waits = wire.Status(job=first), wire.Status(job=second)

        def both_wait() -> bool:
            """At the same moment: between two refusals the first is being started."""
            one, two = [house.answer(slot)["result"]["job"] for slot in house.ask(*waits)]
            told = (one["why"] or "").startswith("nothing can be started: File too large")
            return told and (one["position"], two["position"]) == (1, 2)

        wait_until(both_wait)
    assert [house.until(one, "completed")["attempt"] for one in (first, second)] == [1, 1]


def test_the_wait_after_such_a_death_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def go(self: Any, env: dict[str, str], gpus: dict[str, bool], *, stay: bool = False) -> None:
        del env, gpus, stay
        os.kill(self.pid, signal.SIGKILL)

    with monkeypatch.context() as cursed:
        cursed.setattr("trainqueue.launch.local.Runner.go", go)
        victim = house.submit()
        wait_until(lambda: house.status(victim)["why_code"] == "backoff")
        assert "died before" in house.status(victim)["why"]
    house.until(victim, "completed")


@pytest.mark.usefixtures("expected_crash")
def test_a_crashed_trainer_is_replaced(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainqueue.arbiter.TRAINER_PAUSE", 0.05)
    with monkeypatch.context() as broken:
        broken.setattr("trainqueue.trainer.TrainerActor._watch_progress", fault)
        running = house.submit(*gated(tmp_path / "gate", "exit 5"))
        house.until(running, "running")
        wait_until(lambda: trainer_is_dead(house, running))
    assert house.status(running)["state"] == "running"
    wait_until(lambda: not trainer_is_dead(house, running))
    waiting = house.submit()
    (tmp_path / "gate").touch()
    assert house.until(running, "failed")["exit_code"] == 5
    house.until(waiting, "completed")
    assert not house.crashes


def trainer_is_dead(house: House, running: int) -> bool:
    trainer = house.actor.bench.attempts[running, 1].trainer
    return trainer is not None and not trainer.is_alive()


@pytest.mark.usefixtures("expected_crash")
def test_a_crashed_trainer_is_replaced_as_soon_as_there_are_descriptors(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was wished meanwhile is done then."""
    monkeypatch.setattr("trainqueue.arbiter.TRAINER_PAUSE", 0.05)
    asked: list[int] = []

    def none_left(*_: object) -> int:
        asked.append(1)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as broken:
        broken.setattr("trainqueue.trainer.TrainerActor._progress", fault)
        running = house.submit(*gated(tmp_path / "gate"))
        house.until(running, "running")
        broken.setattr("trainqueue.inbox.os.eventfd", none_left)
        wait_until(lambda: len(asked) > 2)
        assert house.verb(wire.Cancel(jobs=(running,))) is None
        assert house.status(running)["state"] == "running"
    assert house.until(running, "cancelled")["signal"] == signal.SIGTERM
    assert not house.crashes


# -- a job whose folder somebody removes


def test_the_gpu_of_a_job_without_its_folder_is_held_while_it_lives(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runner is killed, and the nursery has not cleaned up yet."""
    sweep, rounds = leftovers.sweep, list[int]()

    def counted(*args: Any) -> int:
        rounds.append(sweep(*args))
        return rounds[-1]

    monkeypatch.setattr(leftovers, "sweep", counted)
    removed = house.submit("sleep", "1000")
    behind = house.submit("touch", str(tmp_path / "behind"))
    house.until(removed, "running")
    house.until_armed(behind)
    runner = house.actor.bench.attempts[removed, 1].runner
    assert runner is not None
    found = processes.look(runner.pid)
    assert found is not None
    shutil.rmtree(house.home.job(removed))
    os.kill(found.parent, signal.SIGSTOP)
    try:
        runner.signal(signal.SIGKILL)
        wait_until(lambda: len(rounds) > 2 or (tmp_path / "behind").exists())
        assert (house.status(removed)["state"], house.status(behind)["state"]) == ("running", "queued")
        assert not (tmp_path / "behind").exists()
    finally:
        os.kill(found.parent, signal.SIGCONT)
    assert house.until(removed, "lost")["cause"] == "runner-died"
    house.until(behind, "completed")


# -- a disk that refuses


def test_while_nothing_can_be_written_nothing_is_promised(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.05)
    held = house.submit(hold=True)
    house.journal.refuses = True
    code, sentence = house.refused(wire.Release(jobs=(held,)))
    assert code == "unavailable"
    assert "could not be written down yet" in sentence
    before = house.call(wire.Queue())
    for request in (
        wire.Submit(jobs=(job(),)),
        wire.Hold(jobs=(held,)),
        wire.Edit(job=held, set={"name": "x"}),
        wire.Pause(),
        wire.Move(job=held, to="front"),
    ):
        code, sentence = house.refused(request)
        assert (code, "nothing was changed" in sentence) == ("unavailable", True)
    after = house.call(wire.Queue())
    for never in ("seq", "paused", "counts"):
        assert after[never] == before[never]
    assert [one["name"] for one in after["queued"]] == [one["name"] for one in before["queued"]]
    house.journal.refuses = False
    house.until(held, "completed")
    assert house.submit() == held + 1


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 6 MiB."""
    with small_disk(tmp_path / "small", "6m") as folder:
        yield folder


@pytest.fixture
def cramped(small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house on the small disk."""
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.1)
    before = children_of(os.getpid())
    adopt_orphans(1)
    made = House(Home(small / "home"))
    made.start()
    yield made
    made.close()
    wait_until(lambda: not left_over(before))
    adopt_orphans(0)


def fill(folder: Path) -> Path:
    """Not one byte is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 2**12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast


def test_a_full_disk(cramped: House, small: Path, tmp_path: Path) -> None:
    house, gate = cramped, tmp_path / "gate"
    wait_until(lambda: house.actor.ledger.reserve.held)
    running = house.submit(*gated(gate))
    house.until(running, "running")
    ballast = fill(small)
    # What is on its way when the disk turns out to be full is kept and confirmed: the reserve is for that.
    made: list[int] = []

    def spent() -> bool:
        answer = house.answer(house.ask(wire.Submit(jobs=(job(env={"X": "x" * 100_000}, hold=True),)))[0])
        if answer["ok"]:
            made.append(answer["result"]["jobs"][0]["id"])
        return not house.actor.ledger.reserve.held

    wait_until(spent)
    assert made
    assert rows(house.home, f"SELECT count(*) FROM jobs WHERE id={made[-1]}") == [(1,)], "confirmed, so on disk"
    assert house.actor.core.next_id == made[-1] + 1
    before = house.call(wire.Queue())
    for request in (
        wire.Submit(jobs=(job(),)),
        wire.Edit(job=made[0], set={"name": "x"}),
    ):
        code, sentence = house.refused(request)
        assert (code, "nothing was changed" in sentence) == ("unavailable", True)
    assert house.call(wire.Queue())["seq"] == before["seq"]
    assert house.actor.core.next_id == made[-1] + 1
    assert house.verb(wire.Cancel(jobs=(running,))) is None
    assert house.until(running, "cancelled")["signal"] is not None
    ballast.unlink()
    wait_until(lambda: house.actor.ledger.reserve.held)
    assert (small / "home" / "reserve").stat().st_size == SIZE
    assert house.submit() == made[-1] + 1
    house.until(made[-1] + 1, "completed")
    house.restart()
    assert [house.status(one)["state"] for one in made] == ["queued"] * len(made)


def test_who_ends_with_a_cancelled_job_is_cancelled_as_well_and_no_refusal(house: House) -> None:
    house.call(wire.Pause())
    first = house.submit("true")
    second = house.submit("true", after=(first,))
    answers = house.call(wire.Cancel(jobs=(first, second)))["jobs"]
    assert [(answer["ok"], answer["changed"], answer["state"]) for answer in answers] == [(True, True, "cancelled")] * 2
    assert house.verb(wire.Cancel(jobs=(second,))) == "conflict"
    assert len(house.call(wire.Cancel(jobs=(9, 9)))["jobs"]) == 1


def test_a_cancel_works_while_nothing_can_be_written(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be confirmed, but the job that fills the disk is stopped; and it is written down afterwards."""
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.05)
    running = house.submit(*gated(tmp_path / "gate"))
    waiting = house.submit()
    house.until(running, "running")
    house.journal.refuses = True
    assert "not be written down yet" in house.refused(wire.Move(job=waiting, to="front"))[1]
    assert "nothing was changed" in house.refused(wire.Hold(jobs=(waiting,)))[1]
    [slot] = house.ask(wire.Cancel(jobs=(running,)))
    assert house.answer(slot)["error"]["code"] == "unavailable"
    wait_until(lambda: house.status(running)["state"] == "cancelled")
    assert house.status(waiting)["state"] == "queued"
    assert rows(house.home, f"SELECT state FROM jobs WHERE id={running}") == [("running",)]
    house.journal.refuses = False
    house.until(waiting, "completed")
    house.restart()
    assert [house.status(one)["state"] for one in (running, waiting)] == ["cancelled", "completed"]


def test_a_repeated_key_is_not_confirmed_before_its_submit_is_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repeat changes nothing by itself: what it promises is the submit before it, in the same batch."""
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.05)
    house.journal.refuses = True
    submit = wire.Submit(jobs=(job(hold=True),), key="k")
    answers = [house.answer(slot) for slot in house.ask(submit, submit)]
    assert [answer["ok"] for answer in answers] == [False, False]
    house.journal.refuses = False
    wait_until(lambda: house.actor.ledger.error is None)
    assert house.call(submit)["jobs"][0]["id"] == 1
    assert rows(house.home, "SELECT count(*) FROM jobs") == [(1,)]


def test_a_foreign_write_lock_is_no_full_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, freezes nobody, and costs no reserve; what has waited is written down when it is gone."""
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.05)
    wait_until(lambda: house.actor.ledger.reserve.held)
    began = time.monotonic()
    with closing(sqlite3.connect(house.home.database, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        code, sentence = house.refused(wire.Submit(jobs=(job(hold=True),)))
        assert code == "unavailable"
        assert f"another process has locked {house.home.database}" in sentence
        assert "another process has locked" in house.refused(wire.Hold(jobs=(1,)))[1]
        assert "another process has locked" in house.refused(wire.Jobs())[1]
        assert house.call(wire.Queue())["counts"] == {"queued": 1}
        assert house.actor.ledger.reserve.held
    assert time.monotonic() - began < 3
    wait_until(lambda: house.actor.ledger.error is None)
    assert rows(house.home, "SELECT count(*) FROM jobs") == [(1,)]
    assert house.submit(hold=True) == 2


def test_what_keeps_the_reserve_from_being_made_is_no_full_disk(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.prepare()
    home.reserve.mkdir()
    house = House(home)
    house.start()
    assert house.submit(hold=True) == 1
    assert [str(home.reserve) in record.message for record in caplog.records] == [True]
    home.reserve.rmdir()
    wait_until(lambda: house.actor.ledger.reserve.held)
    house.close()
    assert not house.crashes


def test_a_disk_that_refuses_is_tried_once_a_pause(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others have tried in between."""
    monkeypatch.setattr("trainqueue.arbiter.RETRY_COMMIT", 0.2)
    house.journal.refuses = True
    house.refused(wire.Submit(jobs=(job(hold=True),)))
    for _ in range(20):
        house.ref.tell(Tidied([], [], HistorySettings()))
    house.call(wire.Ping())
    inbox = house.actor.inbox
    wait_until(lambda: len(retries(inbox)) == 1)
    house.journal.refuses = False
    wait_until(lambda: house.actor.ledger.error is None)
    assert not retries(inbox)


def retries(inbox: Inbox) -> list[Timer]:
    return [timer for _, _, timer in [*inbox._timers] if isinstance(timer.message, Flush)]
