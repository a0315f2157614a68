"""Each invariant can fail: a true history of five jobs passes, and each forgery of it is seen by the right one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from soak.history import Ask, History, Kill, Life, News, Order, Stamp, stamp_from
from soak.invariants import INVARIANTS, plain, violations
from soak.report import report

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN, TOUCHED, LOST, CANCELLED, HIGH = 1, 2, 3, 4, 5
GPU = ("GPU-fake-0",)
RUNNER = 900


def order(job: int, code: int = 0, **fields: Any) -> Order:
    at = float(job)
    return Order(f"k{job}", (code,), id=job, sent=at, answered=at + 0.1, **fields)


def view(job: int, state: str, **fields: Any) -> dict[str, Any]:
    command = ["python", "-I", "-S", "job.py", "/folder", f"k{job}", "0", "0", "0.0", "plain"]
    blank = dict.fromkeys(("cause", "message", "why", "exit_code", "signal"))
    gpus = [] if state == "cancelled" else [*GPU]
    fixed: dict[str, Any] = {"id": job, "state": state, "attempt": 1, "gpu_ids": gpus, "priority": 0}
    return {**blank, **fixed, "command": command, **fields}


def stamp(what: Any, job: int, at: float, word: str = "-") -> Stamp:
    return Stamp(what, job, 1, f"k{job}", 0, 1000 + job, RUNNER + job, at, GPU, word)


def history() -> History:
    """Jobs one after another on one GPU. One is moved, held, edited; one loses its runner; one is cancelled."""
    made = History(lives=[Life(50, 0.0, 0.5)])
    made.orders = [
        order(PLAIN),
        order(TOUCHED, 7, alone=False),
        order(LOST),
        order(CANCELLED, alone=False),
        order(HIGH, priority=100),
    ]
    made.asks = [
        Ask("hold", TOUCHED, 6.0, 6.1, ok=True, state="queued", tries=1),
        Ask("release", TOUCHED, 25.0, 25.1, ok=True, state="queued", tries=1),
        Ask("edit", TOUCHED, 25.3, 25.4, ok=True, state="queued", edition=0, tries=1),
        Ask("move", TOUCHED, 25.5, 25.6, ok=True, state="queued", to="front", tries=1),
        Ask("cancel", CANCELLED, 7.0, 7.1, ok=True, state="cancelled", tries=1),
    ]
    made.stamps = [
        *(stamp("start", HIGH, 10.0), stamp("stop", HIGH, 11.0, "0")),
        *(stamp("start", PLAIN, 12.0), stamp("stop", PLAIN, 13.0, "0")),
        stamp("start", LOST, 14.0),
        *(stamp("start", TOUCHED, 30.0), stamp("stop", TOUCHED, 31.0, "7")),
    ]
    made.kills = [Kill("runner", RUNNER + LOST, 15.0, "runner")]
    made.jobs = {
        PLAIN: view(PLAIN, "completed"),
        TOUCHED: view(TOUCHED, "failed", cause="exit", exit_code=7),
        LOST: view(LOST, "lost", cause="runner-died"),
        CANCELLED: view(CANCELLED, "cancelled", cause="user"),
        HIGH: view(HIGH, "completed", priority=100),
    }
    tell(made, 5.5, *((job, "queued") for job in made.jobs))
    tell(made, 7.0, (CANCELLED, "cancelled"))
    tell(made, 9.9, (HIGH, "pending"), (HIGH, "running"), (HIGH, "completed"))
    tell(made, 11.9, (PLAIN, "pending"), (PLAIN, "running"), (PLAIN, "completed"))
    tell(made, 13.9, (LOST, "pending"), (LOST, "running"))
    tell(made, 15.5, (LOST, "lost"))
    tell(made, 25.6, (TOUCHED, "queued"), what="moved")
    tell(made, 29.9, (TOUCHED, "pending"), (TOUCHED, "running"), (TOUCHED, "failed"))
    return made


def tell(made: History, at: float, *told: tuple[int, str], what: str = "job") -> None:
    for job, state in told:
        made.seqs.append(len(made.seqs) + 1)
        made.news.append(News(made.seqs[-1], at, what, job, state, 1))


def test_a_true_history_violates_nothing() -> None:
    made = history()
    assert violations(made) == []
    assert "violations none" in report(made, 1, 2.0, [])


# -- forgeries: what each does to the history, and which invariant sees it


def unacknowledged(made: History) -> None:
    made.orders[0].id = None


def vanished(made: History) -> None:
    del made.jobs[PLAIN]


def runs_for_ever(made: History) -> None:
    made.jobs[PLAIN]["state"] = "running"


def queued_twice(made: History) -> None:
    made.jobs[99] = view(99, "completed") | {"command": made.jobs[PLAIN]["command"]}


def one_id_for_two(made: History) -> None:
    made.orders[0].id = HIGH


def started_twice(made: History) -> None:
    made.stamps.append(stamp("start", PLAIN, 40.0))


def somebody_elses_command(made: History) -> None:
    made.stamps[2] = replace(made.stamps[2], key="k99")


def ended_twice(made: History) -> None:
    tell(made, 50.0, (PLAIN, "queued"), (PLAIN, "pending"), (PLAIN, "running"), (PLAIN, "completed"))


def ended_in_silence(made: History) -> None:
    made.news = [each for each in made.news if (each.job, each.state) != (PLAIN, "completed")]


def back_to_life(made: History) -> None:
    tell(made, 50.0, (PLAIN, "running"))


def hole_in_the_events(made: History) -> None:
    made.seqs.remove(4)


def wrong_code(made: History) -> None:
    made.jobs[TOUCHED]["exit_code"] = 8


def other_code_than_asked(made: History) -> None:
    made.orders[1].codes = (9,)


def completed_without_an_end(made: History) -> None:
    made.stamps.remove(stamp("stop", PLAIN, 13.0, "0"))


def failed_with_nothing(made: History) -> None:
    made.jobs[TOUCHED]["exit_code"] = 0


def not_retried(made: History) -> None:
    made.orders[1].alone, made.orders[1].retries = True, 1


def killed_by_nobody(made: History) -> None:
    made.jobs[PLAIN] |= {"state": "failed", "cause": "signal", "signal": 9}


def failed_for_no_reason(made: History) -> None:
    made.jobs[PLAIN] |= {"state": "failed", "cause": "start-failed"}


def lost_without_a_death(made: History) -> None:
    made.kills.clear()


def lost_with_another_runner(made: History) -> None:
    made.kills = [Kill("runner", RUNNER + PLAIN, 15.0, "runner")]


def orphan_lost_without_a_death(made: History) -> None:
    made.kills.clear()
    made.stamps[4] = replace(made.stamps[4], runner=0)


def cancelled_by_nobody(made: History) -> None:
    made.asks = [ask for ask in made.asks if ask.op != "cancel"]


def dependency_that_was_met(made: History) -> None:
    made.orders[3].after = (PLAIN,)
    made.jobs[CANCELLED]["cause"] = "dependency"


def one_attempt_too_many(made: History) -> None:
    made.jobs[PLAIN]["attempt"] = 2


def locked(made: History) -> None:
    made.stamps.append(stamp("overlap", PLAIN, 12.0, "GPU-fake-0"))


def two_on_a_gpu(made: History) -> None:
    made.stamps[2] = replace(made.stamps[2], at=10.5)


def two_attempts_at_a_time(made: History) -> None:
    made.stamps.append(replace(stamp("start", PLAIN, 12.5), attempt=2, gpus=("GPU-fake-1",)))


def another_gpu(made: History) -> None:
    made.jobs[PLAIN]["gpu_ids"] = ["GPU-fake-1"]


def too_many_gpus(made: History) -> None:
    made.orders[0].gpus = 2


def passed_in_the_line(made: History) -> None:
    made.orders[4].priority = 0


def cancelled_and_started(made: History) -> None:
    made.stamps.append(stamp("start", CANCELLED, 40.0))


def cancelled_and_completed(made: History) -> None:
    made.jobs[CANCELLED]["state"] = "completed"


def running_and_not_cancelled(made: History) -> None:
    made.asks.append(Ask("cancel", PLAIN, 12.1, 12.2, ok=True, state="running"))


def started_while_held(made: History) -> None:
    made.asks[1].sent = 30.5


def started_though_submitted_as_held(made: History) -> None:
    made.orders[0].held = True


def an_older_edition(made: History) -> None:
    made.asks[2].edition = 1


def priority_forgotten(made: History) -> None:
    made.asks.append(Ask("prioritise", TOUCHED, 26.0, 26.1, ok=True, state="queued", to="high"))


def move_forgotten(made: History) -> None:
    made.news = [each for each in made.news if each.type != "moved"]


def overtook_the_front(made: History) -> None:
    """The move came before the lost one started, which then went first."""
    moved = next(each for each in made.news if each.type == "moved")
    made.news.remove(moved)
    made.news.insert(-7, replace(moved, seq=0))


def left_over(made: History) -> None:
    made.left.append("4711 sleep 1000")


def odd(made: History) -> None:
    made.faults.append("the daemon ended by itself")


FORGERIES: list[tuple[Callable[[History], None], str]] = [
    (unacknowledged, "nothing is lost"),
    (vanished, "nothing is lost"),
    (runs_for_ever, "nothing is lost"),
    (queued_twice, "a key runs once"),
    (one_id_for_two, "a key runs once"),
    (started_twice, "an attempt runs once"),
    (somebody_elses_command, "an attempt runs once"),
    (ended_twice, "a job ends once"),
    (ended_in_silence, "a job ends once"),
    (back_to_life, "states follow the table"),
    (hole_in_the_events, "events have no hole"),
    (wrong_code, "codes are true"),
    (other_code_than_asked, "codes are true"),
    (completed_without_an_end, "codes are true"),
    (failed_with_nothing, "codes are true"),
    (not_retried, "codes are true"),
    (killed_by_nobody, "codes are true"),
    (failed_for_no_reason, "codes are true"),
    (lost_without_a_death, "codes are true"),
    (lost_with_another_runner, "codes are true"),
    (orphan_lost_without_a_death, "codes are true"),
    (cancelled_by_nobody, "codes are true"),
    (dependency_that_was_met, "codes are true"),
    (one_attempt_too_many, "attempts were asked for"),
    (locked, "nothing overlaps"),
    (two_on_a_gpu, "nothing overlaps"),
    (two_attempts_at_a_time, "nothing overlaps"),
    (another_gpu, "gpus are true"),
    (too_many_gpus, "gpus are true"),
    (passed_in_the_line, "first come first served"),
    (cancelled_and_started, "cancels stick"),
    (cancelled_and_completed, "cancels stick"),
    (running_and_not_cancelled, "cancels stick"),
    (started_while_held, "holds stick"),
    (started_though_submitted_as_held, "holds stick"),
    (an_older_edition, "edits stick"),
    (priority_forgotten, "edits stick"),
    (move_forgotten, "moves stick"),
    (overtook_the_front, "moves stick"),
    (left_over, "nobody is left"),
    (odd, "nothing odd was seen"),
]


@pytest.mark.parametrize(("forge", "seen_by"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_forgery_is_seen(forge: Callable[[History], None], seen_by: str) -> None:
    made = deepcopy(history())
    forge(made)
    wrong = violations(made)
    assert any(each.startswith(f"{seen_by}: ") for each in wrong), wrong


def test_each_invariant_is_seen_to_fail() -> None:
    assert {seen_by for _, seen_by in FORGERIES} == {plain(check.__name__) for check in INVARIANTS}


# -- what a death explains


def test_an_earlier_one_may_be_late_when_its_start_came_to_nothing() -> None:
    made = history()
    made.orders[4].priority, made.orders[2].alone = 0, False
    voided = (News(0, 9.0, "job", PLAIN, "queued", 1), News(0, 9.0, "job", PLAIN, "pending", 1))
    made.news[:0] = [*voided, News(0, 9.1, "job", PLAIN, "queued", 1)]
    assert not any("first come" in each for each in violations(made))


def test_a_later_one_may_have_been_begun_by_the_daemon_before() -> None:
    made = history()
    made.orders[4].priority = 0
    made.lives.append(Life(51, 9.8, None))
    assert not any("first come" in each for each in violations(made))


def test_a_job_whose_runner_died_at_its_birth() -> None:
    made = history()
    made.stamps[4] = replace(made.stamps[4], runner=0)
    made.kills = [Kill("runner", 4, 13.9, "runner")]
    assert violations(made) == []


def test_a_killed_job() -> None:
    made = history()
    made.kills.append(Kill("job", 1000 + PLAIN, 12.5, "job's group"))
    made.jobs[PLAIN] |= {"state": "failed", "cause": "signal", "signal": 9}
    assert not any("codes" in each for each in violations(made))


def test_a_stamp_is_read_as_it_was_written() -> None:
    line = "stop 3 1 k3-0 2 1003 903 12.5 GPU-fake-0,GPU-fake-1 7"
    assert stamp_from(line) == Stamp("stop", 3, 1, "k3-0", 2, 1003, 903, 12.5, ("GPU-fake-0", "GPU-fake-1"), "7")
    with pytest.raises(ValueError, match="begin"):
        stamp_from(line.replace("stop", "begin"))
