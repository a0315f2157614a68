"""A job that runs out of memory, through a real daemon: what a user sees, retries by cause, a daemon that was dead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commands import Cli
from house import gated
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from trainqueue.home import Home

TORCH = Path(__file__).resolve().parent.parent / "fixtures" / "logs" / "gpu" / "torch.txt"
FAILS = f"cat '{TORCH}'; exit 1"
ONCE = f'[ -n "$TRAINQ_RESUME" ] || {{ {FAILS}; }}'
BEGIN = 'GPU memory ran out; the log says "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 132.00 MiB.'
END = "try a smaller batch; on a shared GPU, ask for more with --gpu-memory"


def test_it_is_retried_by_its_cause_and_shown(daemon: Daemon) -> None:
    retries = {"out-of-memory": 1}
    with Client(daemon.home) as client:
        specs = [
            ("sh", "-c", ONCE),
            ("sh", "-c", FAILS),
            ("sh", "-c", "echo MemoryError; exit 0"),
            ("sh", "-c", "exit 1"),
        ]
        made = client.submit([{"command": [*words], "cwd": "/", "retries": retries} for words in specs])
        ended = client.wait([each["id"] for each in made], 20)
    once, always, good, bad = ended
    assert [(job.state, job.cause, job.attempt) for job in ended] == [
        ("completed", None, 2),
        ("failed", "out-of-memory", 2),
        ("completed", None, 1),
        ("failed", "exit", 1),
    ]
    assert (always.exit_code, always.message is not None) == (1, True)
    assert always.message is not None
    assert always.message.startswith(BEGIN)
    assert always.message.endswith(END)
    assert once.message is good.message is bad.message is None
    trainq = Cli(daemon)
    assert f"message\t{BEGIN}" in trainq("status", str(always.id)).stdout
    [row] = [line for line in trainq("history").stdout.splitlines() if line.startswith(f"{always.id}\t")]
    assert "\tout-of-memory\t" in row
    followed = trainq("wait", str(always.id))
    assert followed.returncode == 1
    assert f"failed (out-of-memory, exit code 1, {BEGIN}" in followed.stderr


def test_nobody_saw_it_but_the_runner(home: Home, tmp_path: Path) -> None:
    """The daemon was dead when memory ran out; the next one retries it all the same, and as often as was asked."""
    daemon, gate = Daemon(home), tmp_path / "gate"
    daemon.start()
    with Client(home) as client:
        spec = {"command": [*gated(gate, FAILS)], "cwd": "/", "retries": {"out-of-memory": 1}}
        job = client.submit([spec])[0]["id"]
        wait_until(lambda: client.status(job).state == "running")
    daemon.kill()
    gate.touch()
    wait_until((home.attempt(job, 1) / "exit").exists)
    daemon.start()
    with Client(home) as client:
        [ended] = client.wait([job], 20)
    assert (ended.state, ended.cause, ended.attempt, ended.exit_code) == ("failed", "out-of-memory", 2, 1)
    assert ended.message is not None
    assert ended.message.startswith(BEGIN)
    assert daemon.stop() == 0
