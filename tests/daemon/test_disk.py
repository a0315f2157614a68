"""Disks that are full, read-only, broken or gone under a real daemon: what it has acknowledged stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house import gated, rows
from support import Daemon, small_disk, wait_until

from trainqueue.client import Client
from trainqueue.errors import DaemonError, RequestError
from trainqueue.home import Home
from trainqueue.salvage.recover import recover

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

BIG = {"command": ["true", "x" * 100_000], "cwd": "/", "hold": True}
SMALL: dict[str, Any] = {"command": ["true"], "cwd": "/"}


def trainqd(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """One that cannot start, and its last words."""
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(daemon.home.path)]
    return subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=30, check=False)


def refusal(client: Client, job: dict[str, Any], made: list[int]) -> RequestError | None:
    """Why a submit is refused; None (and its id in `made`) when it is not."""
    try:
        made.append(client.submit([job])[0]["id"])
    except RequestError as error:
        return error
    return None


def fill(folder: Path) -> Path:
    """Not one byte is left."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**12))
    return ballast


def ended_with(daemon: Daemon) -> int:
    assert daemon.process is not None
    return daemon.process.wait(20)


# -- full


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "8m") as folder:
        yield folder


@pytest.fixture
def cramped(small: Path) -> Iterator[Daemon]:
    made = Daemon(Home(small / "home"))
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def test_full_while_serving(cramped: Daemon, small: Path, tmp_path: Path) -> None:
    with Client(cramped.home) as client:
        running = client.submit([{"command": gated(tmp_path / "gate", "exit 4"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(running).state == "running")
        wait_until(cramped.home.reserve.exists)
        ballast = fill(small)
        made: list[int] = []
        wait_until(lambda: refusal(client, BIG, made) is not None, 20)
        error = refusal(client, SMALL, made)
        assert error is not None
        assert error.code == "unavailable"
        assert "full" in error.message or "nothing can be written" in error.message
        assert "what was accepted before is safe" in error.message
        (tmp_path / "gate").touch()
        cramped.kill()
        assert {row[0] for row in rows(cramped.home, "SELECT id FROM jobs")} >= {running, *made}
        cramped.start()  # on the full disk
        error = refusal(client, SMALL, made)
        assert error is not None
        assert error.code == "unavailable"
        ballast.unlink()
        wait_until(lambda: client.status(running).state == "failed")
        assert client.status(running).exit_code == 4
        wait_until(lambda: refusal(client, SMALL, made) is None)
        assert client.wait([made[-1]], 20)[0].state == "completed"
        assert [client.status(job).state for job in made[:-1]] == ["queued"] * (len(made) - 1)


def test_a_first_start_on_a_full_disk(small: Path) -> None:
    """It says so, leaves nothing that would be taken for a queue later, and starts when there is room."""
    ballast = fill(small)
    daemon = Daemon(Home(small / "home"))
    refused = trainqd(daemon)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert str(small) in refused.stderr
    ballast.unlink()
    daemon.start()
    with Client(daemon.home) as client:
        assert refusal(client, SMALL, []) is None
    assert daemon.stop() == 0


def test_a_later_start_on_a_full_disk(cramped: Daemon, small: Path) -> None:
    """What was held in reserve is what it takes to start."""
    with Client(cramped.home) as client:
        made = [client.submit([{**SMALL, "hold": True}])[0]["id"]]
        wait_until(cramped.home.reserve.exists)
        assert cramped.stop() == 0
        ballast = fill(small)
        cramped.start()
        assert client.status(made[0]).state == "queued"
        assert refusal(client, SMALL, made) is not None
        ballast.unlink()
        wait_until(lambda: refusal(client, SMALL, made) is None)
        assert client.wait([made[1]], 20)[0].state == "completed"


# -- errors of the disk


def test_no_write_succeeds_for_a_while(daemon: Daemon, tmp_path: Path) -> None:
    """Of the daemon; jobs and runners have a disk that works."""
    assert daemon.process is not None
    with Client(daemon.home) as client:
        running = client.submit([{"command": gated(tmp_path / "gate", "exit 4"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(running).state == "running")
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, unlimited))
        made: list[int] = []
        wait_until(lambda: refusal(client, SMALL, made) is not None)
        (tmp_path / "gate").touch()
        error = refusal(client, SMALL, made)
        assert error is not None
        assert (error.code, "nothing was changed" in error.message) == ("unavailable", True)
        wait_until(lambda: client.status(running).state == "failed")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        wait_until(lambda: refusal(client, SMALL, made) is None)
        assert {job.state for job in client.wait([*made], 20)} == {"completed"}
        assert client.status(running).exit_code == 4
    daemon.kill()
    daemon.start()
    with Client(daemon.home) as client:
        assert [client.status(job).state for job in made] == ["completed"] * len(made)


@contextlib.contextmanager
def real_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """An ext4 of its own, which can be pulled out."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    for command in (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mkfs.ext4")
        if done.returncode:
            pytest.skip("may not mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("trouble", ["pulled out", "made read-only by the kernel"])
def test_the_disk_fails(tmp_path: Path, trouble: str) -> None:
    """The daemon refuses from then on; what it has confirmed is there when the disk is back."""
    with real_disk(tmp_path) as disk:
        daemon = Daemon(Home(disk / "home"))
        daemon.start()
        with Client(daemon.home) as client:
            made = [client.submit([{**SMALL, "hold": True}])[0]["id"] for _ in range(20)]
            fail(disk, trouble)
            submit_into_the_void(client)
        daemon.kill()
        subprocess.run(["umount", "-l", str(disk)], check=True)
        shutil.copy(tmp_path / "disk.img", tmp_path / "later.img")  # the kernel may know the first one as broken
        subprocess.run(["mount", "-o", "loop", str(tmp_path / "later.img"), str(disk)], check=True)
        daemon.start()
        with Client(daemon.home) as client:
            assert [client.status(job).state for job in made] == ["queued"] * len(made)
            assert client.submit([SMALL])[0]["id"] > made[-1]
        assert daemon.stop() == 0


def fail(disk: Path, trouble: str) -> None:
    if trouble != "pulled out":
        subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=False, capture_output=True)
        wait_until(lambda: "ro," in mount_options(disk))
        return
    fd = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, without a last flush
    os.close(fd)


def mount_options(disk: Path) -> str:
    lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    return next(line.split()[3] + "," for line in lines if line.split()[1] == str(disk))


# -- read-only


def test_a_start_on_a_read_only_disk(cramped: Daemon, small: Path) -> None:
    with Client(cramped.home) as client:
        job = client.submit([{**SMALL, "hold": True}])[0]["id"]
    assert cramped.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    refused = trainqd(cramped)
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
    cramped.start()
    with Client(cramped.home) as client:
        assert client.status(job).state == "queued"


# -- damage while it serves


def test_damage_in_the_history_does_not_end_the_daemon(daemon: Daemon) -> None:
    """Who asks for it gets words; new jobs are taken and run."""
    with Client(daemon.home) as client:
        old = [each["id"] for each in client.submit([{**SMALL, "command": ["true", "x" * 1000]}] * 50)]
        client.wait(old, 30)
    assert daemon.stop() == 0
    spoil(daemon.home, old[5])
    daemon.start()
    with Client(daemon.home) as client:
        for ask in (lambda: client.status(old[5]), lambda: client.jobs(limit=100)):
            with pytest.raises(RequestError, match="trainq-cli doctor --recover") as refused:
                ask()
            assert refused.value.code == "internal"
        new = client.submit([SMALL])[0]["id"]
        assert client.wait([new], 20)[0].state == "completed"
        assert client.ping()["pid"] == daemon.process.pid if daemon.process else False
    assert daemon.stop() == 0


def spoil(home: Home, job: int) -> None:
    """Overwrite the page that holds the job's row."""
    from trainqueue.damage import wal_of
    from trainqueue.salvage.pages import TABLE_LEAF, Image

    with closing(Image(home.database, wal_of(home.database))) as image:
        leaves = [number for number in range(2, image.count + 1) if image.page(number)[0] == TABLE_LEAF]
        [page] = [n for n in leaves if any(row.rowid == job for row in image.rows_of(n) if len(row.values) > 10)]
    with home.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_damage_where_a_waiting_job_is_ends_the_start(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        client.submit([{**SMALL, "hold": True, "command": ["true", "x" * 1000]}] * 20)
    assert daemon.stop() == 0
    spoil(daemon.home, 5)
    before = daemon.home.database.read_bytes()
    refused = trainqd(daemon)
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert "trainq-cli doctor --recover" in refused.stderr
    assert daemon.home.database.read_bytes() == before


def test_damage_that_a_commit_meets_ends_the_daemon(daemon: Daemon) -> None:
    """It keeps the file as it is and says what to do; nothing of that commit was confirmed."""
    with Client(daemon.home) as client:
        made = [
            each["id"] for each in client.submit([{**SMALL, "hold": True, "command": ["true", "x" * 20_000]}] * 300)
        ]
    assert daemon.stop() == 0
    daemon.start()
    spoil(daemon.home, made[0])  # more than SQLite's cache has been read after it
    with Client(daemon.home) as client, pytest.raises(RequestError) as refused:
        client.cancel([made[0]])
    assert refused.value.code == "unavailable"
    assert ended_with(daemon) == 1
    assert "is damaged" in daemon.home.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", ["", "half a claim {", '{"exit_co'])
def test_a_record_that_is_half_there(daemon: Daemon, tmp_path: Path, words: str) -> None:
    """Both files appear whole, so half of one is damage: the job is lost, and the queue goes on."""
    with Client(daemon.home) as client:
        job = client.submit([{"command": gated(tmp_path / "gate"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
        daemon.kill()
        (tmp_path / "gate").touch()
        record = daemon.home.attempt(job, 1) / "exit"
        wait_until(record.exists)
        record.write_text(words, encoding="utf-8")
        daemon.start()
        assert client.wait([job], 20)[0].state == "lost"
        assert client.wait([client.submit([SMALL])[0]["id"]], 20)[0].state == "completed"


def test_the_folder_of_a_running_job_is_removed(daemon: Daemon, tmp_path: Path) -> None:
    with Client(daemon.home) as client:
        job = client.submit([{"command": gated(tmp_path / "gate", "exit 4"), "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
        shutil.rmtree(daemon.home.job(job))
        (tmp_path / "gate").touch()
        assert client.wait([job], 20)[0].state in {"failed", "lost"}
        assert client.wait([client.submit([SMALL])[0]["id"]], 20)[0].state == "completed"


# -- gone, while it serves


def submit_into_the_void(client: Client) -> None:
    """Until the daemon has noticed; what it acknowledges before must be there afterwards."""
    with pytest.raises((RequestError, DaemonError)):
        client.submit([{**SMALL, "hold": True}])


@pytest.fixture
def waiting(daemon: Daemon) -> Daemon:
    """Three jobs wait."""
    with Client(daemon.home) as client:
        client.submit([{**SMALL, "hold": True}] * 3)
    return daemon


def ids(home: Home) -> list[int]:
    return [row[0] for row in rows(home, "SELECT id FROM jobs ORDER BY id")]


@pytest.mark.parametrize("names", [("trainq.db",), ("trainq.db", "trainq.db-wal", "trainq.db-shm"), ("trainq.db-wal",)])
def test_the_database_is_deleted(waiting: Daemon, names: tuple[str, ...]) -> None:
    """It is put back, with all that was confirmed."""
    with Client(waiting.home) as client:
        for name in names:
            (waiting.home.path / name).unlink()
        submit_into_the_void(client)
    assert ended_with(waiting) == 1
    assert "was deleted while it was served. All that was confirmed" in waiting.home.log.read_text(encoding="utf-8")
    assert ids(waiting.home) == [1, 2, 3]
    waiting.start()
    with Client(waiting.home) as client:
        assert client.status(3).state == "queued"
        assert client.submit([SMALL])[0]["id"] == 4


def test_the_database_is_replaced(waiting: Daemon) -> None:
    """The new one is left alone, and ours is kept beside it."""
    other = waiting.home.path / "other"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE theirs (x)")
    other.rename(waiting.home.database)
    with Client(waiting.home) as client:
        submit_into_the_void(client)
    assert ended_with(waiting) == 1
    [ours] = waiting.home.path.glob("trainq.db.served-*")
    with closing(sqlite3.connect(ours)) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
    refused = trainqd(waiting)
    assert refused.returncode == 1
    assert "another program" in refused.stderr


def test_the_home_is_moved(waiting: Daemon, tmp_path: Path) -> None:
    """It says where to, and a daemon that has come after it keeps its socket."""
    moved = Home(tmp_path / "elsewhere")
    with Client(waiting.home) as client:
        assert client.ping()
        first = waiting.process
        assert first is not None
        first.send_signal(signal.SIGSTOP)
        waiting.home.path.rename(moved.path)
        second = Daemon(waiting.home)
        second.start()
        first.send_signal(signal.SIGCONT)
        assert first.wait(20) == 1
        words = moved.log.read_text(encoding="utf-8")
        assert f"was moved while it was served, and is at {moved.path} now" in words
        assert second.answers()
        assert refusal(client, SMALL, []) is None
    assert second.stop() == 0
    assert ids(moved) == [1, 2, 3]


def test_the_home_is_deleted(waiting: Daemon) -> None:
    with Client(waiting.home) as client:
        assert client.ping()
        shutil.rmtree(waiting.home.path, ignore_errors=True)
        submit_into_the_void(client)
    assert ended_with(waiting) == 1


def test_a_removed_lock_lets_nobody_else_in(waiting: Daemon) -> None:
    waiting.home.lock.unlink()
    second = trainqd(waiting)
    assert second.returncode == 3
    assert "lock file was removed" in second.stderr
    assert waiting.answers()
    with Client(waiting.home) as client:
        assert client.submit([{**SMALL, "hold": True}])[0]["id"] == 4


# -- older than what has happened


@pytest.mark.parametrize("known", [True, False], ids=["known as waiting", "not known"])
def test_an_older_database_starts_nothing_again(daemon: Daemon, tmp_path: Path, *, known: bool) -> None:
    """A copy that was put back: what has run since is taken from its record, and no id is given twice."""
    job = {"command": ["sh", "-c", f"echo >> {tmp_path}/runs"], "cwd": "/", "hold": True}
    with Client(daemon.home) as client:
        made = [client.submit([job])[0]["id"] for _ in range(2 if known else 1)][-1]
    assert daemon.stop() == 0
    copy = daemon.home.database.read_bytes()
    daemon.start()
    with Client(daemon.home) as client:
        made = made if known else client.submit([job])[0]["id"]
        client.verb("release", [made])
        client.wait([made], 20)
    assert daemon.stop() == 0
    daemon.home.database.write_bytes(copy)
    refused = trainqd(daemon)
    assert refused.returncode == 1
    assert "it is older than what lies in jobs/" in refused.stderr
    assert "trainq-cli doctor --recover" in refused.stderr
    report = recover(daemon.home)
    assert report is not None
    assert (report.running, report.missing) == (([made], []) if known else ([], [made]))
    daemon.start()
    with Client(daemon.home) as client:
        if known:
            assert client.wait([made], 20)[0].state == "completed"
        assert client.wait([client.submit([SMALL])[0]["id"]], 20)[0].id == made + 1
    assert (tmp_path / "runs").read_text(encoding="ascii") == "\n"
