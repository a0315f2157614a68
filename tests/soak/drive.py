"""The driver: a daemon under a supervisor, clients, blows; then all that happened against the invariants.

`python -m soak.drive --folder EMPTY --kills 500 --jobs 3000 --seed 1`. A process of its own, since orphans fall to
it. The seed makes the choices; which moment they meet is the machine's business. Exit code 1: something was violated.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soak.chaos import Chaos
from soak.clients import GPUS, Book, Client
from soak.history import ENDED, History, News, Stamp, stamp_from
from soak.invariants import violations
from soak.protocol import GivenUpError, Line, RefusedError
from soak.report import report
from soak.supervisor import Supervisor, become_subreaper

if TYPE_CHECKING:
    from types import FrameType

CLIENTS = 6
STALLED = 60.0
"""Seconds without any news after which what has not ended never will."""
AFTER = 300.0
"""Seconds beyond the kills until all must have ended."""
STOP = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak.drive")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=1800.0, help="no more kills and new jobs after these")
    parser.add_argument("--all", action="store_true", help="fewer kills or jobs than asked for are a fault")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    began = time.monotonic()
    print(f"seed {options.seed}, in {options.folder}", flush=True)
    history = soak(options)
    wrong = violations(history)
    print(report(history, options.seed, time.monotonic() - began, wrong), flush=True)
    if wrong:
        (options.folder / "history.json").write_text(json.dumps(dataclasses.asdict(history)), encoding="utf-8")
    sys.exit(1 if wrong else 0)


def leave(number: int, frame: FrameType | None) -> None:
    """What we have started ends with us."""
    del frame
    sys.exit(128 + number)


def soak(options: argparse.Namespace) -> History:
    folder: Path = options.folder
    (folder / "locks").mkdir(parents=True)
    (folder / "stamps").touch()
    become_subreaper()
    history = History()
    supervisor = Supervisor(folder / "home", f"{GPUS}x24GiB", history)
    deadline = time.monotonic() + options.seconds
    line = supervisor.line = Line(folder / "home", supervisor.age, deadline + AFTER)
    supervisor.start()
    try:
        supervise(options, supervisor, line, history, deadline)
    except (GivenUpError, RefusedError) as error:
        history.faults.append(f"the driver was not served: {error!r}")
    finally:
        supervisor.stop(STOP)
        line.close()
    history.stamps = stamps(folder / "stamps", history)
    if options.all:
        history.faults += short(options, history)
    return history


def supervise(
    options: argparse.Namespace, supervisor: Supervisor, line: Line, history: History, deadline: float
) -> None:
    supervisor.until_it_serves(STOP)
    book = Book(line, history, options.folder, options.jobs)
    clients = [Client(book, f"{options.seed}-{number}") for number in range(CLIENTS)]
    chaos = Chaos(supervisor, Client(book, f"{options.seed}-chaos"), history, options.seed, options.kills)
    for client in clients:
        client.start()
    try:
        chaos.run(deadline)
        while not book.full() and time.monotonic() < deadline and not history.faults:
            time.sleep(0.05)
    finally:
        book.stopping = True
        for client in clients:
            client.join(AFTER)
    chaos.client.release_all()
    until_all_have_ended(line, history)
    collect(line, history)


def until_all_have_ended(line: Line, history: History) -> None:
    """Or until nothing moves any more; the invariants then say what has not ended."""
    last, since = -1, time.monotonic()
    while True:
        found = line.call("queue", limit=5)
        if not any(count for state, count in found["counts"].items() if state not in ENDED):
            return
        if found["seq"] != last:
            last, since = found["seq"], time.monotonic()
        if time.monotonic() > since + STALLED:
            waiting = [(job["id"], job["state"], job["why"]) for job in [*found["running"], *found["queued"]]]
            history.faults.append(f"nothing has moved for {STALLED:.0f} s: {waiting}")
            return
        time.sleep(0.1)


def collect(line: Line, history: History) -> None:
    more, before = True, dict[str, int]()
    while more:
        page = line.call("jobs", limit=1000, **before)
        history.jobs |= {job["id"]: job for job in page["jobs"]}
        more = page["more"]
        before = {"before": min(history.jobs, default=0)}
    offset, after, last = time.time() - time.monotonic(), 0, 1
    while after < last:
        found = line.call("events", after=after, limit=5000)
        last = found["last"]
        if not found["events"]:
            break
        after = found["events"][-1]["seq"]
        history.seqs += [event["seq"] for event in found["events"]]
        history.news += [news(event, offset) for event in found["events"] if "id" in event]


def news(event: dict[str, Any], offset: float) -> News:
    at = event["at"] - offset
    return News(event["seq"], at, event["type"], event["id"], event["state"], event["attempt"])


def short(options: argparse.Namespace, history: History) -> list[str]:
    kills, jobs = sum(bool(kill.kind) for kill in history.kills), len(history.orders)
    enough = kills >= options.kills and jobs >= options.jobs
    return [] if enough else [f"only {kills} kills and {jobs} jobs in {options.seconds:.0f} s"]


def stamps(path: Path, history: History) -> list[Stamp]:
    found: list[Stamp] = []
    for line in path.read_text(encoding="ascii").splitlines():
        with contextlib.suppress(ValueError):
            found.append(stamp_from(line))
            continue
        history.faults.append(f"a stamp that no job wrote: {line!r}")
    return found


if __name__ == "__main__":
    main()
