"""`daemon install`: the unit, in a pretend systemd's world, and what is said where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from trainqueue.cells import OURS
from trainqueue.cli import cli, unit
from trainqueue.errors import TrainqError
from trainqueue.home import Home

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMCTL = "#!/bin/sh\necho 'systemd {version} (deb)'\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a systemd that says what it is."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TRAINQ_HOME", str(tmp_path / "my 100% $home"))
    monkeypatch.setattr(unit, "BOOTED", tmp_path)
    systemd(tmp_path, 257)
    return tmp_path


def systemd(world: Path, version: int) -> None:
    program = world / "bin" / "systemctl"
    program.write_text(SYSTEMCTL.format(version=version), encoding="ascii")
    program.chmod(0o755)


def written(world: Path) -> list[tuple[str, str]]:
    """The lines of the unit."""
    lines = (world / "config" / "systemd" / "user" / "trainqd.service").read_text(encoding="utf-8").splitlines()
    return [(name, value) for name, equals, value in (line.partition("=") for line in lines) if equals]


def test_the_unit_and_what_comes_next(world: Path) -> None:
    done = CliRunner().invoke(cli, ["daemon", "install"])
    assert done.exit_code == 0, done.output
    service = dict(written(world))
    home = str(world / "my 100% $home").replace("%", "%%").replace("$", "$$")
    assert service["ExecStart"] == f'"{sys.executable}" "-m" "trainqueue.daemon" "--home" "{home}"'
    assert (service["Delegate"], service["DelegateSubgroup"]) == ("yes", OURS)
    assert ("Environment", f'"XDG_CONFIG_HOME={world}/config"') in written(world)
    assert (service["KillMode"], service["OOMPolicy"]) == ("process", "continue")
    assert f"written: {world}/config/systemd/user/trainqd.service\n" in done.output
    assert "systemctl --user daemon-reload && systemctl --user enable --now trainqd.service\n" in done.output
    assert "loginctl enable-linger" in done.output
    assert "daemon stop" not in done.output
    assert CliRunner().invoke(cli, ["daemon", "install"]).exit_code == 0


def test_an_older_systemd_is_not_asked_for_what_it_cannot(world: Path) -> None:
    systemd(world, 252)
    done = CliRunner().invoke(cli, ["daemon", "install"])
    assert "Delegate" not in dict(written(world))
    assert "Jobs' memory cannot be limited: that needs systemd 254, and this is 252.\n" in done.output


def test_without_systemd_nothing_is_written(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "BOOTED", world / "nothing")
    with pytest.raises(TrainqError, match="systemd does not run this machine: nothing was written"):
        unit.install(Home(world))
    assert not (world / "config").exists()


@pytest.mark.parametrize("version", [252, 257])
def test_the_systemd_of_this_machine_can_read_it(world: Path, version: int) -> None:
    """What it does not know it passes over."""
    if not (verify := shutil.which("systemd-analyze")):
        pytest.skip("no systemd")
    systemd(world, version)
    path, _ = unit.install(Home(world))
    env = {"XDG_RUNTIME_DIR": str(world), "HOME": str(world)}
    done = subprocess.run(
        [verify, "--user", "verify", path], env=env, capture_output=True, text=True, check=False, timeout=20
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd cannot be asked here")
    ours = [line for line in done.stderr.splitlines() if path.name in line]
    assert all("DelegateSubgroup" in line and "ignoring" in line for line in ours), done.stderr
    assert done.returncode == 0, done.stderr
