"""`submit script.sh`: the options in its first lines, and how it is run."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from support import Daemon

from trainqueue.cli.directives import MOST
from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from pathlib import Path

LEADING = """#!/bin/sh
# A comment.
#TRAINQ --time-limit 4h --tag 'who=the lab'   # and why
#TRAINQ --gpus 0
#TRAINQUE --gpus 9

#\tTRAINQ --gpus 9
"""
LATE = """echo "$0" "$@"
#TRAINQ --gpus 9
"""


@pytest.fixture
def alone(tmp_path: Path) -> Cli:
    """Where no daemon runs, and none is needed."""
    return Cli(Daemon(Home(tmp_path / "home")))


def script(tmp_path: Path, text: str | bytes, name: str = "job.sh", mode: int = 0o644) -> str:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


def planned(alone: Cli, cwd: Path, *words: str) -> list[str]:
    """The command that would be queued."""
    shown = alone("submit", "--dry-run", "--json", *words, cwd=cwd)
    return list(json.loads(shown.stdout)["jobs"][0]["command"]) if not shown.returncode else [shown.stderr]


def test_a_script_runs_with_its_options_and_its_arguments(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    path = script(tmp_path, LEADING + LATE)
    made = cli("submit", "--tag", "more=1", "job.sh", "--gpus", "3", cwd=tmp_path)
    assert made.stdout == "1\n", made.stderr
    assert made.stderr.splitlines() == [
        "trainq-cli: job.sh, line 7: passed over; a line with options begins with #TRAINQ and a blank",
        "trainq-cli: job.sh, line 9: passed over, since a command stands before it (line 8)",
        "trainq-cli: --gpus goes to job.sh; put it before job.sh for trainq",
    ]
    with Client(daemon.home) as client:
        job = client.wait([1], 20)[0]
        assert client.log(1)["data"].decode() == f"{path} --gpus 3\n"
    assert (job.gpus, job.time_limit, job.tags) == (0, 4 * 3600, {"who": "the lab", "more": "1"})


def test_the_command_line_goes_before_the_script(cli: Cli, tmp_path: Path) -> None:
    cli("pause")
    script(tmp_path, LEADING + LATE)
    cli("submit", "--time-limit", "5m", "./job.sh", cwd=tmp_path)
    assert cli.json("status", "1")["time_limit"] == 300
    refused = cli("run", "--gpu-memory", "8GiB", "job.sh", cwd=tmp_path)
    assert "--gpus 0 asks for no GPU" in refused.stderr


HOW: dict[str, tuple[str | bytes, str, int, list[str]]] = {
    "#! and executable": ("#!/bin/sh\n", "a.sh", 0o755, ["{}"]),
    "#! only": ("#!/usr/bin/env -S sh -e\n:", "a.sh", 0o644, ["/usr/bin/env", "-S sh -e", "{}"]),
    "neither": ("echo\n", "a.sh", 0o644, ["bash", "{}"]),
    "empty": ("", "a", 0o755, ["bash", "{}"]),
    "program": (b"\x7fELF\0\n#TRAINQ --gpus 9 --nonsense", "a.out", 0o755, ["{}"]),
}


@pytest.mark.parametrize("case", HOW)
def test_how_it_is_run(case: str, alone: Cli, tmp_path: Path) -> None:
    text, name, mode, command = HOW[case]
    path = script(tmp_path, text, name, mode)
    assert planned(alone, tmp_path, name, "x") == [*(word.format(path) for word in command), "x"]


def test_behind_dashes_and_from_the_path_stands_a_command(alone: Cli, tmp_path: Path) -> None:
    script(tmp_path, "#TRAINQ --nonsense\n", "true")
    script(tmp_path, "#TRAINQ --nonsense\n")
    (tmp_path / "job.sh").chmod(0o755)
    assert planned(alone, tmp_path, "--", "./job.sh") == ["./job.sh"]
    assert planned(alone, tmp_path, "true") == ["true"]
    assert "No such option" in planned(alone, tmp_path, "./true")[0]


WRONG = {
    "option": ("#!/bin/sh\n\n#TRAINQ --gpu-count 2\n", "job.sh, line 3: No such option '--gpu-count'."),
    "value": ("#TRAINQ --time-limit 4x\n", "job.sh, line 1: Invalid value for '--time-limit': '4x' is no duration"),
    "quote": ("#TRAINQ --name 'x\n", "job.sh, line 1: No closing quotation"),
    "word": ("#TRAINQ --gpus 1 echo\n", "job.sh, line 1: Got unexpected extra argument (echo)"),
    "colon": ("#TRAINQ: --gpus 2\n", "job.sh, line 1: a blank stands behind #TRAINQ: #TRAINQ --gpus 2"),
    "no blank": ("#!/bin/sh\r\n#TRAINQ--gpus 2\r\n", "job.sh, line 2: a blank stands behind #TRAINQ"),
    "of the call": ("#TRAINQ --json\n", "job.sh, line 1: No such option '--json'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_it_is_named_with_its_line(case: str, alone: Cli, tmp_path: Path) -> None:
    text, words = WRONG[case]
    script(tmp_path, text)
    refused = alone("submit", "job.sh", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in " ".join(refused.stderr.split())


def test_lines_end_with_line_feeds_alone(alone: Cli, tmp_path: Path) -> None:
    script(tmp_path, "#TRAINQ --name 'a\fb\u2028c\x85' --gpus 0\r\n#TRAINQ --tag k=v\r\nexit\r\n")
    shown = alone("submit", "--dry-run", "--json", "job.sh", cwd=tmp_path)
    job = json.loads(shown.stdout)["jobs"][0]
    assert (job["name"], job["gpus"], job["tags"], shown.stderr) == ("a\fb\u2028c\x85", 0, {"k": "v"}, "")


def test_a_line_that_is_cut_is_no_line(alone: Cli, tmp_path: Path) -> None:
    script(tmp_path, "#TRAINQ --gpus 3\n#" + "x" * (MOST - 30) + "\n#TRAINQ --time-limit 4h\n")
    shown = alone("submit", "--dry-run", "--json", "job.sh", cwd=tmp_path)
    assert json.loads(shown.stdout)["jobs"][0]["gpus"] == 3, shown.stderr


def test_whose_an_option_behind_the_script_is(alone: Cli, tmp_path: Path) -> None:
    script(tmp_path, "#!/bin/sh\n", mode=0o755)
    for words, said in {
        (
            "--hold",
            "--name=x",
            "-h",
            "--epochs",
            "3",
            "--",
            "--gpus",
        ): "--hold, --name go to ./job.sh; put them before",
        ("--epochs", "3"): "",
        ("--", "--hold"): "",
    }.items():
        done = alone("submit", "--dry-run", "./job.sh", *words, cwd=tmp_path)
        assert (done.returncode, said in done.stderr, bool(done.stderr)) == (0, True, bool(said))
    assert alone("submit", "--dry-run", "--", "./job.sh", "--hold", cwd=tmp_path).stderr == ""


def test_python_without_a_first_line_is_not_given_to_bash(alone: Cli, tmp_path: Path) -> None:
    path = script(tmp_path, "import torch\n", "train.py")
    assert f"{path} has no #! line; say what runs it: -- python {path}" in planned(alone, tmp_path, "train.py")[0]


def test_a_script_may_be_a_sweep_and_braces_in_its_path_are_no_names(alone: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "{odd}"
    folder.mkdir()
    path = script(folder, "#TRAINQ --sweep lr=1,2\n", mode=0o644)
    shown = alone("submit", "--dry-run", "--group", "g", "job.sh", "{lr}", cwd=folder)
    assert shown.stdout.splitlines()[1:] == [f"  {at}  bash '{path}' {at}" for at in (1, 2)], shown.stderr


def test_without_options_it_is_just_run_by_the_real_bash(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    script(tmp_path, 'words=(a b); echo "${words[1]}" "$1"\n')
    assert cli("submit", "--gpus", "0", "job.sh", "c", cwd=tmp_path).stdout == "1\n"
    with Client(daemon.home) as client:
        client.wait([1], 20)
        assert client.log(1)["data"] == b"b c\n"


def test_with_a_snapshot_the_script_is_frozen_too(cli: Cli, daemon: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "inner").mkdir(parents=True)
    script(folder, "#!/bin/sh\necho frozen $1\n", "inner/a.sh", 0o755)
    words = ["--hold", "--gpus", "0", "--snapshot"]
    assert len(cli("submit", *words, "inner/a.sh", "x", cwd=folder).stderr.splitlines()) == 1
    assert cli("submit", *words, "--sweep", "x=1,2", "inner/a.sh", "{x}", cwd=folder).stdout == "2\n3\n"
    script(folder, "#!/bin/sh\necho changed\n", "inner/a.sh", 0o755)
    cli("release", "1-3")
    with Client(daemon.home) as client:
        client.wait([1, 2, 3], 20)
        assert [client.log(job)["data"].decode() for job in (1, 2, 3)] == ["frozen x\n", "frozen 1\n", "frozen 2\n"]
        assert client.status(2).command == ("./inner/a.sh", "1")


def test_what_does_not_look_like_a_script_is_refused(alone: Cli, tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text("{}", encoding="ascii")
    refused = alone("submit", "--dry-run", "cfg.json", cwd=tmp_path)
    assert (refused.returncode, "does not look like a script" in refused.stderr) == (2, True)


def test_options_behind_a_program_are_said_unless_a_dash_says_whose_they_are(alone: Cli) -> None:
    said = "--gpus goes to sh; put it before sh for trainq"
    assert said in alone("submit", "--dry-run", "sh", "-c", "true", "--gpus", "2").stderr
    assert alone("submit", "--dry-run", "--", "sh", "-c", "true", "--gpus", "2").stderr == ""
