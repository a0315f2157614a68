"""Code frozen at submit: what the copy holds, where the job finds itself, what is refused, and when the copy goes."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import wait_until

from trainqueue.frozen import changed, copying
from trainqueue.frozen.kept import name_of
from trainqueue.frozen.listing import SnapshotError, listed
from trainqueue.settings import SnapshotSettings

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli
    from support import Daemon

GIT = ("git", "-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "protocol.file.allow=always")


def git(folder: Path, *words: str) -> None:
    subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree: train.py and lib/model.py are tracked, notes is not, data/ is ignored."""
    made = tmp_path / "code"
    (made / "lib").mkdir(parents=True)
    (made / "data").mkdir()
    (made / "train.py").write_text("print('first')\n", encoding="ascii")
    (made / "lib" / "model.py").write_text("one\n", encoding="ascii")
    (made / ".gitignore").write_text("data/\n", encoding="ascii")
    (made / "data" / "big").write_text("data\n", encoding="ascii")
    git(made, "init", "-q")
    git(made, "add", "-A")
    git(made, "commit", "-qm", "all")
    (made / "notes").write_text("not tracked\n", encoding="ascii")
    return made


def snapshots(daemon: Daemon) -> list[Path]:
    folder = daemon.home.snapshots
    return sorted(folder.iterdir()) if folder.exists() else []


def inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_job_runs_the_code_as_it_was(cli: Cli, daemon: Daemon, tree: Path) -> None:
    job = cli("submit", "--hold", "--snapshot", "--", "sh", "-c", "cat train.py lib/model.py; pwd", cwd=tree)
    assert job.returncode == 0, job.stderr
    (tree / "train.py").write_text("edited\n", encoding="ascii")
    with (tree / "lib" / "model.py").open("r+", encoding="ascii") as file:
        file.write("two")  # in place, as a hard link would show it
    (copy,) = snapshots(daemon)
    assert inside(copy) == {"train.py", "lib", "lib/model.py", ".gitignore", "notes"}
    cli("release", "1")
    assert cli("wait", "1").returncode == 0
    assert cli("logs", "1").stdout == f"print('first')\none\n{copy}\n"
    shown = cli.json("status", "1")
    assert (shown["cwd"], shown["snapshot"]) == (str(tree), str(copy))


def test_where_it_finds_itself(cli: Cli, daemon: Daemon, tree: Path) -> None:
    cli.env["PWD"] = str(tree / "lib")
    show = "echo $TRAINQ_SNAPSHOT $TRAINQ_SUBMIT_DIR $PWD; env | grep ^PWD="
    done = cli("run", "--snapshot", "--", "sh", "-c", show, cwd=tree / "lib")
    (copy,) = snapshots(daemon)
    assert done.stdout.splitlines() == [f"{copy} {tree / 'lib'} {copy / 'lib'}", f"PWD={copy / 'lib'}"], done.stderr


def test_a_job_submitted_from_within_a_snapshot_keeps_it(cli: Cli, daemon: Daemon, tree: Path) -> None:
    submit = " ".join([*cli.prefix, "submit", "--hold", "--", "true"])
    done = cli("run", "--snapshot", "--", "sh", "-c", submit, cwd=tree)
    (copy,) = snapshots(daemon)
    shown = cli.json("status", done.stdout.strip())
    assert (shown["cwd"], shown["snapshot"]) == (str(copy), str(copy))


def test_a_plain_folder(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    code = tmp_path / "plain"
    (code / "deep" / "empty").mkdir(parents=True)
    tool = code / "tool.sh"
    tool.write_text("#!/bin/sh\necho ran\n", encoding="ascii")
    tool.chmod(0o750)
    os.utime(tool, (1e9, 1e9))
    (code / "inside").symlink_to("tool.sh")
    (code / "absolute").symlink_to(tool)
    (code / "deep" / "outside").symlink_to("../../elsewhere")
    (tmp_path / "elsewhere").write_text("far", encoding="ascii")
    os.mkfifo(code / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(code / "sock"))
        done = cli("run", "--snapshot", "--", "./tool.sh", cwd=code)
    assert done.stdout == "ran\n", done.stderr
    assert "left out of the snapshot" in done.stderr
    assert "pipe (a pipe)" in done.stderr
    (copy,) = snapshots(daemon)
    assert inside(copy) == {"deep", "deep/empty", "deep/outside", "tool.sh", "inside", "absolute"}
    found = (copy / "tool.sh").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o750, 1e9)
    assert found.st_ino != tool.stat().st_ino
    assert (copy / "inside").resolve() == (copy / "absolute").resolve() == copy / "tool.sh"
    assert (copy / "deep" / "outside").read_text(encoding="ascii") == "far"


def test_a_submodule_and_what_is_deleted(cli: Cli, daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "part.py").write_text("", encoding="ascii")
    git(other, "add", "-A")
    git(other, "commit", "-qm", "all")
    git(tree, "submodule", "add", "-q", str(other), "sub")
    (tree / "lib" / "model.py").unlink()
    done = cli("submit", "--hold", "--snapshot", "--", "true", cwd=tree)
    assert done.returncode == 0, done.stderr
    (copy,) = snapshots(daemon)
    assert inside(copy) == {"train.py", ".gitignore", ".gitmodules", "notes", "sub", "sub/part.py"}


def test_a_sweep_shares_one(cli: Cli, daemon: Daemon, tree: Path) -> None:
    done = cli("submit", "--snapshot", "--hold", "--sweep", "lr=1,2,3", "--", "echo", "{lr}", cwd=tree)
    assert done.stdout.split() == ["1", "2", "3"], done.stderr
    (copy,) = snapshots(daemon)
    assert {cli.json("status", job)["snapshot"] for job in "123"} == {str(copy)}
    cli("submit", "--snapshot", "--dry-run", "--sweep", "lr=1,2", "--", "echo", "{lr}", cwd=tree)
    assert len(snapshots(daemon)) == 1


def test_too_much_is_refused_before_anything_is_copied(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    code = tmp_path / "plain"
    (code / "runs").mkdir(parents=True)
    with (code / "runs" / "checkpoint").open("wb") as file:
        file.truncate(50 * 2**30)
    began = time.monotonic()
    done = cli("submit", "--snapshot", "--", "true", cwd=code)
    assert time.monotonic() - began < 10
    assert done.returncode == 1
    for words in ("50 GiB", "runs (50 GiB)", "at most 100000 and 1 GiB (settings [snapshot])", "--cwd", "Nothing was"):
        assert words in done.stderr
    assert snapshots(daemon) == []
    assert cli.json("queue")["counts"] == {}


def test_nothing_is_left_of_what_fails(cli: Cli, daemon: Daemon, tree: Path) -> None:
    refused = cli("submit", "--snapshot", "--after", "99", "--", "true", cwd=tree)
    assert refused.returncode == 4, refused.stderr
    assert snapshots(daemon) == []
    ignored = cli("submit", "--snapshot", "--", "true", cwd=tree / "data")
    assert (ignored.returncode, "git ignores all that is in" in ignored.stderr) == (1, True)
    (tree / ".git" / "HEAD").unlink()
    broken = cli("submit", "--snapshot", "--", "true", cwd=tree)
    assert (broken.returncode, "git does not tell which files" in broken.stderr) == (1, True)
    home = cli("submit", "--snapshot", "--", "true", cwd=daemon.home.path)
    assert "trainq's own home" in home.stderr
    assert snapshots(daemon) == []


def test_a_copy_that_fails_half_way_is_removed(daemon: Daemon, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "copied_inside", full)
    monkeypatch.setattr(copying, "FICLONE", 0)  # no file system knows it
    with pytest.raises(SnapshotError, match="No space left"):
        copying.freeze(str(tree), daemon.home, SnapshotSettings())
    assert snapshots(daemon) == []


def test_the_home_inside_the_folder_is_no_part_of_it(tmp_path: Path) -> None:
    home = tmp_path / "state" / "trainq"
    (home / "jobs").mkdir(parents=True)
    (tmp_path / "mine").touch()
    found = listed(str(tmp_path), str(home), SnapshotSettings())
    assert (found.files, [*found.folders]) == (["mine"], ["state"])


def test_a_word_that_points_to_the_original(cli: Cli, tree: Path) -> None:
    words = ("cat", "--", str(tree / "train.py"))
    done = cli("submit", "--hold", "--snapshot", "--", *words, cwd=tree)
    assert f"{tree / 'train.py'} points into the folder itself, not into its snapshot" in done.stderr


def test_only_a_snapshot_of_this_home(cli: Cli, daemon: Daemon, tree: Path) -> None:
    from trainqueue.client import Client
    from trainqueue.errors import RequestError

    cli("submit", "--hold", "--snapshot", "--", "true", cwd=tree)
    (copy,) = snapshots(daemon)
    (copy / "out").symlink_to("/etc")
    spec = {"command": ["true"], "cwd": "/", "hold": True}
    with Client(daemon.home) as client:
        for bad in ("/etc", f"{copy}/..", f"{copy}/out", f"{copy}/nope", str(daemon.home.snapshots), f"{copy}//lib"):
            with pytest.raises(RequestError, match=r"^\$\.jobs\[1\]\.snapshot: "):
                client.submit([spec, {**spec, "snapshot": bad}])
        with pytest.raises(RequestError, match=r"^\$\.set\.snapshot: "):
            client.call("edit", job=1, set={"snapshot": "/etc"})
        with pytest.raises(RequestError, match=r"^\$\.set\.cwd: the job runs in its snapshot"):
            client.call("edit", job=1, set={"cwd": "/etc"})
        client.call("edit", job=1, set={"cwd": "/etc", "snapshot": None})
        assert client.submit([{**spec, "snapshot": f"{copy}/lib"}])[0]["id"] == 2


def test_the_name_of_one() -> None:
    name = "20261125-010203-0123abcd"
    assert name_of(f"/h/snapshots/{name}") == name_of(f"/x/snapshots/y/snapshots/{name}/a/b") == name
    assert name_of(None) is name_of("/h/snapshots/") is name_of("/h/snapshots/x") is None


def test_status_says_what_has_changed_since_the_submit(cli: Cli, tree: Path) -> None:
    (tree / "old.py").touch()
    git(tree, "add", "-A")
    cli("submit", "--hold", "--", "true", cwd=tree / "lib")
    cli("submit", "--hold", "--snapshot", "--", "true", cwd=tree)
    assert cli.json("status", "1")["changed_files"] == []
    assert "changed" not in cli("status", "1").stdout
    (tree / "notes").write_text("new", encoding="ascii")
    (tree / "data" / "big").write_text("new", encoding="ascii")
    (tree / "train.py").write_text("new", encoding="ascii")
    (tree / "old.py").unlink()
    assert cli.json("status", "1")["changed_files"] == ["notes", "old.py", "train.py"]
    says = "changed_files\t3 files tracked by git have changed since the submit: notes, old.py, train.py; --snapshot"
    assert says in cli("status", "1").stdout
    frozen = cli.json("status", "2")
    cli("cancel", "1")
    assert (frozen["changed_files"], cli.json("status", "1")["changed_files"]) == (None, None)


def test_changes_of_several_and_of_what_was_dirty(cli: Cli, tree: Path) -> None:
    (tree / "train.py").write_text("dirty", encoding="ascii")
    cli("submit", "--hold", "--name", "a", "--", "true", cwd=tree)
    cli("submit", "--hold", "--name", "a", "--snapshot", "--", "true", cwd=tree)
    assert [job["changed_files"] for job in cli.json("status", "--name", "a")] == [[], None]
    (tree / "train.py").write_text("dirtier", encoding="ascii")
    assert [job["changed_files"] for job in cli.json("status", "--name", "a")] == [["train.py"], None]
    assert "1 file tracked by git has changed since the submit: train.py" in cli("status", "--name", "a").stdout
    cli("submit", "--array", "1-11", "--hold", "--", "true", cwd=tree)
    assert [job["changed_files"] for job in cli.json("status", "--name", "true")] == [None] * 11, "too many to look at"


def test_of_an_ended_job_what_changed_before_its_start(cli: Cli, tree: Path) -> None:
    cli("submit", "--hold", "--", "true", cwd=tree)
    (tree / "train.py").write_text("new", encoding="ascii")
    (tree / "lib" / "model.py").write_text("new", encoding="ascii")
    changed_at = (tree / "lib" / "model.py").stat().st_ctime
    wait_until(lambda: time.time() > changed_at + 0.02)
    cli("release", "1")
    assert cli("wait", "1").returncode == 0
    (tree / "lib" / "model.py").write_text("newer", encoding="ascii")  # whether it was before as well nobody can tell
    (tree / ".gitignore").touch()
    assert cli.json("status", "1")["changed_files"] == ["train.py"]
    says = "1 file tracked by git changed after the submit and before its start: train.py; --snapshot would"
    assert says in cli("status", "1").stdout


def test_what_a_job_writes_is_spoken_of_once(cli: Cli, tree: Path) -> None:
    done = cli("submit", "--hold", "--snapshot", "--array", "1-3", "--", "true", cwd=tree)
    said = "what the job writes to relative paths lies in its snapshot and is removed with it"
    assert done.stderr == f"trainq-cli: {said}; in the job $TRAINQ_SUBMIT_DIR is this folder\n"


def test_the_look_for_changes_ends_in_time(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{name}" for name in range(10)]
    assert changed.written(str(tree), names, 0.0, time.monotonic() - 1) is None
    slow = tree / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n", encoding="ascii")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    began = time.monotonic()
    assert changed.between(str(tree), 0.0) is None
    assert time.monotonic() - began < 5


def test_no_git_no_word_of_changes(cli: Cli, tmp_path: Path) -> None:
    cli("submit", "--hold", "--", "true", cwd=tmp_path)
    assert cli.json("status", "1")["changed_files"] is None
