"""`submit` with --array, --sweep and --from-csv: what it makes, and what it refuses before anything is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from click import UsageError
from commands import Cli
from support import Daemon

from trainqueue.cli.factors import Array, Factor
from trainqueue.cli.several import drafts
from trainqueue.cli.submit import OWN, submit
from trainqueue.cli.sweep import asked, stem
from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def alone(tmp_path: Path) -> Cli:
    """Where no daemon runs."""
    return Cli(Daemon(Home(tmp_path / "home")))


def drafted(*words: str) -> list[dict[str, Any]]:
    """What each job of `submit` with these words has of its own."""
    fields = dict(submit.make_context("submit", [*words]).params)
    options = {name: fields.pop(name) for name in OWN}
    return drafts(fields, asked(options, 1000))[0]


def commands(
    *sweep: str, array: str | None = None, command: str = "t {lr} {seed}", zipped: bool = False, file: str | None = None
) -> list[list[str]]:
    words = [word for text in sweep for word in ("--sweep", text)]
    words += [] if array is None else ["--array", array]
    words += ["--zip"] * zipped + ([] if file is None else ["--from-csv", file])
    return [job["command"] for job in drafted(*words, "--", *command.split())]


def test_a_sweep_is_the_product_of_its_values_and_the_last_changes_fastest() -> None:
    made = commands("lr=1e-3,1e-4", "seed=0..2")
    assert made == [["t", lr, seed] for lr in ("1e-3", "1e-4") for seed in "012"]


def test_zip_takes_the_first_ones_together() -> None:
    assert commands("lr=a,a", "seed=7,8", zipped=True) == [["t", "a", "7"], ["t", "a", "8"]], "no two are the same"
    assert commands("lr=a,b", "seed=7..9..2", zipped=True) == [["t", "a", "7"], ["t", "b", "9"]]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0-3", "0123"),
        ("1,3,7-9", "13789"),
        ("0-8:4", "048"),
        ("5", "5"),
    ],
)
def test_arrays(text: str, values: str) -> None:
    assert commands(array=text, command="t {index}") == [["t", value] for value in values]


@pytest.mark.parametrize(
    ("text", "values"), [("x=3..1..-1", "3 2 1"), ("x=-1..1", "-1 0 1"), ("x=../a,1..2,", "../a 1 2 ")]
)
def test_values(text: str, values: str) -> None:
    assert commands(text, command="t {x}") == [["t", value] for value in values.split(" ")]


def test_braces_are_doubled_and_values_are_not_read_again() -> None:
    assert commands("x={y}", command='t {{"lr":{x}}}') == [["t", '{"lr":{y}}']]


def test_names_in_what_is_appended_for_a_resumption_and_in_the_program() -> None:
    first, second = drafted("--sweep", "x=1,2", "--resume-args", "--from 'run {x}'", "--", "{x}")
    assert (first["command"], first["resume_args"]) == (["1"], ["--from", "run 1"])
    assert (second["command"], second["resume_args"]) == (["2"], ["--from", "run 2"])


def test_the_lines_of_a_csv_file_are_one_factor(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text('lr, seed\n"1e-3",1\n\n1e-4, 2\n', encoding="utf-8-sig")
    made = commands("x=a,b", command="t {lr} {seed} {x}", file=str(file))
    assert made == [["t", lr, seed, x] for x in "ab" for lr, seed in (("1e-3", "1"), ("1e-4", "2"))]
    assert commands(command="t {seed}", file=str(file)) == [["t", "1"], ["t", "2"]]
    file.write_bytes(b"lr\n\xff\n")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        commands(command="t {lr}", file=str(file))
    with pytest.raises(UsageError, match="more than 64 MiB"):
        commands(command="t {lr}", file="/dev/zero")


CSV = {
    "empty": ("", "is empty"),
    "header": ("lr,seed\n", "has no lines but its header"),
    "name": ("learning rate\n1\n", "'learning rate' in its first line is no name"),
    "ragged": ("lr,seed\n1,2\n3\n", "line 3: 1 values for 2 columns"),
    "nul": ("lr,seed\n1,\0\n", "a NUL byte"),
}


@pytest.mark.parametrize("case", CSV)
def test_csv_files_that_cannot_be_meant(case: str, tmp_path: Path) -> None:
    file, (text, words) = tmp_path / "runs.csv", CSV[case]
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        commands(file=str(file))
    with pytest.raises(UsageError, match="No such file"):
        commands(file=str(tmp_path / "none"))


WRONG: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (
        ("lr=1", "seed=1"),
        {"command": "t {lrr} {seed}"},
        "'{lrr}': there is no {lrr} here, but {lr}, {seed}; a brace is",
    ),
    (("lr=1",), {"command": "t {"}, "a { begins a name"),
    (
        ("lr=1", "seed=1"),
        {"command": "t {lr}"},
        "{seed} stands nowhere in the command, --name, --env, --cwd or --resume-args",
    ),
    (("lr=1", "lr=2"), {}, "{lr} is given twice"),
    (("lr=1,2", "seed=0..2"), {"zipped": True}, "as many values of each: --sweep lr has 2, --sweep seed has 3"),
    ((), {"zipped": True}, "--zip pairs the values"),
    (("lr=0..9", "seed=0..999999"), {}, "that is 10000000 jobs, and a sweep has at most 1000"),
    ((), {"array": "0-99999999999"}, "that is 100000000000 jobs"),
    (("seed=0..999999999999999999",), {"command": "t {seed}"}, "that is 1000000000000000000 jobs"),
    (
        ("lr=1,1",),
        {"command": "t {lr}"},
        "two jobs would be the same: lr=1; repetitions are asked for with --array 1-2",
    ),
    (("lr=1,2", "seed=3,0..3"), {}, "two jobs would be the same: lr=1 seed=3"),
    ((), {"array": "1,0-2", "command": "t"}, "two jobs would be the same: index=1"),
]


@pytest.mark.parametrize(("sweep", "more", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_a_sweep_that_cannot_be_meant_is_refused(sweep: tuple[str, ...], more: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        commands(*sweep, **more)


@pytest.mark.parametrize(
    "words", [["--env", b"A=\xff{x}"], ["--name", b"\xff{x}"], ["--cwd", b"/\xff/{x}"], ["--sweep", b"y=\xff"]]
)
def test_what_is_not_utf_8_is_refused(alone: Cli, words: list[str | bytes]) -> None:
    refused = alone("submit", "--dry-run", "--sweep", "x=1", *words, "--", "{x}{y}" if words[0] == "--sweep" else "{x}")
    assert refused.returncode == 2
    assert "is not UTF-8" in refused.stderr


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        (Array(), "3-1", "'3-1' ends before it starts"),
        (Array(), "0-9:0", "its step is 0"),
        (Array(), "a", "'a' is no index; arrays look like"),
        (Array(), "0-9%4", "with --max-running 4"),
        (Factor(), "lr", "is not NAME=VALUES"),
        (Factor(), "l r=1", "is not NAME=VALUES"),
        (Factor(), "lr=", "lr has no values"),
        (Factor(), "lr=4..0", "ends before it starts"),
        (Factor(), "lr=0..9223372036854775807", "9223372036854775807 is too large for a range; it ends at 9999"),
        (Factor(), "lr=-1..-9999999999999999999", "-9999999999999999999 is too large for a range"),
        (Array(), "0-9223372036854775807", "9223372036854775807 is too large for a range; it ends at 9999"),
        (Factor(), "lr=0.1..0.5", "is no range of whole numbers"),
    ],
)
def test_forms_of_sweeps(form: Array | Factor, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        form.read(text)


@pytest.mark.parametrize(
    ("command", "name", "group"),
    [
        (["python", "-u", "src/train.py", "--lr", "{lr}"], None, "train"),
        (["./run", "{x}"], "resnet-{lr}", "resnet"),
        (["./run", "{x}"], "lr{lr}-seed{seed}", "lr"),
        (["./run", "{x}"], "{lr} of mine", "of mine"),
        (["{x}"], None, "sweep"),
    ],
)
def test_what_a_group_is_called(command: list[str], name: str | None, group: str) -> None:
    assert stem(command, name) == group


def test_each_job_of_a_sweep_finds_its_values(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    for lr in ("0.1", "0.2"):
        (tmp_path / lr).mkdir()
    words = ["--gpus", "0", "--array", "3-4", "--sweep", "lr=0.1,0.2", "--name", "n-{lr}-{index}", "--tag", "kind=s"]
    words += ["--cwd", f"{tmp_path}/{{lr}}", "--env", "RATE=={lr}", "--env", "SAME={{}}", "--group", "g"]
    shell = 'echo "{lr} $TRAINQ_ARRAY_INDEX $RATE $SAME $FROM_HERE ${{PWD##*/}}"'
    cli.env["FROM_HERE"] = "here"
    made = cli("submit", *words, "--", "sh", "-c", shell)
    assert made.stdout.split() == ["1", "2", "3", "4"], made.stderr
    with Client(daemon.home) as client:
        jobs = client.wait([1, 2, 3, 4], 20)
        logs = [client.log(job)["data"].decode() for job in (1, 4)]
    assert logs == ["0.1 3 =0.1 {} here 0.1\n", "0.2 4 =0.2 {} here 0.2\n"]
    assert [job.name for job in jobs] == ["n-0.1-3", "n-0.2-3", "n-0.1-4", "n-0.2-4"]
    assert jobs[3].tags == {"kind": "s", "lr": "0.2", "index": "4"}
    assert {job.group for job in jobs} == {"g"}


def test_a_sweep_is_all_or_none_and_says_its_group(cli: Cli) -> None:
    cli("pause")
    told = cli.on_a_terminal("submit", "--sweep", "x=1..3", "--", "echo", "train.sh", "{x}", columns=200)
    group = re.search(r"3 jobs queued: 1-3 \(group (train-[0-9a-f]{8})\)", told)
    assert group is not None, told
    assert cli.json("status", "2")["group"] == group[1]
    assert [job["id"] for job in cli.json("submit", "--array", "0-1", "--max-running", "1", "--", "true")] == [4, 5]
    assert cli.json("status", "5")["max_running"] == 1
    refused = cli("submit", "--sweep", "x=1..3", "--after", "99", "--", "echo", "{x}")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "there is no job 99" in refused.stderr
    assert cli.json("queue")["counts"] == {"queued": 5}


def test_a_job_of_an_array_keeps_its_index_whatever_variables_it_is_given(cli: Cli) -> None:
    cli("pause")
    cli("submit", "--array", "3,7", "--env", "A=1", "--", "sh", "-c", "echo $TRAINQ_ARRAY_INDEX $A $B")
    assert cli("edit", "2", "--set", "env=B=2,C=3").returncode == 0
    cli("resume")
    cli("wait", "1", "2")
    assert (cli("logs", "1").stdout, cli("logs", "2").stdout) == ("3 1\n", "7 1 2,C=3\n")


def test_without_a_sweep_braces_stay(cli: Cli) -> None:
    cli("pause")
    assert cli("submit", "--", "echo", "{x}{{", "{").stdout == "1\n"
    assert cli.json("status", "1")["command"] == ["echo", "{x}{{", "{"]


def test_the_limit_of_a_sweep_is_a_setting(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "trainq.toml"
    config.write_text("[queue]\nmax_sweep = 5\n", encoding="utf-8")
    cli.env["TRAINQ_CONFIG"] = str(config)
    refused = cli("submit", "--array", "0-5", "--", "true")
    assert refused.returncode == 2
    assert "that is 6 jobs, and a sweep has at most 5 (setting [queue] max_sweep)" in refused.stderr


def test_a_dry_run_shows_the_first_and_the_last_and_needs_no_daemon(alone: Cli, tmp_path: Path) -> None:
    shown = alone(
        "submit", "--dry-run", "--group", "g", "--array", "1-10", "--name", "n{index}", "--", "a b", "{index}"
    )
    assert shown.stdout.splitlines() == [
        "would queue 10 jobs (group g):",
        *(f"  {at:>2}  n{at}: 'a b' {at}" for at in (1, 2, 3)),
        "   …",
        *(f"  {at:>2}  n{at}: 'a b' {at}" for at in (8, 9, 10)),
    ]
    single = alone("submit", "--dry-run", "--gpus", "2", "--", "true", "x")
    assert single.stdout == "would queue 1 job:\n  1  true x\n"
    document = alone.json("submit", "--dry-run", "--env", "A={index}", "--array", "1-10", "--", "true")
    assert (document["count"], len(document["jobs"])) == (10, 10)
    last = document["jobs"][-1]
    assert last["env_extra"] == {"A": "10", "TRAINQ_ARRAY_INDEX": "10"}
    assert "env" not in last
    assert not (tmp_path / "home").exists()


def test_a_dry_run_refuses_what_the_daemon_would(alone: Cli) -> None:
    long = "x" * 5000
    wrong = alone("submit", "--dry-run", "--array", "1-2", "--cwd", f"/{long}", "--", "true")
    assert wrong.returncode == 1
    assert "--cwd: it is too long, at most 4095" in wrong.stderr


def test_run_says_how_to_follow_several(alone: Cli, tmp_path: Path) -> None:
    for words in (["--sweep", "x=1,2"], ["--array", "0-3"], ["--dry-run"]):
        refused = alone("run", *words, "--", "echo", "{x}")
        assert refused.returncode == 2
        assert "submit --group NAME …, and then wait --group NAME" in refused.stderr
    assert "--sweep" not in alone("run", "--help").stdout
    (tmp_path / "job.sh").write_text("#TRAINQ --array 0-3\n", encoding="ascii")
    assert "wait --group NAME" in alone("run", "./job.sh", cwd=tmp_path).stderr
