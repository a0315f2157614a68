"""Memory that ran out is recognised by the runner: by the last words of the log, and by the kernel's OOM killer."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from trainqueue.launch import local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.conftest import Launcher, Run

MEBI = 2**20
LOGS = Path(__file__).resolve().parent.parent / "fixtures" / "logs"
TORCH = LOGS / "gpu" / "torch.txt"
FAILS = f"cat '{TORCH}'; exit 1"
COUNTING = "while [ ! -e gate ]; do sleep 0.01; done; "


def logs(*kinds: str) -> list[str]:
    return sorted(f"{kind}/{path.stem}" for kind in kinds for path in (LOGS / kind).iterdir())


def last_words(launcher: Launcher, name: str) -> tuple[str | None, str]:
    record = launcher.start("sh", "-c", f"cat '{LOGS / name}.txt'; exit 1").ended()
    assert (record["exit_code"], record["signal"]) == (1, None)
    return record["reason"], record["message"]


@pytest.mark.parametrize("name", logs("gpu", "host"))
def test_what_frameworks_say(launcher: Launcher, name: str) -> None:
    reason, message = last_words(launcher, name)
    assert reason == "out-of-memory"
    begin, _, rest = message.partition('; the log says "')
    line, _, advice = rest.rpartition('"; ')
    assert begin == ("GPU memory ran out" if name.startswith("gpu") else "host memory ran out")
    assert line.removesuffix("…") in (LOGS / f"{name}.txt").read_text(encoding="utf-8")
    assert advice.startswith("try a smaller batch")
    assert len(message) < 400


@pytest.mark.parametrize("name", logs("other", "nothing"))
def test_what_only_looks_like_it(launcher: Launcher, name: str) -> None:
    assert last_words(launcher, name) == (None, "")


def test_a_real_memory_error(launcher: Launcher) -> None:
    record = launcher.start(sys.executable, "-c", "bytearray(1 << 60)").ended()
    assert record["reason"] == "out-of-memory"
    assert record["message"] == (
        'host memory ran out; the log says "MemoryError"; try a smaller batch, or fewer processes that load data'
    )


@pytest.mark.parametrize("end", ["kill -ABRT $$", "sh -c 'kill -ABRT $$'; exit 134"])
def test_an_abort_as_cpp_ends(launcher: Launcher, end: str) -> None:
    record = launcher.start("sh", "-c", f"ulimit -c 0; cat '{LOGS}/host/bad-alloc.txt'; {end}").ended()
    assert record["reason"] == "out-of-memory"
    assert (record["exit_code"] or -record["signal"]) in {134, -signal.SIGABRT}


@pytest.mark.parametrize("end", ["exit 0", "kill -KILL $$", "kill -SEGV $$", "exit 137", "exit 143"])
def test_another_end_is_not_explained_by_the_log(launcher: Launcher, end: str) -> None:
    record = launcher.start("sh", "-c", f"ulimit -c 0; cat '{TORCH}'; {end}").ended()
    assert (record["reason"], record["message"]) == (None, "")


def test_a_wished_end_stays_what_it_is(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", f"trap \"cat '{TORCH}'; exit 1\" TERM; echo here; while :; do sleep 0.01; done")
    run.says("here")
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["exit_code"], record["reason"], record["message"]) == (1, "cancel", "")
    limited = launcher.start("sh", "-c", f'trap "{FAILS}" TERM; while :; do sleep 0.01; done', time_limit=0.3)
    record = limited.ended()
    assert (record["exit_code"], record["reason"]) == (1, "time-limit")


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("head -c 200000000 /dev/zero; echo;", True),
        ("head -c 5000000 /dev/urandom; echo;", True),
        (f"{sys.executable} -ISc 'print(\"x\" * 10_000_000)';", True),
        ("yes 'epoch 3 loss 0.5' | head -c 20000000; echo;", True),
        (
            "yes 'RuntimeError: CUDA out of memory. Tried to allocate' | head -c 200000; head -c 10000000 /dev/zero;",
            False,
        ),
    ],
    ids=["zeros", "binary", "a long line", "many lines", "nothing but a long line"],
)
def test_a_log_of_any_kind_is_looked_at_in_no_time(launcher: Launcher, before: str, found: bool) -> None:  # noqa: FBT001
    """The last job's line has no end, so that there is no line to look at."""
    run = launcher.arm("sh", "-c", f"{before} {FAILS if found else 'printf x; exit 1'}", log_max_bytes=2 * MEBI)
    run.runner.go({})
    run.job()
    record = run.hear("ended")
    lag = time.time() - record["ended_at"]
    assert (record["reason"] == "out-of-memory") is found
    assert lag < 2
    assert run.exit_of_runner() == 0


@pytest.mark.parametrize(
    "instead", ["rm LOG", "rm LOG; mkfifo LOG", "rm LOG; mkdir LOG", "ln -sf /dev/zero LOG", f"ln -sf '{TORCH}' LOG"]
)
def test_a_log_that_is_gone_says_nothing(launcher: Launcher, instead: str) -> None:
    log = str(launcher.home / "log-1")
    record = launcher.start("sh", "-c", f"cat '{TORCH}'; {instead.replace('LOG', log)}; exit 1").ended()
    assert (record["exit_code"], record["reason"]) == (1, None)


RUNNER = """
import runpy, sys
sys.path[0] = {runner!r}
import oomkill
oomkill.places = lambda: [("/nowhere", True), ({counter!r}, {own!r})]
oomkill.FRESH, oomkill.APART = {fresh!r}, 0.02
runpy.run_path({runner!r} + "/__main__.py", run_name="__main__")
"""


class Led:
    """Runners whose kernel's counter is a file of the test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.program = folder / "cgroup" / "memory.events", folder / "runner"
        for made in (self.program, self.file.parent):
            made.mkdir()
        self.true = local.RUNNER
        self.own(yes=True)
        self.count(3)
        monkeypatch.setattr(local, "RUNNER", str(self.program))

    def own(self, *, yes: bool, fresh: float = 60.0) -> None:
        """Whether it counts a cgroup's kills, else the machine's; seconds for which a kill may be the reason."""
        text = RUNNER.format(runner=self.true, counter=str(self.file), own=yes, fresh=fresh)
        (self.program / "__main__.py").write_text(text, encoding="utf-8")

    def count(self, number: int) -> None:
        self.file.write_text(self.text(number), encoding="ascii")

    @staticmethod
    def text(number: int) -> str:
        return f"low 0\nhigh 0\nmax 9\noom 7\noom_kill {number}\noom_group_kill 0\n"

    def ends(self, launcher: Launcher, end: str, text: str | None = None, *, alone: bool = False) -> dict[str, Any]:
        """The record of a job during which the counter became `text`, by default one more.

        `alone`: nobody else is in its cgroup.
        """
        run = launcher.prepare("sh", "-c", f"{COUNTING}{end}")
        (self.file.parent / "cgroup.procs").write_text(f"{run.runner.pid}\n" + "1\n" * (not alone), encoding="ascii")
        run.runner.arm(run.folder, run.spec)
        run.runner.go({})
        run.job()
        self.file.write_text(self.text(4) if text is None else text, encoding="ascii")
        (run.cwd / "gate").touch()
        return run.ended()


@pytest.fixture
def led(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Led:
    folder = tmp_path / "led"
    folder.mkdir()
    return Led(folder, monkeypatch)


SELF_KILL = "kill -KILL $$"
CHILD_KILL = "sh -c 'kill -KILL $$'; exit"
SENTENCE = (
    "host memory ran out; the kernel's OOM killer ended {} (oom_kill in {} went from 3 to 4); try a smaller batch"
)


WORKER = f"cat '{LOGS}/nothing/worker-killed.txt'; {CHILD_KILL} 1"
SILENT = "{ sh -c 'kill -KILL $$'; } 2>/dev/null; exit 1"
timed = pytest.mark.skipif(
    not Path("/proc/sys/fs/dir-notify-enable").exists(), reason="this kernel does not report changes in a folder"
)


@timed
@pytest.mark.parametrize("end", [SELF_KILL, f"{CHILD_KILL} 137"])
def test_a_killed_job_and_a_counter_that_rose_just_now(launcher: Launcher, led: Led, end: str) -> None:
    record = led.ends(launcher, end)
    assert record["reason"] == "out-of-memory"
    assert record["message"].startswith(SENTENCE.format("it", led.file))


@pytest.mark.parametrize(("end", "said"), [(SELF_KILL, True), (WORKER, True), (SILENT, False)])
def test_where_the_whole_machine_is_counted_it_is_a_perhaps(
    launcher: Launcher,
    led: Led,
    end: str,
    said: bool,  # noqa: FBT001
) -> None:
    led.own(yes=False)
    record = led.ends(launcher, end)
    perhaps = "perhaps host memory ran out: the kernel's OOM killer has ended a process since it began (oom_kill in"
    assert record["reason"] is None
    assert record["message"].startswith(perhaps) is said
    assert bool(record["message"]) is said


@timed
def test_a_killed_child_counts_where_the_log_knows_of_it(launcher: Launcher, led: Led) -> None:
    record = led.ends(launcher, WORKER)
    assert record["reason"] == "out-of-memory"
    assert record["message"].startswith(SENTENCE.format("one of its processes", led.file))


@pytest.mark.parametrize("end", [SILENT, "echo 'error: unrecognized arguments: --lr'; exit 2"])
def test_a_kill_in_the_cgroup_of_many_explains_no_other_failure(launcher: Launcher, led: Led, end: str) -> None:
    record = led.ends(launcher, end)
    assert (record["reason"], record["message"]) == (None, "")


@timed
@pytest.mark.parametrize("end", [SELF_KILL, WORKER, f"{CHILD_KILL} 1"])
def test_a_kill_of_another_job_is_not_the_reason_of_a_later_death(launcher: Launcher, led: Led, end: str) -> None:
    """Job A was killed for its memory; job B beside it goes on, and dies of something else later."""
    led.own(yes=True, fresh=0.2)
    record = led.ends(launcher, f"sleep 1; {end}")
    assert (record["reason"], record["message"]) == (None, "")


@timed
def test_after_one_report_the_next_one_is_heard(launcher: Launcher, led: Led) -> None:
    """In cgroups the kernel reports other things as well, again and again."""
    led.own(yes=True, fresh=0.2)
    rises = f"sleep 0.3; printf '{led.text(4)}' > {led.file}; sleep 1; "
    record = led.ends(launcher, rises + SELF_KILL, led.text(3))
    assert (record["reason"], record["message"]) == (None, "")


@pytest.mark.parametrize(("end", "whom"), [(SELF_KILL, "it"), (SILENT, "one of its processes")])
def test_alone_in_its_cgroup_every_kill_is_its_own(launcher: Launcher, led: Led, end: str, whom: str) -> None:
    led.own(yes=True, fresh=0.0)
    record = led.ends(launcher, end, alone=True)
    assert record["reason"] == "out-of-memory"
    assert record["message"].startswith(SENTENCE.format(whom, led.file))


@pytest.mark.parametrize("end", ["exit 0", "kill -TERM $$", f"cat '{LOGS}/other/advice.txt'; exit 1"])
def test_other_ends_with_a_risen_counter(launcher: Launcher, led: Led, end: str) -> None:
    assert led.ends(launcher, end)["reason"] is None


@pytest.mark.parametrize("text", [Led.text(3), Led.text(2), "", "oom_kill x\n", "oom_kill\n", "\0" * 99])
def test_a_counter_that_says_nothing(launcher: Launcher, led: Led, text: str) -> None:
    record = led.ends(launcher, SELF_KILL, text)
    assert (record["signal"], record["reason"], record["message"]) == (signal.SIGKILL, None, "")


def test_no_counter_at_all(launcher: Launcher, led: Led) -> None:
    led.file.unlink()
    run = launcher.start("sh", "-c", SELF_KILL)
    assert run.ended()["reason"] is None


def test_a_kill_while_it_waited_is_another_job_s(launcher: Launcher, led: Led) -> None:
    run = launcher.arm("sh", "-c", SELF_KILL)
    wait_until(lambda: str(led.file) in open_in(run))
    led.count(4)
    run.runner.go({})
    assert run.ended()["reason"] is None


def open_in(run: Run) -> list[str]:
    found: list[str] = []
    for fd in Path(f"/proc/{run.runner.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(fd.readlink()))
    return found


LIMIT = 64 * MEBI
EATS = "block = [bytearray(2**20) for _ in range(1000)]"
FORKS = f"""
import os
child = os.fork()
if not child:
    {EATS}
os.waitpid(child, 0)
raise SystemExit(1)
"""


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A cgroup with little memory, of v2 or v1; skips the test where none may be made."""
    root = Path("/sys/fs/cgroup")
    files = {"memory.max": LIMIT, "memory.swap.max": 0}
    if (root / "memory").is_dir():
        root, files = root / "memory", {"memory.limit_in_bytes": LIMIT, "memory.memsw.limit_in_bytes": LIMIT}
    group = root / f"trainq-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"may not make a cgroup: {error}")
    try:
        if not any((group / name).exists() for name in files):
            pytest.skip("the root of the cgroups gives no memory controller on")
        for name, most in files.items():
            with contextlib.suppress(FileNotFoundError):  # a kernel that does not count swap
                (group / name).write_text(str(most), encoding="ascii")
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(encoding="ascii"))
        group.rmdir()


@pytest.mark.parametrize(("code", "whom"), [(EATS, "it"), (FORKS, "one of its processes")], ids=["it", "a child"])
def test_the_kernel_s_oom_killer(launcher: Launcher, small_memory: Path, code: str, whom: str) -> None:
    run = launcher.prepare(sys.executable, "-ISc", code)
    (small_memory / "cgroup.procs").write_text(str(run.runner.pid), encoding="ascii")
    run.runner.arm(run.folder, run.spec)
    run.runner.go({})
    record = run.ended()
    assert record["reason"] == "out-of-memory"
    assert record["signal"] == (signal.SIGKILL if whom == "it" else None)
    assert f"ended {whom} (oom_kill in {small_memory}/memory." in record["message"]
    assert "went from 0 to 1)" in record["message"]
