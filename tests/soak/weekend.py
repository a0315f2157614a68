"""A weekend of mixed use, compressed: people, a warden, and nights in which things die; then all of it is judged.

`python -m soak.weekend --folder EMPTY --seconds 60 --seed 1`. A process of its own, since orphans fall to it. The
seed makes the choices; which moment they meet is the machine's business. Exit code 1: something was violated.
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

from soak import leftovers, weekrules
from soak.drive import STALLED, leave, stamps
from soak.history import ENDED, History
from soak.impatient import LINGER
from soak.nights import Nights, Warden
from soak.people import Office, Person
from soak.protocol import GivenUpError, Line, RefusedError
from soak.shell import Shell
from soak.supervisor import ACTORS, Supervisor, become_subreaper
from soak.watch import Watch
from soak.weekreport import report
from soak.wishes import FOLDERS, GPUS, LANES

if TYPE_CHECKING:
    from soak.weekrules import Weekend

PEOPLE = 8
AFTER = 300.0
"""Seconds beyond the weekend until all must have ended."""
WAITING = 8
"""Jobs that may wait for each second that there is, so that a short weekend has a short Monday."""
STOP = 30.0
MOST_JOBS = 400
SETTINGS = f"""
[queue]
crash_guard_jobs = 5
crash_guard_seconds = 0.6
[gpus]
settle_time = 0.3
[history]
max_jobs = {MOST_JOBS}
max_log_bytes = 20_000
max_events = 4000
[environment]
deny = ["WEEKEND_DENIED"]
[lanes.{LANES[0]}]
gpus = 1
[lanes.{LANES[1]}]
gpus = 2
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak.weekend")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--apart", type=float, default=4.0, help="seconds between two blows")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    print(f"seed {options.seed}, in {options.folder}", flush=True)
    began = time.monotonic()
    weekend = lived(options)
    wrong = weekrules.violations(weekend)
    print(report(weekend, options.seed, time.monotonic() - began, wrong), flush=True)
    if wrong:
        evidence = dataclasses.asdict(weekend.history) | {"raw": weekend.raw, "attempts": weekend.attempts}
        (options.folder / "history.json").write_text(json.dumps(evidence), encoding="utf-8")
    sys.exit(1 if wrong else 0)


def lived(options: argparse.Namespace) -> Weekend:
    folder: Path = options.folder
    furnish(folder)
    become_subreaper()
    history, config = History(), str(folder / "trainq.toml")
    program = ("-m", "soak.impatient")
    supervisor = Supervisor(folder / "home", f"{GPUS}x24GiB", history, config, program)
    supervisor.env["PYTHONPATH"] += f":{Path(__file__).resolve().parents[1]}"
    deadline = time.monotonic() + options.seconds
    line = supervisor.line = Line(folder / "home", supervisor.age, deadline + AFTER)
    office = Office(line, history, folder, Shell(folder / "home", config, str(ACTORS)))
    office.most_waiting = min(office.most_waiting, int(WAITING * options.seconds))
    watch = Watch(office)
    warden = Warden(office, supervisor, f"{options.seed}-warden")
    supervisor.start()
    listed: list[dict[str, Any]] = []
    try:
        listed = supervise(options, supervisor, office, watch, warden, deadline)
    except (GivenUpError, RefusedError) as error:
        history.faults.append(f"the driver was not served: {error!r}")
    finally:
        supervisor.stop(STOP)
        watch.enough = True
        line.close()
    history.stamps = stamps(folder / "stamps", history)
    history.faults += leftovers.found(folder, listed)
    return weekrules.Weekend(history, watch, warden, listed, office.shell, MOST_JOBS, LINGER)


def furnish(folder: Path) -> None:
    (folder / "locks").mkdir(parents=True)
    (folder / "stamps").touch()
    (folder / "trainq.toml").write_text(SETTINGS, encoding="utf-8")
    for name in FOLDERS:
        (folder / name).mkdir()
    (folder / "b" / "frozen").write_text("a file of the project\n", encoding="ascii")


def supervise(
    options: argparse.Namespace, supervisor: Supervisor, office: Office, watch: Watch, warden: Warden, deadline: float
) -> list[dict[str, Any]]:
    """The weekend, then Monday; all jobs whose records are kept."""
    supervisor.until_it_serves(STOP)
    office.limits_memory = office.line.call("ping")["memory_trouble"] is None
    people = [Person(office, f"{options.seed}-{number}") for number in range(PEOPLE)]
    for thread in (watch, warden, *people):
        thread.start()
    try:
        Nights(office, supervisor, f"{options.seed}-nights", options.apart).run(deadline)
    finally:
        office.stopping = True
        for thread in (warden, *people):
            thread.join(AFTER)
    monday(office, warden)
    watch.enough = True
    watch.join(AFTER)
    watch.read()
    listed = everything(office.line)
    logs(office, listed)
    return listed


def monday(office: Office, warden: Warden) -> None:
    """Let everything go on, and wait until it has ended."""
    last, since = -1, time.monotonic()
    warden.open_all()
    while True:
        warden.guard()
        found = office.line.call("queue", limit=10_000)
        if not (found["queued"] or found["running"]):
            return
        let_go(office, found)
        if found["seq"] != last:
            last, since = found["seq"], time.monotonic()
        if time.monotonic() > since + STALLED:
            left = [(job["id"], job["state"], job["why"]) for job in [*found["running"], *found["queued"]]]
            office.history.faults.append(f"nothing has moved for {STALLED:.0f} s: {left[:20]}")
            return
        time.sleep(0.3)


def let_go(office: Office, found: dict[str, Any]) -> None:
    person = Person(office, "monday")
    held = [job["id"] for job in found["queued"] if job["why_code"] == "held"]
    stuck = [job["id"] for job in found["queued"] if job["why_code"] in {"gpu-count", "not-before"}]
    asleep = [job["id"] for job in found["running"] if job["suspended"]]
    for op, ids in (("release", held), ("continue", asleep), ("cancel", stuck)):
        if ids:
            person.ask(op, ids)


def everything(line: Line) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more, before = True, dict[str, int]()
    while more:
        page = line.call("jobs", limit=1000, **before)
        found += page["jobs"]
        more = page["more"]
        before = {"before": found[-1]["id"]} if found else {}
    return found


def logs(office: Office, listed: list[dict[str, Any]]) -> None:
    """Those of all attempts that have started are there, unless retention says that it took them."""
    started = {
        (stamp.job, stamp.attempt) for stamp in stamps(office.folder / "stamps", History()) if stamp.what == "start"
    }
    kept = {job["id"] for job in listed}
    for job, attempt in sorted(started):
        if job not in kept:
            continue
        with contextlib.suppress(RefusedError):  # retention has taken it meanwhile
            log = office.line.call("log", job=job, attempt=attempt)
            if log["removed_at"] is None and f"job {job} attempt {attempt}\n".encode() != log["data"]:
                office.history.faults.append(f"the log of attempt {attempt} of job {job} is {log['data']!r}")
    assert all(job["state"] in ENDED for job in listed) or office.history.faults


if __name__ == "__main__":
    main()
