"""A thousand clients at once, and what happens when the descriptors for more run out."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ACTORS, Daemon, wait_until
from wire.raw import Raw
from wire.watch import files, memory

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainqueue.home import Home

CROWD = 1000
SENTENCE = "trainqd.sock: new clients wait until others have left"


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough for a crowd of our own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * CROWD:
        pytest.skip("may not open enough files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * CROWD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def crowd() -> Iterator[list[Raw]]:
    made: list[Raw] = []
    yield made
    for client in made:
        client.close()


class LimitedDaemon(Daemon):
    """One that may not open more files than this."""

    limit = 256

    def start(self) -> None:
        command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(self.home.path)]
        limited = ["sh", "-c", f'ulimit -n {self.limit}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(limited, env=self.env, start_new_session=True)
        wait_until(self.answers, 20)


def limit(daemon: Daemon, most: int) -> None:
    """While it runs."""
    assert daemon.process is not None
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (most, hard))


def test_a_thousand_clients_at_once(daemon: Daemon, crowd: list[Raw]) -> None:
    before = memory(daemon)
    crowd += [Raw(daemon.home.socket("trainqd.sock")) for _ in range(CROWD)]
    for turn in range(3):
        for number, client in enumerate(crowd):
            client.send(op="ping", id=[turn, number])
        assert [client.receive()["id"] for client in crowd] == [[turn, number] for number in range(CROWD)]
    each = (memory(daemon) - before) / CROWD
    print(f"{each / 1024:.1f} KiB a client")
    assert each < 100 * 1024
    while crowd:
        crowd.pop().close()
    wait_until(lambda: files(daemon) < CROWD // 10)


@pytest.fixture(params=[LimitedDaemon, Daemon], ids=["from the start", "later"])
def limited(home: Home, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    made: Daemon = request.param(home)
    made.start()
    yield made
    assert made.process is not None
    if made.process.poll() is None:
        made.kill()


def test_no_descriptors_for_new_clients(limited: Daemon, tmp_path: Path, crowd: list[Raw]) -> None:
    daemon, home = limited, limited.home
    gate = tmp_path / "gate"
    with Client(home) as old:
        program = f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 7"
        job = old.submit([{"command": ["sh", "-c", program], "cwd": "/"}])[0]["id"]
        wait_until(lambda: old.status(job).state == "running")
        limit(daemon, 256)
        crowd += [Raw(home.socket("trainqd.sock")) for _ in range(CROWD)]
        wait_until(lambda: SENTENCE in home.log.read_text(encoding="utf-8"))
        let_in = next(number for number, client in enumerate(crowd) if not client.is_let_in(0.5))
        assert 50 < let_in < 256
        assert files(daemon) <= 256
        limit(daemon, 64)  # fewer than it holds
        assert [client.ask(op="ping", id=1)["ok"] for client in crowd[:let_in]] == [True] * let_in
        assert old.status(job).state == "running"
        gate.touch()
        assert old.wait([job], 20)[0].exit_code == 7
        limit(daemon, 256)
        while crowd:
            crowd.pop(0).close()
        with Client(home) as late:
            assert late.ping()["pid"] == old.ping()["pid"]
    assert home.log.read_text(encoding="utf-8").count(SENTENCE) == 1
    assert daemon.stop() == 0


def test_with_next_to_no_descriptors_it_does_not_start(home: Home) -> None:
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home.path)]
    limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command]
    env = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_CONFIG": ""}
    ended = subprocess.run(limited, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "trainqd: this process may open only 64 files; trainq needs at least 128 (ulimit -Hn 128)\n"
