"""What a hand-over costs beside jobs that their group or lane keeps out of the line: `python tests/bench/all.py gates`.

Target: with 10,000 of them no more than twice what it takes without. And what moves cost that all go to one place: each
halves the gap there, until jobs beside it have to be given other numbers.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any

from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.lanes import Choice, Lane
from trainqueue.core.limits import Limits
from trainqueue.core.spec import JobSpec

BARRED = 10_000
MOVED = 20_000
DONE = ev.Result(0, None, None, "", 0.0, 0.0)


def job(**fields: Any) -> JobSpec:
    return JobSpec(command=("train",), cwd="/", **fields)


def core_with(*specs: JobSpec) -> Core:
    core = Core(["a", "b"], limits=Limits(lanes={"debug": Lane(gpus=1)}))
    core.handle(ev.Submit(specs, "me"), 0.0)
    return core


def hand_overs(core: Core, count: int) -> float:
    """Milliseconds for one, the median of so many; the first job that runs ends each time."""
    took: list[float] = []
    for _ in range(count):
        ended = min(job.id for job in core.active())
        began = time.perf_counter()
        core.handle(ev.AttemptEnded(ended, 1, DONE), 0.0)
        took.append(time.perf_counter() - began)
    return 1000 * median(took)


def moves(core: Core, count: int) -> tuple[float, float, float]:
    """Milliseconds for all, and for the longest of them; jobs renumbered for each move."""
    took: list[float] = []
    renumbered = 0
    for job in range(3, 3 + count):
        began = time.perf_counter()
        effects = core.handle(ev.Move(job, position=2), 0.0)
        took.append(1000 * (time.perf_counter() - began))
        renumbered += len(effects) - 1
    return sum(took), max(took), renumbered / count


def main() -> None:
    whole, longest, renumbered = moves(core_with(*[job()] * MOVED), 2000)
    sys.stdout.write(f"2000 moves to one place of {MOVED}     {whole:8.1f} ms, one {longest:.1f} ms at most")
    sys.stdout.write(f", {renumbered:.1f} jobs renumbered for each\n")
    plain = [job()] * 1000
    base = hand_overs(core_with(*plain), 500)
    sys.stdout.write(f"a hand-over                          {base:8.3f} ms\n")
    for name, spec in (("group", job(group="g", max_running=1)), ("lane", job(lane="debug"))):
        beside = hand_overs(core_with(*plain, *[spec] * BARRED), 500)
        sys.stdout.write(
            f"beside {BARRED} of a {name:<5}             {beside:8.3f} ms, {beside / base:.1f} times that\n"
        )
        within = hand_overs(core_with(*[spec] * BARRED), 500)
        sys.stdout.write(f"from one to the next of such a {name:<5} {within:8.3f} ms, {within / base:.1f} times that\n")
    lanes()


def lanes() -> None:
    """What a word about a lane costs: it goes by the jobs that wait in it, whoever waits in others."""
    for here, elsewhere in ((10, BARRED * 10), (BARRED, 0)):
        core = core_with(*[job()] * elsewhere, *[job(lane="debug")] * here)
        for paused in (True, False):
            began = time.perf_counter()
            core.handle(ev.SetLane("debug", Choice(paused=paused)), 0.0)
            took = 1000 * (time.perf_counter() - began)
            word = f"a lane of {here} beside {elsewhere} is {'paused' if paused else 'resumed'}"
            sys.stdout.write(f"{word:<37}{took:8.1f} ms\n")


if __name__ == "__main__":
    main()
