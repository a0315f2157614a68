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
from pretend import Pretender, gpu, process
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
    forgiving = "GPU 0 has fallen off the bus (Xid 79): trainq-cli gpus --enable 0 trusts it again"
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


def test_memory_that_is_not_back_is_advised_about(doctor: Doctor, pretender: Pretender, machine: Machine) -> None:
    waiting = "GPU 0 waits for the memory of job 3 to come back (4 GiB of it)"
    taken = "trainq-cli gpus --enable 0 takes what is in use now for normal, else it is used again when that is over"
    sick = gpu(0, id=machine.uuids()[0], healthy=False, waiting_for_memory=True, why=f"{waiting}: {taken}")
    pretender.answers["gpus"] = {"gpus": [sick], "trouble": None}
    assert doctor()["gpu 0"] == ("problem", waiting, f"look with nvidia-smi for who holds it; {taken}")


def test_a_gpu_that_the_daemon_has_lost_is_told_once(doctor: Doctor, pretender: Pretender, machine: Machine) -> None:
    machine.gpu(1, error="GPU_IS_LOST")
    lost = "GPU 1 is lost: the driver does not show it any more"
    ours = [gpu(0, id=machine.uuids()[0]), gpu(1, id=machine.uuids()[1], healthy=False, why=lost)]
    pretender.answers["gpus"] = {"gpus": ours, "trouble": None}
    found = doctor()
    assert [*found] == ["gpu", "gpu 1", "driver"]
    assert found["driver"] == ("ok", "NVIDIA driver 550.54.14", "")
    assert found["gpu 1"][:2] == ("problem", lost)
    assert "see dmesg" in found["gpu 1"][2]
    assert "restart the machine" in found["gpu 1"][2]


def test_a_gpu_with_a_stranger_on_it_is_a_note(doctor: Doctor, pretender: Pretender, machine: Machine) -> None:
    ours = [gpu(at, id=uuid) for at, uuid in enumerate(machine.uuids())]
    ours[0] |= {"foreign": [process(4242, "eve", 6.1)], "use": "foreign", "why": "GPU 0 is used by eve"}
    pretender.answers["gpus"] = {"gpus": ours, "trouble": None}
    result, what, advice = doctor()["gpu 0"]
    assert (result, what) == ("ok", "used by eve: python (pid 4242, 6.1 GiB)")
    assert "ignore_commands" in advice


@pytest.mark.parametrize("home_name", ["home", "another"])
def test_a_gpu_left_out_that_is_not_there(doctor: Doctor, pretender: Pretender, tmp_path: Path, home_name: str) -> None:
    """With a daemon that serves the home, and without."""
    (tmp_path / "trainq.toml").write_text('[gpus]\nleft_out = ["1", "99", "GPU-nonsense"]\n', encoding="utf-8")
    doctor.cli.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    doctor.cli.env["TRAINQ_HOME"] = str(tmp_path / home_name)
    pretender.answers["gpus"] = {"gpus": [gpu(0), gpu(1)], "trouble": None}
    rows = [row for row in json.loads(doctor.cli("doctor", "--json").stdout) if row["check"] == "left_out"]
    assert [row["what"].split(",")[0] for row in rows] == [
        "the settings leave out GPU 99",
        "the settings leave out GPU GPU-nonsense",
    ]


def test_pretend_gpus_of_a_daemon(home: Home, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": [gpu(0, id="GPU-fake-0")]}
    found = Doctor(home, None)()
    assert found == {"gpu": ("ok", "the daemon was started with TRAINQ_FAKE_GPUS: it pretends to have 1 GPU", "")}


def test_the_daemon_s_gpus_come_first(doctor: Doctor, pretender: Pretender, machine: Machine) -> None:
    """It may see others than can be seen from here."""
    ours = [gpu(at, id=uuid, name=f"GPU of {at}") for at, uuid in enumerate(machine.uuids())]
    pretender.answers["gpus"] = {"gpus": ours, "trouble": None}
    found = doctor()
    assert [*found] == ["gpu", "driver"]
    assert found["gpu"] == ("ok", "the daemon serves GPU 0: GPU of 0, 1: GPU of 1", "")
    assert found["driver"] == ("ok", "NVIDIA driver 550.54.14", "")
    pretender.answers["gpus"]["gpus"] = ours[:1]
    what = "here are 2 GPUs, and the daemon serves 1 GPU, 1 of these"
    then = "trainq-cli daemon stop, then trainq-cli daemon start; running jobs run on"
    assert doctor()["driver"] == ("warning", what, then)
    machine.change(init_error="DRIVER_NOT_LOADED")
    found = doctor()
    assert (found["gpu"][0], found["driver"][0]) == ("ok", "warning")
    assert found["driver"][1] == "seen from here: the NVIDIA driver is not loaded"
    pretender.answers["gpus"] = {"gpus": [], "trouble": None}
    assert doctor()["gpu"] == ("ok", "the daemon has not found out yet which GPUs there are", "")


def test_a_daemon_with_gpus_that_cannot_be_seen_from_here(home: Home, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": [gpu(0)], "trouble": None}
    doctor = Doctor(home, None)
    found = doctor()
    assert found["gpu"] == ("ok", "the daemon serves GPU 0: NVIDIA GeForce RTX 4090", "")
    what = "from here no NVIDIA driver can be seen, and the daemon serves 1 GPU: it runs elsewhere"
    assert found["driver"] == ("warning", what, "a daemon that is started here would serve cpu:0")
    doctor.cli.env["TRAINQ_FAKE_GPUS"] = "2x24GiB"
    result, what, _ = doctor()["driver"]
    assert (result, "the daemon was started without that" in what) == ("warning", True)


def test_a_gpu_that_nobody_has_seen_yet_is_called_by_its_id(doctor: Doctor, pretender: Pretender) -> None:
    unseen = gpu(0, name="", enabled=False) | {"index": None}
    pretender.answers["gpus"] = {"gpus": [unseen], "trouble": None}
    advice = f"trainq-cli gpus --enable {unseen['id']}"
    assert doctor()[f"gpu {unseen['id']}"] == ("warning", "disabled: no job starts on it", advice)
    head, row = (line.split("\t") for line in doctor.cli("gpus").stdout.splitlines())
    assert (head[:2], row[:2]) == (["GPU", "NAME"], ["-", unseen["id"]])


def test_a_gpu_that_does_not_tell_who_is_on_it(doctor: Doctor, pretender: Pretender) -> None:
    why = "the driver does not tell which processes are on GPU 0"
    pretender.answers["gpus"] = {"gpus": [gpu(0, use="foreign", why=why)], "trouble": None}
    assert doctor()["gpu 0"][:2] == ("warning", why)


def test_settings_without_gpus(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "trainq.toml").write_text('[gpus]\nbackend = "none"\n', encoding="utf-8")
    doctor.cli.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    assert doctor()["gpu"][:2] == ("ok", 'the settings say backend = "none": the queue serves one slot, cpu:0')
