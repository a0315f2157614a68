"""What the forecast keeps in memory of ended jobs, and for how long one step of it holds the arbiter's thread.

`python tests/bench/all.py learnt` prints both. The steps are those of one forecast of 10,000 waiting jobs: alike on
GPUs that differ in nothing; mixed, so that it needs a plan; behind groups; with 30 options that all differ. Time is
that of the processor, so that a busy machine is not in the way; the collector is as the daemon sets it.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from itertools import count
from typing import TYPE_CHECKING, Any

from bench.shared import Row, show

from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.forecast import foretell
from trainqueue.core.lengths import Lengths
from trainqueue.core.past import NoPast
from trainqueue.core.spec import JobSpec
from trainqueue.core.world import present

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


ENDED, OPTIONS, WAITING = 16_000, 31, 10_000
NOW = 1_790_000_000.0
MOST_MB, MOST_MS = 10.0, 2.0
TIMES = 3
"""Of each forecast the best is shown."""


def command(chance: random.Random, script: str, options: int = OPTIONS) -> tuple[str, ...]:
    """Each option has a value out of many."""
    words = [word for at in range(options) for word in (f"--option-{at}", f"{chance.randrange(1, 1000) / 1000}")]
    return ("python", script, *words)


def kept(scripts: int) -> float:
    """Megabytes that are left when all jobs are gone, which were of so many scripts."""
    chance, lengths = random.Random(1), Lengths(NoPast())
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for at in range(ENDED):
        spec = JobSpec(command=command(chance, f"train-{'x' * (at % scripts)}.py"), cwd="/home/ann/work")
        lengths.of(spec)
        lengths.ended(spec, chance.lognormvariate(7, 1))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / 1e6


def sweep(some: int, **fields: Any) -> list[JobSpec]:
    return [JobSpec(command=("python", "train.py", "--seed", str(at)), cwd="/", **fields) for at in range(some)]


def alike() -> list[JobSpec]:
    return sweep(WAITING)


def mixed() -> list[JobSpec]:
    """Wide ones, some that wait for a moment or for others, some that nobody knows, some behind bounds."""
    found = list[JobSpec]()
    kinds: list[dict[str, Any]] = [
        {},
        {"gpus": 2},
        {"gpus": 0},
        {"not_before": NOW + 5000},
        {"group": "g", "max_running": 2},
        {"priority": "high"},
        {"time_limit": 3600.0},
    ]
    for at, spec in zip(range(WAITING), _round(kinds), strict=False):
        found.append(JobSpec(command=("python", "train.py", "--seed", str(at)), cwd="/", **spec))
    return found


def _round(kinds: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (kinds[at % len(kinds)] for at in count())


def behind_groups() -> list[JobSpec]:
    half = WAITING // 2
    return [*sweep(half, group="first"), *sweep(half, after_group=("first",), group="second")]


def many_options() -> list[JobSpec]:
    chance = random.Random(2)
    return [JobSpec(command=command(chance, f"t{at % 7}.py"), cwd="/") for at in range(WAITING)]


def steps(specs: list[JobSpec]) -> tuple[float, float]:
    """Milliseconds of the longest step, and seconds of the whole forecast."""
    core, lengths, chance = Core([f"GPU-{at}" for at in range(4)]), Lengths(NoPast()), random.Random(3)
    for at in range(0, len(specs), 1000):
        core.handle(ev.Submit(tuple(specs[at : at + 1000]), "me"), NOW)
    for job in core.active():
        core.handle(ev.AttemptStarted(job.id, 1, 1, NOW), NOW)
    for spec in specs[:400]:
        lengths.ended(spec, chance.lognormvariate(7, 0.3))
    gc.freeze()
    took = [*_timed(whole(core, lengths))]
    return 1000 * max(took), sum(took)


def whole(core: Core, lengths: Lengths) -> Generator[None, None, None]:
    """A forecast, which is forgotten as the forecaster does it."""
    world = yield from present(core, NOW)
    expected = yield from foretell(world, lengths)
    while expected:
        expected.popitem()
        yield


def _timed(made: Generator[None, None, object]) -> Iterator[float]:
    while True:
        began = time.thread_time()
        more = next(made, made) is None
        yield time.thread_time() - began
        if not more:
            return


def main() -> None:
    gc.set_threshold(2_500, 2, 20_000)  # as the daemon
    lines: dict[str, Callable[[], list[JobSpec]]] = {
        "alike": alike,
        "mixed": mixed,
        "behind groups": behind_groups,
        "of 31 options": many_options,
    }
    rows = list[Row]()
    for name, make in lines.items():
        longest, all_of_it = min(steps(make()) for _ in range(TIMES))
        rows.append(Row(f"longest step, {WAITING:,} waiting, {name}", longest, "ms", MOST_MS))
        rows.append(Row("  the whole forecast", all_of_it, "s"))
    for scripts in (1, 400):
        rows.append(Row(f"kept of {ENDED:,} jobs of {scripts} scripts", kept(scripts), "MB", MOST_MB))
    show("learnt", "none", rows)


if __name__ == "__main__":
    main()
