"""What cannot be started is refused before it is queued, where that is sure; of all else a word is said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click import UsageError

from trainqueue.cli.submit import submit

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that we are in; tool.sh and odd are on the PATH."""
    tools, made = tmp_path / "bin", tmp_path / "here"
    tools.mkdir()
    for name, text in {"tool.sh": "#!/bin/sh\n", "odd": "echo\n"}.items():
        (tools / name).write_text(text, encoding="ascii")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("TRAINQ_CONFIG", "")
    (made / "folder").mkdir(parents=True)
    for name, text, mode in (
        ("plain", "#!/bin/sh\n", 0o644),
        ("job.sh", "#!/bin/sh\n", 0o755),
        ("gone", "#!/no/such/shell -e\n", 0o755),
        ("dos", "#!/bin/sh\r\n", 0o755),
        ("bare", "echo\n", 0o755),
        ("empty", "", 0o755),
        ("binary", "\x7fELF\0", 0o644),
    ):
        (made / name).write_text(text, encoding="ascii", newline="")
        (made / name).chmod(mode)
    (made / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(made)
    return made


REFUSED = {
    ".": ". is a folder, and no program",
    "./folder": "./folder is a folder, and no program",
    "folder": "folder is a folder, and no program",
    "nosuch.sh": "there is no nosuch.sh in ",
    "./nosuch": "there is no file ./nosuch",
    "plain/x": "there is no file plain/x",
    "./dangling": "there is no file ./dangling",
    "-- ./plain": "./plain is not executable: chmod +x ./plain, or say what runs it",
    "./binary": "is not executable",
    "-- ./gone": "the first line of ./gone names '/no/such/shell', and there is no such program",
    "-- ./dos": "the first line of ./dos names '/bin/sh\\r', and",
    "-- job.sh": "which is not on the PATH: say ./job.sh, or leave out the --",
    "--sweep x=job,none -- ./{x}.sh": "there is no file ./none.sh",
}
DOUBTED = {
    "-- ./bare": "./bare is neither a program nor a script with a #! line",
    "-- ./empty": "./empty is neither a program nor a script with a #! line",
    "empty": "empty is empty: its job does nothing",
    "pyhton train.py": "there is no program pyhton on the PATH; unless that changes, the job cannot start",
    "--hold -- ./nosuch.sh": "there is no file ./nosuch.sh; unless that changes",
    "--not-before 2h -- ./nosuch.sh": "there is no file ./nosuch.sh",
    "--after 1 -- ./built": "there is no file ./built",
    "--cwd /no/such/folder -- true": "there is no folder /no/such/folder",
    "--sweep x=1..9 -- pyhton{x}": "and so with 6 more",
}
TAKEN = ("./job.sh", "job.sh", "tool.sh", "odd", "true x", "-- tool.sh", "--clean-env -- true", "--env PATH=/bin -- sh")


@pytest.mark.usefixtures("here")
def test_what_is_refused() -> None:
    for words, said in REFUSED.items():
        with pytest.raises(UsageError) as refusal:
            submit.main(["--dry-run", *words.split()], standalone_mode=False)
        assert said in refusal.value.message, words
        assert "nothing was queued" in refusal.value.message


@pytest.mark.usefixtures("here")
def test_what_is_doubted_and_what_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in {**DOUBTED, **dict.fromkeys(TAKEN, "")}.items():
        submit.main(["--dry-run", *words.split()], standalone_mode=False)
        shown = capsys.readouterr()
        assert shown.out.startswith("would queue"), words
        assert said in shown.err, words
        assert bool(said) == bool(shown.err), words


def test_what_may_be_executed_and_not_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bare").chmod(0o111)
    submit.main(["--dry-run", "--", "./bare"], standalone_mode=False)
    assert bool(capsys.readouterr().err) == (os.geteuid() == 0), "root may read all"


def test_nothing_is_queued_and_run_refuses_as_well(cli: Cli, tmp_path: Path) -> None:
    for command in ("submit", "run"):
        done = cli(command, "./nosuch.sh", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
    assert cli.json("queue")["counts"] == {}
    assert cli("submit", "--hold", "--", "./later.sh", cwd=tmp_path).stdout == "1\n"
    (tmp_path / "later.sh").write_text("#!/bin/sh\necho ran\n", encoding="ascii")
    (tmp_path / "later.sh").chmod(0o755)
    cli("release", "1")
    assert cli("wait", "1").returncode == 0
