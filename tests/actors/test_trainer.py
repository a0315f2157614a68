"""The trainer with a real runner below it and a recorder above: what it tells, and when."""

from __future__ import annotations

import errno
import os
import resource
import signal
from typing import TYPE_CHECKING, cast

import pytest
from runner.conftest import PYTHON
from support import wait_until

from trainqueue.actor import stop_and_join
from trainqueue.launch import verdict
from trainqueue.launch.local import Runner
from trainqueue.messages.attempts import Ended, Gone, Progress, Started, StopAttempt, TrainerFailed
from trainqueue.trainer import TrainerActor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pykka
    from house import Told
    from runner.conftest import Launcher, Run

    from trainqueue.inbox import Inbox

GATE = "while [ ! -e gate ]; do sleep 0.01; done; exit 7"


class Trainers:
    """Starts them and sees their end."""

    def __init__(self, arbiter: Told) -> None:
        self.arbiter = arbiter
        self.refs: list[pykka.ActorRef[TrainerActor]] = []

    def start(
        self, run: Run, *, runner: bool = True, started: bool = False, log: str = ""
    ) -> pykka.ActorRef[TrainerActor]:
        carried = run.runner if runner else None
        self.refs.append(TrainerActor.start(self.arbiter.ref, carried, 1, 1, run.folder, log, started=started))
        return self.refs[-1]


@pytest.fixture
def trainers(arbiter: Told) -> Iterator[Trainers]:
    made = Trainers(arbiter)
    yield made
    for ref in made.refs:
        stop_and_join(ref, 5)


def kinds(arbiter: Told) -> list[str]:
    return [type(message).__name__ for message in arbiter.messages if not isinstance(message, Progress)]


def opened(run: Run) -> None:
    (run.cwd / "gate").touch()


def test_the_facts_of_a_life_in_their_order(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.arm("sh", "-c", "exit 3")
    ref = trainers.start(run)
    run.runner.go({})
    assert arbiter.hear(Gone) == Gone(1, 1, None)
    assert kinds(arbiter) == ["Started", "Ended", "Gone"]
    assert arbiter.hear(Ended).result.exit_code == 3
    wait_until(lambda: not ref.is_alive())


def test_a_free_runner_is_given_back_alive(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.arm("true")
    ref = trainers.start(run)
    run.runner.go({}, stay=True)
    assert arbiter.hear(Gone) == Gone(1, 1, None, free=True)
    wait_until(lambda: not ref.is_alive())
    assert kinds(arbiter) == ["Started", "Ended", "Gone"]
    assert not run.runner.gone()
    run.hang_up()
    assert run.exit_of_runner() == 0


@pytest.mark.parametrize("force", [False, True])
def test_stop_is_with_grace_or_at_once(launcher: Launcher, trainers: Trainers, arbiter: Told, *, force: bool) -> None:
    run = launcher.arm("sh", "-c", "trap '' TERM; echo ready; sleep 1000", grace=1000 if force else 0.1)
    ref = trainers.start(run)
    run.runner.go({})
    run.says("ready")
    ref.tell(StopAttempt(force))
    assert arbiter.hear(Ended).result.reason == "cancel"
    arbiter.hear(Gone)


def test_a_stop_that_overtakes_the_start_is_not_forgotten(
    launcher: Launcher, trainers: Trainers, arbiter: Told
) -> None:
    """The runner, on a busy machine, is slower than the arbiter, which has told it to go by then."""
    run = launcher.prepare("sleep", "1000")
    run.hear("ready")
    run.runner.signal(signal.SIGSTOP)
    run.runner.arm(run.folder, run.spec)
    ref = trainers.start(run)
    run.runner.go({})
    ref.tell(StopAttempt(force=False))
    ref.ask(StopAttempt(force=False))  # by its answer the first is done
    run.runner.signal(signal.SIGCONT)
    assert arbiter.hear(Ended).result.reason == "cancel"
    arbiter.hear(Gone)


def test_a_runner_that_has_gone_is_told_nothing_more(
    launcher: Launcher, trainers: Trainers, arbiter: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the bench's to close from then on, and its descriptor may be another one's."""
    run, told = launcher.arm("true"), TrainerActor._tell
    signals: list[int] = []

    def noted(_: Runner, number: int) -> None:
        signals.append(number)

    monkeypatch.setattr(Runner, "signal", noted)

    def late(trainer: TrainerActor, fact: object) -> None:
        if isinstance(fact, Gone):
            trainer.actor_ref.tell(StopAttempt(force=True))
        told(trainer, fact)

    monkeypatch.setattr(TrainerActor, "_tell", late)
    ref = trainers.start(run)
    run.runner.go({})
    arbiter.hear(Gone)
    wait_until(lambda: not ref.is_alive())
    assert signals == []


def fault(*_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.usefixtures("expected_crash")
def test_a_crash_is_told_and_a_second_one_goes_on(
    launcher: Launcher, trainers: Trainers, arbiter: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launcher.arm("sh", "-c", GATE)
    first = trainers.start(run)
    with monkeypatch.context() as broken:
        broken.setattr(TrainerActor, "_watch_progress", fault)
        run.runner.go({})
        assert arbiter.hear(TrainerFailed) == TrainerFailed(1, 1)
        wait_until(lambda: not first.is_alive())
    assert not arbiter.of(Gone), "the GPU is still held"
    trainers.start(run, started=True)
    opened(run)
    assert arbiter.hear(Gone) == Gone(1, 1, None)
    assert [ended.result.exit_code for ended in arbiter.of(Ended)] == [7]


@pytest.mark.usefixtures("expected_crash")
@pytest.mark.parametrize("stay", [False, True])
def test_the_end_that_a_crash_has_swallowed_is_found_in_the_record(
    launcher: Launcher, trainers: Trainers, arbiter: Told, monkeypatch: pytest.MonkeyPatch, *, stay: bool
) -> None:
    run = launcher.arm("sh", "-c", "exit 7")
    with monkeypatch.context() as broken:
        broken.setattr(verdict, "result_of", fault)
        first = trainers.start(run)
        run.runner.go({}, stay=stay)
        arbiter.hear(TrainerFailed)
        wait_until(lambda: not first.is_alive())
    wait_until((run.folder / "exit").exists)
    last = trainers.start(run, started=True)
    arbiter.hear(Gone)
    wait_until(lambda: not last.is_alive())
    if stay:
        run.hang_up()
        assert run.exit_of_runner() == 0
    assert [ended.result.exit_code for ended in arbiter.of(Ended)] == [7]


def test_while_the_disk_refuses_an_answer_the_gpu_is_held(
    launcher: Launcher, trainers: Trainers, arbiter: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launcher.start("sh", "-c", GATE, env={"PATH": os.defpath, "TRAINQ_JOB_DIR": str(launcher.home)})
    pid = run.job()
    asked: list[object] = []

    def full(folder: object) -> None:
        asked.append(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(verdict, "verdict", full)
        trainers.start(run, started=True)
        run.runner.signal(signal.SIGKILL)
        wait_until(lambda: len(asked) >= 3)
        assert not arbiter.of(Gone)
        assert not arbiter.of(TrainerFailed)
    os.waitpid(pid, os.WNOHANG)
    assert arbiter.hear(Gone).verdict == "lost"
    wait_until(lambda: os.waitpid(pid, os.WNOHANG) != (0, 0))


def test_lost_only_when_nothing_of_it_lives(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    """A child in a session of its own, known by its environment alone."""
    script = "setsid sh -c 'echo child $$; exec sleep 1000' & echo main $$; wait"
    run = launcher.start("sh", "-c", script, env={"PATH": os.defpath, "TRAINQ_JOB_DIR": str(launcher.home)})
    pids = [int(run.says(word)[0]) for word in ("child", "main")]
    trainers.start(run, started=True)
    run.runner.signal(signal.SIGKILL)
    assert arbiter.hear(Gone).verdict == "lost"
    for pid in pids:  # ours now, and dead at this moment
        assert os.waitpid(pid, os.WNOHANG)[0] == pid


@pytest.mark.parametrize("gone", ["the claim", "the folder"])
def test_one_that_has_run_is_lost_whatever_is_removed(
    launcher: Launcher, trainers: Trainers, arbiter: Told, gone: str
) -> None:
    script = "import time; print('runs', flush=True); time.sleep(1000)"
    env = {"PATH": os.defpath, "TRAINQ_JOB_DIR": str(launcher.home)}
    run = launcher.arm(*PYTHON, "-c", script, env=env)
    trainers.start(run)
    run.runner.go({})
    pid = arbiter.hear(Started).pid
    assert pid is not None
    run.says("runs")  # by its birth alone the kernel may not show its environment yet
    (run.folder / "claim").unlink()
    if gone == "the folder":
        run.folder.rmdir()
    run.runner.signal(signal.SIGKILL)
    assert arbiter.hear(Gone).verdict == "lost"
    assert os.waitpid(pid, os.WNOHANG)[0] == pid  # ours now, and dead at this moment


def test_without_a_runner_it_finds_the_record(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.start("sh", "-c", "exit 7")
    run.ended()
    ref = trainers.start(run, runner=False, started=True)
    assert arbiter.hear(Gone).verdict is None
    assert arbiter.hear(Ended).result.exit_code == 7
    wait_until(lambda: not ref.is_alive())


def test_one_that_dies_armed_is_void(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.arm("true")
    trainers.start(run)
    run.runner.signal(signal.SIGKILL)
    assert arbiter.hear(Gone).verdict == "void"
    assert kinds(arbiter) == ["Gone"]


def test_one_that_the_machine_refuses_says_why(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.arm("true")
    trainers.start(run)
    resource.prlimit(run.runner.pid, resource.RLIMIT_FSIZE, (0, 0))
    run.runner.go({})
    assert arbiter.hear(Gone) == Gone(1, 1, "void", refused=os.strerror(errno.EFBIG))
    assert kinds(arbiter) == ["Gone"]


def test_nobody_to_tell(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    run = launcher.arm("sh", "-c", GATE)
    ref = trainers.start(run)
    run.runner.go({})
    arbiter.hear(Started)
    arbiter.close()
    opened(run)
    wait_until(lambda: not ref.is_alive())
    record = run.record()
    assert record is not None
    assert record.exit_code == 7


def test_the_last_word_comes_before_the_end(launcher: Launcher, trainers: Trainers, arbiter: Told) -> None:
    path = launcher.home / "progress.json"
    run = launcher.arm("sh", "-c", f'echo \'{{"step": 9, "total": 9}}\' > {path}')
    trainers.start(run)
    run.runner.go({})
    arbiter.hear(Gone)
    told = [message for message in arbiter.messages if isinstance(message, Progress | Ended)]
    assert [type(message) for message in told] == [Progress, Ended]
    assert arbiter.of(Progress)[0].progress["step"] == 9


def test_a_silent_job_wakes_nobody_and_one_whose_log_cannot_be_read_neither(
    launcher: Launcher, trainers: Trainers, arbiter: Told, tmp_path: Path
) -> None:
    """All timers run out, and no other is set."""
    path = tmp_path / "output.log"
    path.write_text("step 1/9 loss 0.5\n", encoding="ascii")
    run = launcher.start("sleep", "1000")
    ref = trainers.start(run, started=True, log=str(path))
    inbox = cast("Inbox", ref.actor_inbox)
    assert arbiter.hear(Progress).progress["step"] == 1
    wait_until(lambda: not inbox._timers)
    path.write_text("step 1/9 loss 0.5\nstep 5/9 loss 0.4\n", encoding="ascii")
    wait_until(lambda: arbiter.of(Progress)[-1].progress["step"] == 5)
    wait_until(lambda: not inbox._timers)
    path.write_text("x" * 5000, encoding="ascii")
    path.unlink()
    path.mkdir()
    wait_until(lambda: not inbox._timers)
    ref.tell(StopAttempt(force=True))
    arbiter.hear(Gone)
