"""One runner, several attempts: what the first one leaves must not reach the second."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from runner.conftest import Run, children_of
from support import wait_until

from trainqueue.launch import verdict

if TYPE_CHECKING:
    from runner.conftest import Launcher

GATE = "while [ ! -e gate ]; do sleep 0.01; done; exit 7"


def follows(launcher: Launcher, first: Run, *argv: str, **fields: Any) -> Run:
    """A second attempt armed on the runner of the first, which must have said that it is free."""
    assert first.hear("free") is True
    folder, log = launcher.home / "second", launcher.home / "second.log"
    verdict.prepare(folder)
    spec = {"argv": argv, "cwd": str(launcher.cwd), "log": str(log), "grace": 5.0, "env": {"PATH": os.defpath}}
    run = Run(first.runner, folder, log, Path(fields.get("cwd", launcher.cwd)), {**spec, **fields})
    run.runner.arm(run.folder, run.spec)
    assert run.hear("armed") is True
    return run


def stay(launcher: Launcher, *argv: str, **fields: Any) -> Run:
    run = launcher.arm(*argv, **fields)
    run.runner.go({"FIRST": "1"}, stay=True)
    return run


def test_two_attempts_each_with_its_own_record(launcher: Launcher) -> None:
    first = stay(launcher, "sh", "-c", "echo one; exit 3")
    told = first.hear("ended")
    assert told["exit_code"] == 3
    second = follows(launcher, first, "sh", "-c", "echo two; exit 4")
    assert json.loads((first.folder / "exit").read_bytes()) == told, "written before it said that it is free"
    second.runner.go({})
    assert second.ended()["exit_code"] == 4
    assert (first.text(), second.text()) == ("one\n", "two\n")
    assert verdict.started_in(second.folder)["env"] == {}
    assert json.loads((first.folder / "exit").read_bytes()) == told


def test_the_second_gets_its_own_umask_folder_environment_and_nothing_else(launcher: Launcher) -> None:
    elsewhere = launcher.home / "elsewhere"
    elsewhere.mkdir()
    env = {"PATH": os.defpath, "ODD": "first"}
    first = stay(launcher, "sh", "-c", "exit 0", umask=0o007, cwd=str(elsewhere), env=env)
    second = follows(launcher, first, *launcher.program("tells"), umask=0o077, env={"PATH": os.defpath})
    second.runner.go({"MORE": "x"})
    record = second.ended()
    told = json.loads(second.text())
    assert told["umask"] == 0o077
    assert bytes.fromhex(told["cwd"]).decode() == str(launcher.cwd)
    assert told["odd"] == ""
    assert (told["fds"], told["blocked"], told["ignored"]) == ([0, 1, 2], 0, 0)
    assert (told["pid"], told["sid"], told["ppid"]) == (record["pid"], record["pid"], second.runner.pid)


def test_no_umask_means_that_of_the_runner_and_not_of_the_job_before(launcher: Launcher) -> None:
    alone = launcher.start(*launcher.program("tells"))
    alone.ended()
    first = stay(launcher, "true", umask=0o007)
    second = follows(launcher, first, *launcher.program("tells"))
    second.runner.go({})
    second.ended()
    assert json.loads(second.text())["umask"] == json.loads(alone.text())["umask"]


def test_the_environment_of_the_first_is_gone(launcher: Launcher) -> None:
    first = stay(launcher, "true", env={"PATH": os.defpath, "SECRET": "s"})
    second = follows(launcher, first, "env", env={"PATH": os.defpath, "OWN": "o"})
    second.runner.go({"GPU": "g"})
    second.ended()
    assert sorted(second.text().splitlines()) == ["GPU=g", "OWN=o", f"PATH={os.defpath}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_cancel_that_comes_too_late_is_not_for_the_next(launcher: Launcher, number: signal.Signals) -> None:
    """Sent when the first has ended, and waiting in the runner while it writes the record and is armed again."""
    first = stay(launcher, "true")
    first.hear("ended")
    first.runner.signal(number)
    second = follows(launcher, first, "sh", "-c", GATE)
    second.runner.go({})
    second.job()
    (launcher.cwd / "gate").touch()
    record = second.ended()
    assert (record["exit_code"], record["reason"]) == (7, None)


def test_a_cancel_of_the_second_works(launcher: Launcher) -> None:
    first = stay(launcher, "true")
    second = follows(launcher, first, "sleep", "1000")
    second.runner.go({})
    second.job()
    second.runner.signal(signal.SIGTERM)
    assert second.ended()["reason"] == "cancel"


def test_the_limits_of_the_first_are_not_those_of_the_second(launcher: Launcher) -> None:
    first = stay(launcher, "sleep", "1000", time_limit=0.1, grace=0.1)
    assert first.hear("ended")["reason"] == "time-limit"
    second = follows(launcher, first, "sh", "-c", "sleep 0.3; exit 5")
    second.runner.go({})
    record = second.ended()
    assert (record["exit_code"], record["reason"]) == (5, None)


def test_nobody_of_the_first_lives_in_the_second(launcher: Launcher) -> None:
    first = stay(launcher, *launcher.program("breeds", 10, "end"))
    first.hear("ended")
    second = follows(launcher, first, "sh", "-c", GATE)
    assert children_of(second.runner.pid) == set()
    second.runner.go({})
    pid = second.job()
    assert children_of(second.runner.pid) == {pid}
    (launcher.cwd / "gate").touch()
    assert second.ended()["exit_code"] == 7


def test_it_opens_no_more_files_from_one_to_the_next(launcher: Launcher) -> None:
    first = stay(launcher, "true")
    second = follows(launcher, first, "sh", "-c", GATE)
    fds = {str(path.readlink()) for path in Path(f"/proc/{second.runner.pid}/fd").iterdir()}
    assert not [name for name in fds if "claim" in name or name.endswith(".log") or "memfd" in name]
    second.runner.go({})
    second.job()
    (launcher.cwd / "gate").touch()
    second.ended()


def test_one_that_could_not_start_its_job_may_be_used_again(launcher: Launcher) -> None:
    first = stay(launcher, "no-such-program")
    assert first.hear("ended")["reason"] == "start-failed"
    second = follows(launcher, first, "sh", "-c", "exit 6")
    second.runner.go({})
    assert second.ended()["exit_code"] == 6


def test_one_that_was_not_to_start_is_not_used_again(launcher: Launcher) -> None:
    run = launcher.arm("sh", "-c", "echo started")
    assert verdict.claim(run.folder)
    run.runner.go({}, stay=True)
    assert run.exit_of_runner() == 0
    assert not run.log.exists()


@pytest.mark.parametrize("when", ["while it runs", "when it is free", "when it is armed"])
def test_one_that_was_told_to_stay_leaves_when_its_daemon_has_died(launcher: Launcher, when: str) -> None:
    run = stay(launcher, "sh", "-c", GATE)
    run.job()
    if when == "while it runs":
        run.hang_up()
        (launcher.cwd / "gate").touch()
    else:
        (launcher.cwd / "gate").touch()
        if when == "when it is armed":
            follows(launcher, run, "sh", "-c", "echo started")
        else:
            run.hear("free")
        run.hang_up()
    assert run.exit_of_runner() == 0
    record = run.record()
    assert record is not None
    assert record.exit_code == 7
    assert not (launcher.home / "second.log").exists()
    wait_until(lambda: not run.alive(run.runner.pid))
