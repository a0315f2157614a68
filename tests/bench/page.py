"""Pages of a long queue: the first and a middle page of `queue` with 10,000 waiting jobs, on the wire.

`python tests/bench/all.py page` prints the median of 100 requests each, from sending to the decoded reply.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.shared import Row, connected, endpoint_of, exchange, p90, request, serving, show, spec, timed

if TYPE_CHECKING:
    import zmq

WAITING, LIMIT, MIDDLE, TIMES = 10_000, 100, 5_000, 100
MOST_MS = 20.0


def round_trips(socket: zmq.Socket[bytes], message: bytes) -> list[float]:
    """Milliseconds of each."""
    return [1000 * timed(lambda: exchange(socket, message)) for _ in range(TIMES)]


def main() -> None:
    with serving() as server:
        server.client.call("pause")
        server.client.submit([spec("true", name=f"job {at}") for at in range(WAITING)])
        with connected(endpoint_of(server)) as socket:
            assert len(exchange(socket, request("queue", limit=LIMIT, offset=MIDDLE))["queued"]) == LIMIT
            ping = round_trips(socket, request("ping"))
            first = round_trips(socket, request("queue", limit=LIMIT))
            middle = round_trips(socket, request("queue", limit=LIMIT, offset=MIDDLE))
    rows: list[Row] = []
    for name, found in (("first page", first), ("middle page", middle)):
        usual = statistics.median(ping)
        rows += [
            Row(f"{name} of {LIMIT}: median", statistics.median(found), "ms", MOST_MS, usual),
            Row(f"{name} of {LIMIT}: p90", p90(found), "ms", None, p90(ping)),
        ]
    show("page", "round trip of ping", rows)


if __name__ == "__main__":
    main()
