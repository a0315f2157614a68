"""Real jobs under a real daemon: their progress moves, is complete at the end, and outlasts the daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import Cli
from support import wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from support import Daemon

SHOWS = str(Path(__file__).parents[1] / "programs" / "shows.py")


def spec(*words: object, **fields: Any) -> dict[str, Any]:
    return {"command": [sys.executable, SHOWS, *map(str, words)], "cwd": "/", "gpus": 0, **fields}


def progress(client: Client, job: int) -> dict[str, Any]:
    return client.status(job).progress or {}


def test_it_moves_and_is_complete(client: Client) -> None:
    """Three at once: a bar, Hugging Face's trainer, and epochs in words."""
    kinds = ("tqdm", "trainer", "epochs")
    told: dict[int, list[dict[str, Any]]] = {}
    with client.subscribe(["progress."]) as feed:
        jobs = [
            made["id"] for made in client.submit([spec(kind, 60, 0.04, gpus=int(kind == "tqdm")) for kind in kinds])
        ]
        client.wait(jobs, 30)
        while (event := feed.get(0.3)) is not None:
            if event["type"] == "progress":
                told.setdefault(event["id"], []).append(event["progress"])
    for job, kind in zip(jobs, kinds, strict=True):
        shown = [each["fraction"] for each in told[job] if each["fraction"] is not None]
        assert shown == sorted(shown), kind
        assert any(0 < fraction < 1 for fraction in shown), (kind, shown)
        found = progress(client, job)
        assert (found["fraction"], found["step"], found["total"], found["eta"]) == (1, 60, 60, 0), kind
    assert {"loss", "learning_rate", "eval_loss"} <= set(progress(client, jobs[1])["metrics"])
    assert progress(client, jobs[2])["metrics"]["loss"] > 0


def test_over_a_new_daemon_and_with_reports(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    gate, said, last = tmp_path / "gate", tmp_path / "said", tmp_path / "last"
    script = (
        'echo "TQDM=$TQDM_MININTERVAL"; echo \'{"step": 1, "total": 4, "loss": 9}\' > $TRAINQ_PROGRESS; '
        f"until [ -e {said} ]; do sleep 0.02; done; echo 'step 70/80 loss 0.4, acc 0.5'; exec sleep 1000"
    )
    reports = {"command": ["sh", "-c", script], "cwd": "/", "gpus": 0, "grace": 0.1}
    ends = f"echo Epoch 1/2; until [ -e {last} ]; do sleep 0.02; done; echo Epoch 2/2"
    third_spec = {"command": ["sh", "-c", ends], "cwd": "/"}
    job, other, third = (
        made["id"] for made in client.submit([spec("tqdm", 1000, 0.02, gate, grace=0.1), reports, third_spec])
    )
    wait_until(lambda: progress(client, job).get("step") == 20)
    wait_until(lambda: progress(client, other).get("step") == 1)
    wait_until(lambda: progress(client, third).get("total") == 2)
    said.touch()
    wait_until(lambda: progress(client, other)["metrics"] == {"loss": 9, "acc": 0.5})
    assert progress(client, other)["total"] == 4, "who reports has the first word"
    assert "TQDM=1\n" in Cli(daemon)("logs", str(other)).stdout
    daemon.kill()
    last.touch()
    wait_until((daemon.home.attempt(third, 1) / "exit").exists)
    daemon.start()
    gate.touch()
    with Client(daemon.home) as anew:
        wait_until(lambda: progress(anew, job).get("step", 0) > 20 and progress(anew, job)["rate"])
        assert progress(anew, job)["rate"] < 60, "what was done before is no speed"
        assert progress(anew, job)["total"] == 1000
        assert progress(anew, third)["fraction"] == 1, "it has ended while nobody watched"
