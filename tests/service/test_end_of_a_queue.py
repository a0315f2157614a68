"""An embedded queue that is told to stop, has drained or has crashed lets go of its home by itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from support import wait_until

from trainqueue import Queue, TrainqError, guard
from trainqueue.client import Client
from trainqueue.errors import NoDaemonError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def shut_down(queue: Queue) -> None:
    queue.client.shutdown()


def drain(queue: Queue) -> None:
    queue.client.call("drain")


def crash(queue: Queue) -> None:
    del queue
    for ref in pykka.ActorRegistry.get_by_class_name("GPUArbiter"):
        ref.tell(Unthinkable())


class Unthinkable:
    """Its class is asked for by `match`, which is too much for an arbiter."""

    def __getattribute__(self, name: str) -> Any:
        raise MemoryError(name)


ENDS: dict[str, tuple[Callable[[Queue], None], str]] = {
    "shutdown": (shut_down, "this queue was told to stop"),
    "drain": (drain, "this queue was told to stop"),
    "crash": (crash, "this queue has stopped by a fault of its own"),
}


@pytest.mark.usefixtures("expected_crash")
@pytest.mark.parametrize(("end", "words"), ENDS.values(), ids=ENDS.keys())
def test_it_frees_its_home_and_says_so(tmp_path: Path, end: Callable[[Queue], None], words: str) -> None:
    with Queue(home=tmp_path / "home") as queue:
        job = queue.submit(["true"])
        job.wait(20)
        end(queue)
        wait_until(lambda: not guard.is_held(queue.home.lock))
        for call in (lambda: queue.submit(["true"]), job.status, job.wait, job.cancel):
            with pytest.raises(NoDaemonError, match=words):
                call()
        with Queue(home=tmp_path / "home") as next_one:  # while the first block goes on
            assert next_one.submit(["true"]).wait(20).state == "completed"
        queue.close()


def test_a_stop_by_another_program(tmp_path: Path) -> None:
    with Queue(home=tmp_path / "home") as queue:
        command = [sys.executable, "-m", "trainqueue.cli", "--home", str(queue.home.path), "daemon", "stop"]
        assert subprocess.run(command, timeout=30, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_program_that_forgets_to_close_ends(tmp_path: Path) -> None:
    program = (
        "import trainqueue\n"
        f"queue = trainqueue.Queue(home={str(tmp_path / 'home')!r})\n"
        "print(queue.submit(['true']).wait(20).exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=40, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n", b"")


def test_a_text_is_no_command(tmp_path: Path) -> None:
    with Queue(home=tmp_path / "home") as queue, pytest.raises(TypeError, match="list of words"):
        queue.submit("sleep 1")


def test_handles_and_errors_are_readable(tmp_path: Path) -> None:
    with Queue(home=tmp_path / "home") as queue:
        job = queue.submit(["true"], hold=True)
        assert repr(job) == "QueuedJob(1)"
        with pytest.raises(TimeoutError, match="1 of 1 jobs"):
            job.wait(0.01)
    assert issubclass(NoDaemonError, TrainqError)


def test_a_home_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setattr("os.scandir", forbidden)  # root may look into anything
    with Client(str(tmp_path / "home")) as client, pytest.raises(NoDaemonError, match="somebody else"):
        client.ping()


def forbidden(path: object) -> None:
    raise PermissionError(path)
