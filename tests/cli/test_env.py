"""What of the submitter's environment a job gets, and what of it is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trainqueue.cli.env import from_file
from trainqueue.masked import MASK, masked
from trainqueue.settings import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli


def seen(cli: Cli, *options: str) -> dict[str, str]:
    """The environment that a job finds."""
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = cli("run", "--gpus", "0", *options, "--", sys.executable, "-c", show)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_what_the_settings_deny_is_not_handed_on(cli: Cli, tmp_path: Path) -> None:
    settings = tmp_path / "mine.toml"
    settings.write_text('[environment]\nallow = ["PATH", "HOME", "my_*"]\ndeny = ["*_SECRET"]\n', encoding="utf-8")
    cli.env |= {"TRAINQ_CONFIG": str(settings), "MY_WORD": "a", "MY_SECRET": "b", "OTHER": "c"}
    found = seen(cli)
    assert found["MY_WORD"] == "a"
    assert "PATH" in found
    assert {"MY_SECRET", "OTHER"} & {*found} == set()
    assert seen(cli, "--env", "OTHER=d")["OTHER"] == "d", "what somebody asks for by name"


def test_a_clean_environment(cli: Cli) -> None:
    cli.env |= {"MY_WORD": "a"}
    found = seen(cli, "--clean-env", "--env", "ADDED=1")
    assert found["ADDED"] == "1"
    plain = {"HOME", "USER", "SHELL", "PATH", "LANG", "TMPDIR", "ADDED", "LC_CTYPE", "TQDM_MININTERVAL"}
    assert {name for name in found if not name.startswith(("TRAINQ_", "CUDA_", "PYTHON"))} <= plain
    assert found["PATH"] == cli.env["PATH"]


def test_variables_from_a_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "vars"
    file.write_text("\ufeff# mine\n\nA=1 = one\r\n  B='two'\nHERE\nexport NOWHERE\nexport C=\n", encoding="utf-8")
    cli.env |= {"HERE": "is here", "A": "0"}
    found = seen(cli, "--clean-env", "--env-file", str(file), "--env", "C=3")
    assert {name: found.get(name) for name in ("A", "B", "HERE", "NOWHERE", "C")} == {
        "A": "1 = one",
        "B": "two",
        "HERE": "is here",
        "NOWHERE": None,
        "C": "3",
    }


LINES = {
    "A=a\fb\x0bc\x1cd\x85e\u2028f\rg": "a\fb\x0bc\x1cd\x85e\u2028f\rg",
    "A=1 # one $HOME": "1 # one $HOME",
    "A='1 # $HOME \\n'  # mine": "1 # $HOME \\n",
    r'''export  A="a \"b\" \\ \$c $d \n\t\x"''': 'a "b" \\ $c $d \n\t\\x',
    'A={"lr": "1"}': '{"lr": "1"}',
    "A= 'b'": " 'b'",
    "A=''": "",
    "export=1": None,
    "#A=1": None,
}


def test_a_variable_that_is_not_set_here_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("A=1\nNOBODY_HAS_SET_THIS\n", encoding="utf-8")
    done = cli("submit", "--env-file", str(tmp_path / "vars"), "--env", "CUDA_VISIBLE_DEVICES=3", "--", "true")
    assert done.returncode == 0
    assert "line 2: NOBODY_HAS_SET_THIS is not set here" in done.stderr
    assert "CUDA_VISIBLE_DEVICES: trainq sets this for each job" in done.stderr


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_variable(line: str, tmp_path: Path) -> None:
    file = tmp_path / "vars"
    file.write_bytes(f"{line}\r\nB=2".encode())
    found = from_file(str(file))
    assert (found.get("A"), found["B"]) == (LINES[line], "2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'A=1\nB="x\nC=y"\n', "line 2: the value of B begins a quote that does not end it; put all of it"),
        (b"A='x' y\n", "line 1: the value of A begins a quote"),
        (b"A=1\nnot a name=2\n", "line 2: 'not a name=2' is neither KEY=VALUE nor KEY"),
        (b"=x\n", "line 1"),
        (b"A=\xff\n", "it is not UTF-8"),
        (b"A=1\0\n", "line 1"),
        (b"A=" + b"x" * 2**20, "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_wrong(cli: Cli, tmp_path: Path, text: bytes, words: str) -> None:
    file = tmp_path / "vars"
    file.write_bytes(text)
    done = cli("submit", "--env-file", str(file), "--", "true")
    assert done.returncode == 2
    assert words in done.stderr
    missing = cli("submit", "--env-file", str(tmp_path / "nope"), "--", "true")
    assert (missing.returncode, "No such file" in missing.stderr) == (2, True)


def test_secrets_are_masked_wherever_they_stand() -> None:
    env = {
        "HF_TOKEN": "abc",
        "wandb_api_key": "def",
        "EMPTY_TOKEN": "",
        "KEYBOARD": "us",
        "MONKEY": "ape",
        "URL": "https://me:hunter2@example.org/x",
        "ODD": "say hf_abcdefghijklmnopqrst now",
        "PATH": "/bin",
    }
    assert masked(env, SECRET) == {
        "EMPTY_TOKEN": "",
        "HF_TOKEN": MASK,
        "KEYBOARD": "us",
        "MONKEY": "ape",
        "ODD": f"say {MASK} now",
        "PATH": "/bin",
        "URL": f"https://me:{MASK}@example.org/x",
        "wandb_api_key": MASK,
    }


def test_status_shows_the_environment_with_secrets_masked(cli: Cli) -> None:
    cli.env |= {"HF_TOKEN": "hunter2", "MY_WORD": "a\tb"}
    job = cli("submit", "--hold", "--", "true").stdout.strip()
    plain = cli("status", "--env", job).stdout
    assert f"env\tHF_TOKEN={MASK}\n" in plain
    assert "env\tMY_WORD=a\N{REPLACEMENT CHARACTER}b\n" in plain
    told = json.loads(cli("status", "--env", "--json", job).stdout)
    assert told["env"]["HF_TOKEN"] == MASK
    for text in (plain, json.dumps(told), cli("status", job).stdout, cli("events").stdout):
        assert "hunter2" not in text
    assert "env" not in json.loads(cli("status", "--json", job).stdout)
    assert cli("status", "--env").returncode == 2


def test_two_virtual_environments_side_by_side(cli: Cli, tmp_path: Path) -> None:
    """As they come from the shell: PATH and VIRTUAL_ENV are captured, and `python` is the job's own."""
    outer = cli.env["PATH"]
    for name in ("one", "two"):
        place = tmp_path / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        cli.env |= {"PATH": f"{place / 'bin'}:{outer}", "VIRTUAL_ENV": str(place)}
        done = cli("run", "--", "python", "-c", "import sys, os; print(sys.prefix, os.environ['VIRTUAL_ENV'])")
        assert done.stdout.split() == [str(place), str(place)], done.stderr


def test_settings_that_are_wrong_keep_nothing_secret_from_a_job_so_none_is_queued(cli: Cli, tmp_path: Path) -> None:
    settings = tmp_path / "mine.toml"
    settings.write_text('[environment]\ndenied = ["*"]\n', encoding="utf-8")
    cli.env |= {"TRAINQ_CONFIG": str(settings)}
    done = cli("submit", "--", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert "denied" in done.stderr
    assert cli.json("queue")["counts"] == {}


def test_a_conda_environment(cli: Cli, tmp_path: Path) -> None:
    """As `conda activate` leaves the shell: a prefix whose programs come first, and its variables."""
    prefix = tmp_path / "envs" / "torch"
    (prefix / "bin").mkdir(parents=True)
    tool = prefix / "bin" / "python"
    tool.write_text('#!/bin/sh\necho "$CONDA_PREFIX $CONDA_DEFAULT_ENV"\n', encoding="ascii")
    tool.chmod(0o755)
    cli.env |= {
        "PATH": f"{prefix / 'bin'}:{cli.env['PATH']}",
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": "torch",
    }
    assert cli("run", "--gpus", "0", "--", "python", "train.py").stdout == f"{prefix} torch\n"
