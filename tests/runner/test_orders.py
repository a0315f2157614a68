"""Signals, suspension and preemption, as ordered through the attempt's folder: without a daemon's help."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from support import wait_until

from trainqueue.launch import orders

if TYPE_CHECKING:
    from runner.conftest import Launcher, Run

TREE = "setsid sh -c 'echo away $$; while :; do sleep 0.02; done' & echo ready; while :; do sleep 0.02; done"
"""One of its processes has left the group and the session."""
DEAF = "trap 'echo warned' USR1; trap '' TERM; echo ready; while :; do sleep 0.02; done"


def order(run: Run, *wanted: orders.Order) -> None:
    for one in wanted:
        orders.append(run.folder, one)
    run.runner.signal(signal.SIGUSR2)


def stopped(run: Run, pid: int) -> bool:
    """A shell whose fresh child was stopped before it became its program is in D: it waits for that."""
    return run.status_of(pid)["State"][0] in "TD"


def test_a_signal_goes_to_the_group(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap 'echo heard; exit 7' USR1; echo ready; while :; do sleep 0.02; done")
    run.says("ready")
    order(run, {"signal": int(signal.SIGUSR1)})
    assert run.ended()["exit_code"] == 7
    assert "heard" in run.text().split()


def test_each_order_is_obeyed_once_and_half_a_line_not_before_it_is_whole(launcher: Launcher) -> None:
    traps = "trap 'echo heard' USR1; trap 'exit 0' USR2"
    run = launcher.start("sh", "-c", f"{traps}; echo ready; while :; do sleep 0.02; done")
    run.says("ready")
    order(run, {"signal": int(signal.SIGUSR1)})
    run.says("heard")
    path = run.folder / "orders"
    line = b'{"signal": %d}\n' % signal.SIGUSR2
    path.write_bytes(path.read_bytes() + b"[]\nnonsense\n" + line[:5])
    run.runner.signal(signal.SIGUSR2)
    assert not run.runner.gone(0.1)
    path.write_bytes(path.read_bytes() + line[5:])
    run.runner.signal(signal.SIGUSR2)
    assert run.ended()["exit_code"] == 0
    assert run.text().split().count("heard") == 1


def test_a_line_that_a_dead_daemon_has_left_unfinished_swallows_no_other_one(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap 'echo heard' USR1; echo ready; while :; do sleep 0.02; done")
    run.says("ready")
    for told, torn in enumerate((b'{"sig', b'{"suspend": true}'), 1):
        with (run.folder / "orders").open("ab") as file:
            file.write(torn)
        assert {"suspend": True} not in orders.given(run.folder), "nobody has promised that"
        order(run, {"signal": int(signal.SIGUSR1)})
        wait_until(lambda: run.text().split().count("heard") == told)  # noqa: B023  (at once)
    order(run, {"signal": int(signal.SIGTERM)})
    assert run.ended()["signal"] == signal.SIGTERM
    assert [order["signal"] for order in orders.given(run.folder)] == [signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM]


def test_suspend_stops_the_whole_tree_and_continue_wakes_it(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", TREE)
    pid, [away] = run.job(), run.says("away")
    order(run, {"suspend": True})
    wait_until(lambda: stopped(run, pid) and stopped(run, int(away)))
    order(run, {"continue": True})
    wait_until(lambda: not stopped(run, pid) and not stopped(run, int(away)))
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["reason"] == "cancel"


def test_nothing_escapes_that_forks_all_the_time(launcher: Launcher) -> None:
    """Its processes are orphans of orphans, each of which says something a little later."""
    forks = "while :; do (setsid sh -c 'echo x; sleep 0.1; echo y' &) ; sleep 0.002; done"
    run = launcher.start("sh", "-c", f"{forks} & {forks} & echo ready; wait")
    run.says("ready")
    for _ in range(8):
        order(run, {"suspend": True})
        wait_until(lambda: stands_still(run))  # not quiet: on a busy machine nobody may have a turn for a while
        assert is_quiet(run, 0.2)
        order(run, {"continue": True})
        wait_until(lambda: not is_quiet(run, 0.03))
    run.runner.signal(signal.SIGQUIT)
    run.ended()


def stands_still(run: Run) -> bool:
    """Nothing of it moves, and a second look finds nobody new."""

    def look() -> set[int]:
        found, todo = set[int](), run.children_of(run.runner.pid)
        while todo:
            found |= todo
            todo = set[int]().union(*map(children, todo)) - found
        return found

    def children(pid: int) -> set[int]:
        with contextlib.suppress(OSError):
            return run.children_of(pid)
        return set()

    def moves(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return run.status_of(pid)["State"][0] not in "TDZX"
        return True

    before = look()
    return not any(moves(pid) for pid in before) and look() == before


def is_quiet(run: Run, seconds: float) -> bool:
    before = len(run.text())
    assert not run.runner.gone(seconds)
    return len(run.text()) == before


def test_limit_and_warning_stand_still_while_it_is_suspended(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), time_limit=0.8, warn=0.3)
    run.says("ready")
    order(run, {"suspend": True})
    assert not run.runner.gone(1.0)
    assert "warned" not in run.text()
    asked = time.monotonic()
    order(run, {"continue": True})
    record = run.ended()
    assert (record["exit_code"], record["reason"]) == (0, "time-limit")
    assert "warned" in run.text()
    assert record["seconds"] < time.monotonic() - asked + 0.8
    assert record["seconds"] < 1.7, "the suspended second does not count"


def test_a_suspended_tree_goes_on_to_save_when_it_is_cancelled(launcher: Launcher) -> None:
    """Its leader is a shell that waits, and the process that saves has left the group."""
    words = " ".join(f"'{word}'" for word in launcher.program("saves"))
    run = launcher.start("sh", "-c", f"trap 'kill $!; wait $!; exit 3' TERM; setsid {words} & wait $!", grace=5)
    run.says("ready")
    pid = run.job()
    order(run, {"suspend": True})
    wait_until(lambda: stopped(run, pid))
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["reason"] == "cancel"
    assert "saved" in run.text().split()


def test_a_suspended_job_can_be_killed(launcher: Launcher) -> None:
    began = time.monotonic()
    run = launcher.start("sh", "-c", TREE)
    pid, [away] = run.job(), run.says("away")
    order(run, {"suspend": True})
    wait_until(lambda: stopped(run, pid))
    before = time.monotonic()
    assert not run.runner.gone(0.5)
    run.runner.signal(signal.SIGQUIT)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "cancel")
    assert not run.alive(int(away))
    assert record["seconds"] < before - began, "the pause is no run time"


def test_preempt_warns_waits_terminates_and_kills(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", DEAF, grace=0.3)
    run.says("ready")
    asked = time.monotonic()
    order(run, {"preempt": {"warn": 0.3}})
    run.says("warned")
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "preempt")
    assert 0.6 <= time.monotonic() - asked < 5


def test_preempt_without_warning_is_sigterm_at_once(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), grace=1000)
    run.says("ready")
    order(run, {"preempt": {"warn": 0}})
    record = run.ended()
    assert (record["exit_code"], record["reason"]) == (0, "preempt")
    assert "warned" not in run.text()


def test_a_job_that_ends_by_itself_after_the_warning_is_preempted(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap 'exit 4' USR1; echo ready; while :; do sleep 0.02; done")
    run.says("ready")
    order(run, {"preempt": {"warn": 1000}})
    record = run.ended()
    assert (record["exit_code"], record["reason"]) == (4, "preempt")


def test_a_preemption_puts_no_time_limit_off(launcher: Launcher) -> None:
    run = launcher.start(
        "sh", "-c", "trap 'echo warned' USR1; echo ready; while :; do sleep 0.02; done", time_limit=0.6
    )
    run.says("ready")
    order(run, {"preempt": {"warn": 1000}})
    run.says("warned")
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGTERM, "preempt")


def test_a_cancel_goes_before_a_preemption(launcher: Launcher) -> None:
    for warn in (0, 1000):
        run = launcher.start("sh", "-c", DEAF, grace=0.3)
        run.says("ready")
        order(run, {"preempt": {"warn": warn}})
        if warn:
            run.says("warned")
        run.runner.signal(signal.SIGTERM)
        assert run.ended()["reason"] == "cancel"


def test_preempting_a_suspended_job_lets_it_save(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), grace=1000)
    run.says("ready")
    pid = run.job()
    order(run, {"suspend": True})
    wait_until(lambda: stopped(run, pid))
    order(run, {"preempt": {"warn": 0.2}})
    assert (run.ended()["reason"], run.text().split().count("saved")) == ("preempt", 1)


def test_the_orders_of_one_attempt_are_not_the_next_ones(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "echo ready; sleep 0.2")
    run.says("ready")
    order(run, {"signal": int(signal.SIGTERM)}, {"continue": True})
    assert run.ended()["signal"] == signal.SIGTERM
    assert orders.given(run.folder) == [{"signal": int(signal.SIGTERM)}, {"continue": True}]
