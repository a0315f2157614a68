"""Many jobs with one large environment: little is sent, little is kept, and each has it after a kill -9."""

from __future__ import annotations

from typing import TYPE_CHECKING

from house import rows

from trainqueue.client import Client

if TYPE_CHECKING:
    from support import Daemon

MANY = 3000


def test_a_sweep_survives_a_kill_with_its_environment(daemon: Daemon) -> None:
    env = {"PATH": "/usr/bin:/bin", "LARGE": "x" * 50_000, "OVER": "no"}
    jobs = [{"command": ["sh", "-c", "echo ${#LARGE} $OVER"], "env_extra": {"OVER": str(at)}} for at in range(MANY)]
    with Client(daemon.home) as client:
        client.call("pause")
        made = client.submit(jobs, defaults={"cwd": "/", "env": env, "gpus": 0})
        daemon.kill()
        assert [job["id"] for job in made] == [*range(1, MANY + 1)]
        assert daemon.home.database.stat().st_size < 5_000_000
        daemon.start()
        client.cancel([*range(2, MANY)])
        client.call("resume")
        client.wait([1, MANY], 20)
        logs = [client.log(job)["data"].decode() for job in (1, MANY)]
    assert logs == ["50000 0\n", f"50000 {MANY - 1}\n"]
    assert rows(daemon.home, "SELECT count(*) FROM environments") == [(1,)]
