"""What `doctor` says of GPUs and their driver: real looks at a pretend machine, and a pretend daemon's words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from fakegpus import on_fake
from machine import GIB, Machine
from pretend import Pretender, gpu
from support import ACTORS, Daemon

from trainqueue import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine.build(tmp_path / "machine")


class Doctor:
    """Its findings about GPUs, as (result, what, advice) by check."""

    def __init__(self, home: Home, machine: Machine | None) -> None:
        self.cli = Cli(Daemon(home))
        self.cli.env.pop("TRAINQ_FAKE_GPUS", None)
        if machine is not None:
            self.cli.prefix = on_fake(machine, "trainqueue.cli")

    def __call__(self) -> dict[str, tuple[str, str, str]]:
        done = self.cli("doctor", "--json")
        assert done.stderr == ""
        rows = [row for row in json.loads(done.stdout) if row["check"].startswith(("gpu", "driver"))]
        assert done.returncode == (1 if any(row["result"] == "problem" for row in rows) else done.returncode)
        return {row["check"]: (row["result"], row["what"], row["advice"]) for row in rows}


@pytest.fixture
def doctor(home: Home, machine: Machine) -> Doctor:
    return Doctor(home, machine)


@pytest.fixture
def pretender(home: Home) -> Iterator[Pretender]:
    made = Pretender(home)
    made.answers["ping"] = {"version": __version__, "pid": 1}
    with made.serving():
        yield made


def test_a_driver_that_works(doctor: Doctor) -> None:
    what = "NVIDIA driver 550.54.14; GPU 0: NVIDIA RTX 4090, 1: NVIDIA RTX 4090"
    assert doctor() == {"gpu": ("ok", what, "")}


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        ("DRIVER_NOT_LOADED", "the NVIDIA driver is not loaded", "sudo modprobe nvidia"),
        ("LIB_RM_VERSION_MISMATCH", "driver/library version mismatch", "reboot, or reload the driver"),
        ("FUNCTION_NOT_FOUND", "too old for trainq", "update it"),
    ],
)
def test_a_driver_that_does_not(doctor: Doctor, machine: Machine, error: str, what: str, advice: str) -> None:
    machine.change(init_error=error)
    result, said, then = doctor()["gpu"]
    assert (result, what in said, advice in then) == ("problem", True, True), (said, then)


IMPATIENT = """
import sys
from pathlib import Path
from fakenvml import install
from machine import Machine
from trainqueue.cli import gpucheck
from trainqueue.home import Home
gpucheck.WAKING = 0.5
install(Machine(Path(sys.argv[1])))
print(*gpucheck.checks(Home(Path(sys.argv[2]))), sep="\\n")
"""


def test_a_driver_that_hangs_does_not_hang_doctor(home: Home, machine: Machine) -> None:
    machine.change(block=["nvmlDeviceGetCount_v2"])
    command = [sys.executable, "-c", IMPATIENT, str(machine.folder), str(home.path)]
    env = {**Daemon(home).env, "PYTHONPATH": f"{ACTORS}:{TESTS}"}
    env.pop("TRAINQ_FAKE_GPUS", None)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert "result='problem', what='the NVIDIA driver does not answer: " in done.stdout, done.stderr
    assert "see dmesg" in done.stdout


def test_a_lost_gpu_and_a_sleeping_one(doctor: Doctor, machine: Machine) -> None:
    machine.gpu(1, error="GPU_IS_LOST")
    found = doctor()
    lost = [row for name, row in found.items() if name != "gpu" and "lost it" in row[1]]
    assert [("reset it" in advice, result != "ok") for result, _, advice in lost] == [(True, True)], found
    assert (found["gpu"][0], "550.54.14" in found["gpu"][1]) == ("ok", True)
    machine.gpu(1, error=None)
    machine.gpu(0, persistence=0)
    result, what, advice = doctor()["driver"]
    assert (result, "(GPU 0)" in what, "nvidia-smi -pm 1" in advice) == ("ok", True, True)


def test_a_driver_that_lists_wrongly(doctor: Doctor, machine: Machine) -> None:
    machine.change(driver="535.54.03")
    assert (doctor()["driver"][0], "535.54.03" in doctor()["driver"][1]) == ("warning", True)


def test_pids_of_another_namespace(doctor: Doctor, machine: Machine) -> None:
    machine.process(machine.uuids()[0], GIB, pid=2**22 + 7)
    result, what, advice = doctor()["driver"]
    assert (result, "another pid namespace" in what, "--pid=host" in advice) == ("warning", True, True)


def test_what_the_daemon_knows_of_each(doctor: Doctor, pretender: Pretender, machine: Machine) -> None:
    what, then = "4.2 GiB were not given back within 60 s", "look with nvidia-smi for who has it"
    sick = gpu(0, healthy=False, why=f"{what}; {then}")
    pretender.answers["gpus"] = {"gpus": [sick, gpu(1, enabled=False)], "trouble": None}
    found = doctor()
    assert found["gpu 0"] == (
        "problem",
        "4.2 GiB were not given back within 60 s",
        "look with nvidia-smi for who has it",
    )
    assert found["gpu 1"] == ("warning", "disabled: no job starts on it", "trainq-cli gpus --enable 1")
    forgiving = "GPU 0 has had a fall off the bus (Xid 79): trainq-cli gpus --enable 0 trusts it again"
    pretender.answers["gpus"]["gpus"] = [gpu(0, healthy=False, why=forgiving)]
    assert doctor()["gpu 0"][2] == "trainq-cli gpus --enable 0 trusts it again"
    pretender.answers["gpus"]["gpus"] = [gpu(0, id="cpu:0")]
    assert "here are 2 GPUs" in doctor()["driver"][1]
    machine.change(init_error="DRIVER_NOT_LOADED")
    pretender.answers["gpus"] = {
        "gpus": [gpu(0, healthy=False, why="the driver is gone")],
        "trouble": "the driver is gone",
    }
    assert doctor().keys() == {"gpu"}, "said once"


def test_pretend_gpus_of_a_daemon(home: Home, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": [gpu(0, id="GPU-fake-0")]}
    found = Doctor(home, None)()
    assert found["gpu"] == ("ok", "no NVIDIA driver: the queue serves one slot, cpu:0", "")
    assert "TRAINQ_FAKE_GPUS" in found["driver"][1]


def test_settings_without_gpus(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "trainq.toml").write_text('[gpus]\nbackend = "none"\n', encoding="utf-8")
    doctor.cli.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    assert doctor()["gpu"][:2] == ("ok", 'the settings say backend = "none": the queue serves one slot, cpu:0')
