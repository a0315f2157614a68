"""Whose a process on a GPU is, with real processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import wait_until

from trainqueue import user
from trainqueue.gpus.driver import Listed
from trainqueue.gpus.ignore import is_ignored
from trainqueue.gpus.owners import LONGEST, Owners, user_name
from trainqueue.launch import processes
from trainqueue.settings import DESKTOP, GpuSettings

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.client import Client
    from trainqueue.home import Home

GIB = 2**30
NOBODY = 2**22 + 1
"""No process has this pid: the kernel counts up to 2**22."""
SLEEP = ("sleep", "60")


@pytest.fixture
def owners(home: Home) -> Owners:
    return Owners(home.path, GpuSettings())


@contextlib.contextmanager
def running(*command: str, ours: Home | None = None, **env: str) -> Generator[int, None, None]:
    """Its pid, once it is that program; of job 7 of this home, or nobody's."""
    mark = {"TRAINQ_JOB_DIR": str(ours.path / "jobs" / "7")} if ours else {}
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **mark, **env})
    try:
        wait_until(lambda: is_shown(process.pid))
        yield process.pid
    finally:
        process.kill()
        process.wait()


def is_shown(pid: int) -> bool:
    """The kernel shows neither for a moment, though the program runs already."""
    return all(Path(f"/proc/{pid}/{part}").read_bytes() for part in ("environ", "cmdline"))


def on_gpu(pid: int, memory: int | None = GIB) -> Listed:
    return Listed(pid, memory, graphics=False)


# -- ours


def test_a_job_is_known_by_its_environment(owners: Owners, home: Home) -> None:
    with running(*SLEEP, ours=home) as pid:
        found = owners.process(on_gpu(pid))
    assert (found.job, found.user, found.command, found.memory) == (7, user.name(), "sleep 60", GIB)


def test_and_by_that_of_an_ancestor(owners: Owners, home: Home, tmp_path: Path) -> None:
    script = f"env -i /bin/sh -c 'sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait'"
    with running("sh", "-c", f"{script}; true", ours=home):
        child = read_pid(tmp_path / "pid")
        assert owners.process(on_gpu(child)).job == 7
        os.kill(child, 9)


def test_one_that_has_shed_its_environment_and_its_parents_is_its_runners(
    owners: Owners, client: Client, tmp_path: Path
) -> None:
    told = f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 60"
    script = f'env -i setsid -f /bin/sh -c "{told}"; sleep 60'
    job = client.submit([{"command": ["sh", "-c", script.replace("$$", r"\$\$")], "cwd": "/"}])[0]["id"]
    assert owners.process(on_gpu(read_pid(tmp_path / "pid"))).job == job


def test_what_was_ours_stays_so_as_long_as_the_driver_lists_it(owners: Owners, home: Home) -> None:
    with running(*SLEEP, ours=home) as pid:
        before = owners.process(on_gpu(pid))
    assert owners.process(on_gpu(pid)) == before
    owners.keep({pid})
    assert owners.process(on_gpu(pid)) == before
    owners.keep({NOBODY})
    assert owners.process(on_gpu(pid)).job is None


def test_another_process_with_its_pid_is_another_one(owners: Owners, home: Home) -> None:
    with running(*SLEEP) as pid:
        assert owners.process(on_gpu(pid)).job is None
        known = owners._known[pid]
        owners._known[pid] = replace(known, ticks=known.ticks - 1, job=7)
        assert owners.process(on_gpu(pid)).job is None
    with running(*SLEEP, ours=home) as pid:
        owners._known[pid] = replace(known, ticks=known.ticks - 1)
        assert owners.process(on_gpu(pid)).job == 7


def test_it_is_looked_at_once_only(owners: Owners, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(*SLEEP, ours=home) as pid:
        before = owners.process(on_gpu(pid))
        monkeypatch.setattr(owners, "_job", None)
        assert owners.process(on_gpu(pid)) == before


@pytest.mark.parametrize(
    "rules",
    [{"ignore_users": (user.name(),)}, {"ignore_commands": ("sleep",)}, {"ignore_below": 2 * GIB}],
    ids=["user", "command", "size"],
)
def test_what_is_ours_is_never_ignored(home: Home, rules: dict[str, object]) -> None:
    owners = Owners(home.path, GpuSettings(**rules))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with running(*SLEEP, ours=home) as mine, running(*SLEEP) as other:
        assert [owners.process(on_gpu(pid)).ignored for pid in (mine, other)] == [False, True]


# -- not ours


def test_a_foreign_one_is_named(owners: Owners) -> None:
    with running(*SLEEP) as pid:
        found = owners.process(on_gpu(pid, None))
    assert (found.job, found.user, found.command, found.memory) == (None, user.name(), "sleep 60", None)


def test_the_job_of_another_home_is_foreign(owners: Owners, home: Home) -> None:
    for folder in (f"{home.path}x/jobs/7", f"{home.path}/jobs/7/x", f"/elsewhere{home.path}/jobs/7"):
        with running(*SLEEP, TRAINQ_JOB_DIR=folder, OTHER=f"TRAINQ_JOB_DIR={home.path}/jobs/7") as pid:
            assert owners.process(on_gpu(pid)).job is None


def test_one_of_another_user(owners: Owners) -> None:
    if os.getuid() != 0:
        pytest.skip("may not be another user")
    process = subprocess.Popen(SLEEP, user=65534, env={"PATH": os.environ["PATH"]})
    try:
        wait_until(lambda: is_shown(process.pid))
        found = owners.process(on_gpu(process.pid))
        assert (found.job, found.user, found.command) == (None, user_name(65534), "sleep 60")
    finally:
        process.kill()
        process.wait()


def test_one_that_cannot_be_seen_is_foreign_and_nobody_knows_whose(owners: Owners) -> None:
    found = owners.process(on_gpu(NOBODY))
    assert (found.job, found.user, found.command, found.ignored) == (None, None, None, False)
    assert (owners.seen, owners.unseen) == (set(), {NOBODY})


def test_one_that_dies_while_we_look_is_not_judged_for_ever(owners: Owners) -> None:
    """A zombie has no environment any more."""
    process = subprocess.Popen(["true"])
    wait_until(lambda: (found := processes.look(process.pid)) is not None and found.state == "Z")
    found = owners.process(on_gpu(process.pid))
    assert (found.job, found.user, found.command) == (None, user.name(), "true")
    assert not owners._known
    process.wait()
    assert owners.process(on_gpu(process.pid)).user is None


def test_this_process_is_no_job_of_its_own_queue(owners: Owners, home: Home) -> None:
    """A program with a queue in it may itself be on a GPU, and hold the folders of attempts open."""
    home.prepare()
    folder = home.attempt(7, 1)
    folder.mkdir(parents=True)
    fd = os.open(folder, os.O_PATH)
    try:
        assert owners.process(on_gpu(os.getpid())).job is None
    finally:
        os.close(fd)


def test_a_command_is_one_short_line(owners: Owners) -> None:
    with running(sys.executable, "-c", "import time; time.sleep(60)", "a\nb\x1b[31m", "x" * 500) as pid:
        wait_until(lambda: b"x" * 500 in Path(f"/proc/{pid}/cmdline").read_bytes())
        command = owners.process(on_gpu(pid)).command
    assert command is not None
    assert len(command) == LONGEST
    assert "a b [31m" in command
    assert command.isprintable()


# -- ignored


@pytest.mark.parametrize(
    ("rules", "listed", "names", "ignored"),
    [
        ({}, Listed(1, GIB, graphics=False), {"python"}, False),
        ({}, Listed(1, GIB, graphics=False), {"Xorg"}, True),
        ({"ignore_commands": ()}, Listed(1, GIB, graphics=False), {"Xorg"}, False),
        ({"ignore_users": ("eve",)}, Listed(1, GIB, graphics=False), {"python"}, True),
        ({"ignore_users": ("mallory",)}, Listed(1, GIB, graphics=False), {"python"}, False),
        ({"ignore_below": GIB}, Listed(1, GIB, graphics=False), {"python"}, False),
        ({"ignore_below": GIB + 1}, Listed(1, GIB, graphics=False), {"python"}, True),
        ({"ignore_below": GIB}, Listed(1, None, graphics=False), {"python"}, False),
        ({}, Listed(1, GIB - 1, graphics=True), {"firefox"}, True),
        ({}, Listed(1, GIB - 1, graphics=False), {"firefox"}, False),
        ({}, Listed(1, GIB, graphics=True), {"firefox"}, False),
        ({}, Listed(1, None, graphics=True), {"firefox"}, False),
        ({"ignore_graphics_below": 0, "ignore_below": GIB}, Listed(1, 5, graphics=True), {"firefox"}, True),
    ],
)
def test_who_is_in_nobodys_way(rules: dict[str, object], listed: Listed, names: set[str], ignored: bool) -> None:  # noqa: FBT001
    settings = GpuSettings(**rules)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert is_ignored(settings, listed, "eve", names) == ignored


@pytest.mark.parametrize("written", ["/usr/lib/xorg/Xorg :0", "/usr/lib/xorg/Xorg\0:0\0", "Xorg"])
def test_a_program_goes_by_its_name_without_a_folder(owners: Owners, written: str) -> None:
    """Some put one long line over their arguments."""
    assert "Xorg" in DESKTOP
    first = written.split("\0", maxsplit=1)[0]
    process = subprocess.Popen([first, "60"], executable="/bin/sleep")
    try:
        wait_until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(first.encode()))
        assert owners.process(on_gpu(process.pid)).ignored
    finally:
        process.kill()
        process.wait()


def read_pid(path: Path) -> int:
    wait_until(path.exists)
    return int(path.read_text(encoding="ascii"))
