"""Edits and retries of 1,000 jobs in one message that wait for others: `python tests/bench/all.py edits`.

Target: 0.5 s each, since the arbiter does nothing else meanwhile. The baseline is as many jobs that wait for nothing.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bench.shared import Row, Server, connected, endpoint_of, exchange, request, serving, show, spec

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS, CHAIN = 1000, 5000
TARGET = 0.5


def took(server: Server, op: str, ids: Sequence[int], **changes: Any) -> float:
    """Seconds of one message."""
    with connected(endpoint_of(server)) as socket:
        began = time.perf_counter()
        answer = exchange(socket, request(op, jobs=[*ids], set=changes))
        assert all(job["ok"] for job in answer["jobs"]), answer["jobs"][0]
        return time.perf_counter() - began


def submitted(server: Server, count: int, **fields: Any) -> list[int]:
    return [job["id"] for job in server.client.submit([spec("train", **fields)] * count)]


def chained(server: Server) -> list[int]:
    """Each waits for the one before."""
    jobs = submitted(server, CHAIN, hold=True)
    for before, job in pairwise(jobs):
        server.client.call("edit", job=job, set={"after": [before]})
    return jobs


def main() -> None:
    with serving() as server:
        server.client.call("pause")
        plain = submitted(server, JOBS)
        members = submitted(server, JOBS, group="g")
        behind = submitted(server, JOBS, after_group=["g"])
        chain = chained(server)
        base = took(server, "edit", plain, name="new")
        rows = [
            Row(f"name of {JOBS:,} that wait for a group", took(server, "edit", behind, name="new"), "s", TARGET, base),
            Row(
                f"{JOBS:,} wait for a group from now on",
                took(server, "edit", plain, after_group=["g"]),
                "s",
                TARGET,
                base,
            ),
            Row(
                f"name of {JOBS:,} in a chain of {CHAIN:,}",
                took(server, "edit", chain[-JOBS:], name="new"),
                "s",
                TARGET,
                base,
            ),
        ]
        server.client.cancel(behind)
        retried = took(server, "retry", behind)
        rows.append(Row(f"retry of {JOBS:,} that wait for a group", retried, "s", TARGET, base))
        submitted(server, JOBS, after_group=["g"], keep=True)
        server.client.cancel(members)
        rows.append(
            Row(f"retry of {JOBS:,} for which {JOBS:,} are held", took(server, "retry", members), "s", None, base)
        )
    show("edits", f"the name of {JOBS:,} jobs that wait for nothing", rows)


if __name__ == "__main__":
    main()
