"""`edit` and `retry` in an editor and for many jobs; the TOML that an editor gets says what the job is, and no less."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest
from commands import Terminal
from hypothesis import given
from hypothesis import strategies as st

from trainqueue.cli.astoml import known_fields, read, toml, written
from trainqueue.core.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commands import Cli

    from trainqueue.client import Client

FULL = {
    "command": ["python", "a b.py", 'say "hi"', "\x7f\n\t\\"],
    "cwd": "/somewhere",
    "name": "größe",
    "umask": 0o027,
    "gpus": 2,
    "gpu_memory": 3 * 2**30,
    "gpu_from": [0, "GPU-8d3f"],
    "gpu_min_memory": 12345,
    "priority": -3,
    "after": [3],
    "hold": True,
    "not_before": 4000000000.25,
    "time_limit": 5400,
    "grace": 0.5,
    "retries": {"exit": 2, "out-of-memory": 1},
    "tags": {"a b": "c", "": "x.y"},
    "memory_limit": 32 * 2**30,
}


def test_what_is_not_touched_is_not_changed() -> None:
    assert read(written(FULL, "A heading\nof two lines"), FULL) == {}
    text = written(FULL, "")
    assert 'time_limit = "1h30m"' in text
    assert 'memory_limit = "32 GiB"' in text
    assert 'gpu_min_memory = "12345 B"' in text
    assert 'umask = "027"' in text


def test_changes_removals_and_refusals() -> None:
    text = written(FULL, "")
    assert read(text.replace('"1h30m"', '"2h"').replace("# warn =", 'warn = "60s"'), FULL) == {
        "time_limit": 7200.0,
        "warn": 60,
    }
    without = "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(("gpus", "tags", "name", "after ="))
    )
    assert read(without, FULL) == {"gpus": 1, "tags": {}, "name": None, "after": []}
    for change, words in (
        ("colour = 1\n", "there is no field 'colour'"),
        ('warn = "soon"\n', "warn: 'soon' is no duration"),
        ("gpus = \n", "this is no TOML"),
        ("gpus = 3\ngpus = 4\n", "this is no TOML"),
        ("warn = 4\n", "warn: 4 what"),
        ("after_any = [true]\n", "'True' is no job id"),
        ("gpu_name = 3\n", "gpu_name: 3 is no text"),
        ("name = '\udcff'\n", "is not UTF-8"),
        ("warn = " + "[" * 5000, "this is no TOML"),
    ):
        with pytest.raises(ValueError, match=words):
            read(text + change, FULL)
    with pytest.raises(ValueError, match="cwd: a job cannot be without it"):
        read(text.replace("cwd =", "# cwd ="), FULL)


ADDED: dict[str, dict[str, object]] = {
    'stall_timeout = "30m"': {"stall_timeout": 1800},
    "not_before = 2099-07-01T16:00:00Z": {"not_before": 4086604800},
    "gpu_name = 'H100'": {"gpu_name": "H100"},
    "retry_backoff = 2": {"retry_backoff": 2},
    "resume_args = '--resume auto'": {"resume_args": ["--resume", "auto"]},
    "lane = ''": {"lane": None},
}


@pytest.mark.parametrize("line", ADDED)
def test_toml_has_types_of_its_own_and_takes_what_options_take(line: str) -> None:
    before = {name: value for name, value in FULL.items() if name != "not_before"}
    assert read(written(before, "") + line, before) == ADDED[line]


def test_every_field_of_a_jobspec_is_there_but_its_environment() -> None:
    assert {*JobSpec.__struct_fields__} - {*known_fields()} == {
        name for name in JobSpec.__struct_fields__ if name.startswith("env")
    }
    filled = msgspec.to_builtins(JobSpec(command=("true",), cwd="/"))
    assert read(written(filled, ""), filled) == {}


@given(
    st.recursive(
        st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_toml_says_the_same(value: object) -> None:
    assert tomllib.loads(f"x = {toml(value)}") == {"x": value}


@pytest.fixture
def editor(cli: Cli, tmp_path: Path) -> Callable[[str], None]:
    """Gives the command line this shell script as its editor; `$1` is the file, `$turn` counts from 1."""
    path = tmp_path / "editor"
    cli.env |= {"EDITOR": str(path), "TMPDIR": str(tmp_path)}
    cli.env.pop("VISUAL", None)

    def make(script: str) -> None:
        (tmp_path / "turns").unlink(missing_ok=True)
        count = f"echo x >> {tmp_path}/turns; turn=$(wc -l < {tmp_path}/turns); cp $1 {tmp_path}/seen.$turn"
        path.write_text(f"#!/bin/sh\n{count}\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return make


def answering(cli: Cli, keys: str, *words: str) -> tuple[str, int]:
    """On a terminal into which this is typed at the first question; what stood there, and the exit code."""
    with Terminal([*cli.prefix, *words], cli.env, 500) as terminal:
        if keys:
            terminal.expect("Edit it again?")
            terminal.type(keys)
        return terminal.rest(), terminal.process.returncode


def test_edit_in_an_editor(cli: Cli, editor: Callable[[str], None]) -> None:
    cli("submit", "--hold", "--name", "kept", "--", "true")
    editor("""sed -i 's/^gpus = 1/gpus = 0/; s/^# time_limit =/time_limit = "4h"/' $1""")
    assert "gpus, time_limit changed" in cli.on_a_terminal("edit", "1")
    job = cli.json("status", "1")
    assert (job["gpus"], job["name"], job["hold"], job["time_limit"]) == (0, "kept", True, 14400)
    editor("true")
    assert "nothing was changed" in cli.on_a_terminal("edit", "1")
    editor("""sed -i 's/^time_limit.*//' $1""")
    cli.on_a_terminal("edit", "1")
    assert cli.json("status", "1")["time_limit"] is None


def test_a_mistake_comes_back_with_the_reason_on_top(cli: Cli, editor: Callable[[str], None], tmp_path: Path) -> None:
    cli("submit", "--hold", "--", "true")
    editor("""
        case $turn in
        1) echo 'name = "long work' >> $1; sed -i '/^# name/d' $1;;
        2) sed -i 's/long work/long work"/; s/^gpus = 1/gpus = "two"/' $1;;
        3) sed -i 's/^gpus = "two"/gpus = 0/' $1;;
        esac""")
    said, code = answering(cli, "y\n\n", "edit", "1")
    assert (code, "gpus, name changed" in said or "name, gpus changed" in said) == (0, True)
    second, third = ((tmp_path / f"seen.{turn}").read_text(encoding="utf-8") for turn in (2, 3))
    assert second.startswith("# WRONG: this is no TOML")
    assert '"long work\n' in second
    assert third.startswith("# WRONG: gpus: 'two' is no whole number from 0 to 1024")
    assert third.count("# WRONG") == 1
    job = cli.json("status", "1")
    assert (job["name"], job["gpus"]) == ("long work", 0)


WRONG_TEXTS = {
    "the same again": ('echo "no TOML" > $1', "y\n"),
    "another each time": ('echo "no TOML, $turn" > $1', "y\ny\ny\nn\n"),
    "the end of the input": ('echo "no TOML" > $1', "\x04"),
    "Ctrl-C": ('echo "no TOML" > $1', "\x03"),
    "not UTF-8": (r'printf "name = \'\\377\'\\n" > $1', "n\n"),
    "nothing at all": (": > $1", "n\n"),
    "mended, and the editor fails": ('echo "no TOML" > $1; test $turn = 1', "y\n"),
}


def test_who_gives_up_finds_his_text_again(
    cli: Cli, client: Client, editor: Callable[[str], None], tmp_path: Path
) -> None:
    client.submit([{"command": ["true"], "cwd": "/", "hold": True, "name": "before"}])
    for case, (script, keys) in WRONG_TEXTS.items():
        editor(script)
        said, code = answering(cli, keys, "edit", "1")
        assert (code, "job 1 is unchanged: " in said, "Traceback" in said) == (1, True, False), (case, said)
        (kept,) = tmp_path.glob("trainq-edit-*")
        assert f"Your text is kept in {kept}." in said, case
        left = (tmp_path / f"seen.{said.count('Edit it again?')}").read_bytes()  # what the last turn began with
        assert kept.read_bytes() != left, case
        assert b"WRONG" not in kept.read_bytes(), case
        assert client.status(1).name == "before", case
        kept.unlink()


def test_an_editor_that_never_gets_it_right_is_not_asked_for_ever(
    cli: Cli, editor: Callable[[str], None], tmp_path: Path
) -> None:
    cli("submit", "--hold", "--", "true")
    editor('echo "no TOML, $turn" > $1')
    said, code = answering(cli, "y\n" * 30, "edit", "1")
    assert (code, "job 1 is unchanged" in said) == (1, True)
    assert len([*tmp_path.glob("seen.*")]) == 20


NO_TEXT = {
    "it fails": ("exit 1", "has ended with exit code 1"),
    "it is killed": ("kill -9 $$", "has ended with"),
    "it removes the file": ("rm $1", "has removed the file"),
    "a folder instead": ("rm $1; mkdir $1", "cannot be written or read again"),
}


def test_an_editor_that_gives_nothing_back(
    cli: Cli, client: Client, editor: Callable[[str], None], tmp_path: Path
) -> None:
    client.submit([{"command": ["true"], "cwd": "/", "hold": True}])
    for case, (script, words) in NO_TEXT.items():
        editor(f"echo x > $1~; {script}")
        said, code = answering(cli, "", "edit", "1")
        assert (code, words in said, "job 1 is unchanged" in said) == (1, True, True), (case, said)
        assert "EDITOR=nano" in said, case
        assert not [*tmp_path.glob("trainq-edit-*")], case


def test_no_editor(cli: Cli, editor: Callable[[str], None], tmp_path: Path) -> None:
    del editor
    cli("submit", "--hold", "--", "true")
    cli.env["EDITOR"] = str(tmp_path / "missing")
    said, code = answering(cli, "", "edit", "1")
    assert (code, "missing' cannot be started" in said, "--set FIELD=VALUE" in said) == (1, True, True), said
    del cli.env["EDITOR"]
    cli.env["PATH"] = str(tmp_path)
    said, code = answering(cli, "", "edit", "1")
    assert (code, "EDITOR is not set, and none of sensible-editor, nano, vim, vi is here" in said) == (1, True), said


def test_an_editor_of_several_words_and_nothing_left_behind(
    cli: Cli, editor: Callable[[str], None], tmp_path: Path
) -> None:
    del editor
    cli("submit", "--hold", "--", "true")
    cli.env["EDITOR"] = "sed -i~ 's/^gpus = 1/gpus = 0/'"
    said, code = answering(cli, "", "edit", "1")
    assert (code, "1\tqueued: gpus changed" in said.expandtabs(1).replace("1 queued", "1\tqueued")) == (0, True), said
    assert not [*tmp_path.glob("trainq-edit-*")]
    said, code = answering(cli, "", "edit", "1")
    assert (code, "nothing was changed in job 1" in said) == (0, True), said


def test_a_job_that_starts_meanwhile_is_refused_field_by_field(
    cli: Cli, editor: Callable[[str], None], tmp_path: Path
) -> None:
    cli("submit", "--hold", "--", "sleep", "60")
    trainq = f"{cli.prefix[0]} -m trainqueue.cli"
    release = f"{trainq} release 1; until {trainq} status 1 | grep -q 'state.running'; do sleep 0.1; done"
    editor(f"""{release}; sed -i 's/^gpus = 1/gpus = 0/; s/^# name =/name = "x"/' $1""")
    said = cli.on_a_terminal("edit", "1", columns=500)
    assert "only while it waits can be changed: name, gpus; preempt it first" in said
    assert [*tmp_path.glob("trainq-edit-*.toml")]
    assert "job 1 is running" in cli.on_a_terminal("edit", "1", columns=500)


def test_edit_many(cli: Cli, client: Client) -> None:
    held = {"command": ["true"], "cwd": "/", "hold": True}
    client.submit([held | {"name": f"a-{at}", "gpus": 2} for at in range(3)] + [held])
    assert cli("edit", "--name", "a-*", "--set", "time_limit=4h").stdout.split() == [
        "1",
        "queued",
        "2",
        "queued",
        "3",
        "queued",
    ]
    assert [client.status(job).time_limit for job in (1, 2, 3, 4)] == [14400, 14400, 14400, None]
    client.cancel([2])
    mixed = cli("edit", "1-3", "--set", "priority=high")
    assert (mixed.returncode, mixed.stdout) == (1, "1\tqueued\n3\tqueued\n")
    assert "job 2 is cancelled, and only while it waits can be changed: priority" in mixed.stderr
    wrong = cli("edit", "1,3", "--set", "gpu_from=0")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    for job in (1, 3):
        assert f"job {job}: gpu_from: names 1 GPUs, and the job needs 2" in wrong.stderr
    assert client.status(1).gpu_from == ()


def test_retry_with_changes_and_copies(cli: Cli, client: Client, editor: Callable[[str], None]) -> None:
    cli("run", "--name", "first", "--tag", "a=b", "--", "false")
    cli("pause")
    assert cli("retry", "1", "--set", "hold=true", "--set", "time_limit=1h").stdout == "1\tqueued\n"
    job = client.status(1)
    assert (job.attempt, job.hold, job.time_limit, job.name) == (2, True, 3600, "first")
    assert cli("retry", "1", "--copy", "--set", "name=second").stdout == "2\tqueued: a copy of 1\n"
    assert (client.status(2).name, client.status(2).tags, client.status(2).attempt) == ("second", {"a": "b"}, 1)
    assert cli("retry", "--copy", "77").returncode == 4
    cli("cancel", "1,2")
    editor("""sed -i 's/^name = .*/name = "third"/' $1""")
    assert "1\tqueued" in cli.on_a_terminal("retry", "--edit", "1")
    assert (client.status(1).name, client.status(1).attempt) == ("third", 3)
    assert "a copy of 2" in cli.on_a_terminal("retry", "--edit", "--copy", "2")
    assert client.status(3).name == "third"
    editor("true")
    cli("cancel", "2")
    assert "nothing queued; to queue it as it is: trainq-cli retry 2" in cli.on_a_terminal(
        "retry", "--edit", "2", columns=300
    )
    assert "only an ended one" in cli.on_a_terminal("retry", "--edit", "1", columns=300)


def test_several_that_cannot_wait_for_what_there_is_not_are_not_called_missing(cli: Cli) -> None:
    cli("submit", "--array", "1-2", "--hold", "--", "true")
    refused = cli("edit", "1", "2", "--set", "after=999")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert [
        line for line in refused.stderr.splitlines() if "there is no job 999" in line
    ] == refused.stderr.splitlines()
