"""What a job finds when it begins, and what is said when it cannot begin."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runner.conftest import Launcher, Run

NOBODY_HEARS = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)


def circumstances(launcher: Launcher, *args: str, **fields: Any) -> dict[str, Any]:
    """What the program `tells` saw."""
    run = launcher.start(*launcher.program("tells", *args), **fields)
    assert run.ended()["exit_code"] == 0, run.text()
    return dict(json.loads(run.text()))


def executable(path: Path, text: str, mode: int = 0o700) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(run: Run) -> str:
    """The sentence of an attempt that could not be started, the same in record and log."""
    record = run.ended()
    assert (record["reason"], record["exit_code"], record["signal"]) == ("start-failed", None, None)
    assert record["pid"] is None
    assert run.text() == f"trainq: {record['message']}\n"
    return str(record["message"])


def test_a_session_and_a_process_group_of_its_own(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("tells"))
    pid = run.job()
    run.ended()
    seen = json.loads(run.text())
    assert [seen[key] for key in ("pid", "pgid", "sid", "ppid")] == [pid, pid, pid, run.runner.pid]


def test_standard_input_is_empty_and_only_three_descriptors_are_open(launcher: Launcher) -> None:
    seen = circumstances(launcher)
    assert (seen["stdin"], seen["fds"]) == ("", [0, 1, 2]), "10 and up may come from the shell around pytest"


def test_a_descriptor_that_the_daemon_leaks_does_not_reach_the_job(launcher: Launcher) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)  # noqa: FBT003
    try:
        seen = circumstances(launcher)
    finally:
        os.close(read)
        os.close(write)
    assert seen["fds"] == [0, 1, 2]


def test_no_signal_is_blocked_or_ignored(launcher: Launcher) -> None:
    seen = circumstances(launcher)
    assert (seen["blocked"], seen["ignored"]) == (0, 0)


@pytest.mark.parametrize("number", NOBODY_HEARS)
def test_what_the_daemon_ignores_the_job_does_not(launcher: Launcher, number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        run = launcher.start(*launcher.program("tells"))
    finally:
        signal.signal(number, before)
    assert run.ended()["exit_code"] == 0
    assert json.loads(run.text())["ignored"] == 0


def test_its_environment_is_what_it_was_given_and_no_more(launcher: Launcher) -> None:
    run = launcher.arm("env", env={"PATH": os.defpath, "A": "spec", "B": "spec", "EMPTY": ""})
    run.runner.go({"B": "go", "CUDA_VISIBLE_DEVICES": ""})
    assert run.hear("started")["env"] == {"B": "go", "CUDA_VISIBLE_DEVICES": ""}
    run.ended()
    expected = {f"PATH={os.defpath}", "A=spec", "B=go", "EMPTY=", "CUDA_VISIBLE_DEVICES="}
    assert set(run.text().splitlines()) == expected


def test_words_that_are_no_utf8_arrive_byte_for_byte(launcher: Launcher) -> None:
    odd = b"\xff\xfe caf\xe9 \xf0\x9f\x9a\x82".decode(errors="surrogateescape")
    folder = Path(os.fsdecode(os.fsencode(launcher.home) + b"/f\xfcr"))
    folder.mkdir()
    seen = circumstances(launcher, odd, "", cwd=str(folder), env={"ODD": odd})
    assert [bytes.fromhex(word) for word in seen["argv"]] == [os.fsencode(odd), b""]
    assert bytes.fromhex(seen["odd"]) == os.fsencode(odd)
    assert bytes.fromhex(seen["cwd"]) == os.fsencode(folder)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007, 0])
def test_umask_is_the_submitters(launcher: Launcher, mask: int) -> None:
    assert circumstances(launcher, umask=mask)["umask"] == mask


def test_umask_none_leaves_it_alone(launcher: Launcher) -> None:
    mine = os.umask(0o022)
    os.umask(mine)
    assert circumstances(launcher, umask=None)["umask"] == mine


@pytest.mark.parametrize("program", ["true", "no-such-program"])
def test_the_jobs_umask_does_not_reach_the_runners_own_files(launcher: Launcher, program: str) -> None:
    run = launcher.start(program, umask=0o777)
    run.ended()
    modes = [stat.S_IMODE((run.folder / name).stat().st_mode) for name in ("claim", "exit")]
    assert modes == [0o600, 0o600]


def test_the_program_is_sought_on_the_jobs_own_path(launcher: Launcher) -> None:
    for name in ("first", "second"):
        executable(launcher.home / name / "mine", f"#!/bin/sh\necho {name}\n")
    executable(launcher.home / "zeroth" / "mine", "#!/bin/sh\necho zeroth\n", mode=0o600)
    path = os.pathsep.join(str(launcher.home / name) for name in ("nowhere", "zeroth", "first", "second"))
    run = launcher.start("mine", env={"PATH": path})
    assert (run.ended()["exit_code"], run.text()) == (0, "first\n")


def test_relative_names_are_relative_to_the_jobs_folder(launcher: Launcher) -> None:
    executable(launcher.cwd / "here", "#!/bin/sh\npwd\n")
    runs = [launcher.start("./here"), launcher.start("here", env={"PATH": ":/nowhere"})]
    assert [(run.ended()["exit_code"], run.text()) for run in runs] == [(0, f"{launcher.cwd}\n")] * 2


def test_without_path_the_systems_own_is_used(launcher: Launcher) -> None:
    assert launcher.start("true", env={}).ended()["exit_code"] == 0


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "./no-such-program"])
def test_unknown_program(launcher: Launcher, name: str) -> None:
    assert refused(launcher.start(name)) == f"cannot start {name!r}: No such file or directory"


@pytest.mark.parametrize("name", ["plain", "./plain", "."])
def test_not_executable(launcher: Launcher, name: str) -> None:
    executable(launcher.cwd / "plain", "#!/bin/sh\n", mode=0o600)
    name = "/" if name == "." else name
    run = launcher.start(name, env={"PATH": str(launcher.cwd)})
    assert refused(run) == f"cannot start {name!r}: Permission denied"


def test_folder_missing(launcher: Launcher) -> None:
    assert refused(launcher.start("true", cwd="/no/such/folder")) == "cannot start: no folder '/no/such/folder'"


def test_a_file_is_no_folder(launcher: Launcher) -> None:
    assert refused(launcher.start("true", cwd=sys.executable)) == f"cannot start: no folder {sys.executable!r}"


def test_a_script_without_its_first_line(launcher: Launcher) -> None:
    executable(launcher.cwd / "script", "echo hello\n")
    assert "a script needs a #! line" in refused(launcher.start("./script"))


def test_a_script_whose_interpreter_is_missing(launcher: Launcher) -> None:
    executable(launcher.cwd / "script", "#!/no/such/interpreter\n")
    assert "'./script'" in refused(launcher.start("./script"))


def test_a_log_that_cannot_be_opened_is_named(launcher: Launcher) -> None:
    record = launcher.start("true", log="/no/such/folder/log").ended()
    assert record["reason"] == "start-failed"
    assert "/no/such/folder/log" in record["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": ["true", "a\0b"]},
        {"argv": ["tr\0ue"]},
        {"cwd": "/\0"},
        {"env": {"A": "a\0b"}},
        {"env": {"A=B": "c"}},
        {"argv": ["true", "\ud800"]},
        {"argv": ["true", "x" * 200_000]},
    ],
    ids=["argument", "program", "folder", "value", "name", "surrogate", "long"],
)
def test_what_no_process_can_have_is_refused_in_words(launcher: Launcher, fields: dict[str, Any]) -> None:
    assert refused(launcher.start("true", **fields)).startswith("cannot start")
