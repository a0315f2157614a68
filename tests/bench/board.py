"""What one look at the GPUs costs the core with a long line: `python tests/bench/all.py board`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from statistics import median

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.core.spec import JobSpec

GIB = 2**30
GPUS = 8


def sighting(core: Core, *, processes: bool = True) -> Sighting:
    """All GPUs, each with the process of the job that holds it."""
    readings: list[Reading] = []
    for at in range(GPUS):
        gpu = f"GPU-{at}"
        jobs = tuple(Process(1000 + job, 20 * GIB, job, "me", "python") for job in core.leases.on(gpu))
        used = GIB // 4 + 20 * GIB * len(jobs)
        listed = jobs if processes else None
        readings.append(Reading(gpu, at, "H100", 80 * GIB, memory_used=used, processes=listed))
    return Sighting(tuple(readings))


def timed(core: Core, event: ev.Event, times: int = 200) -> float:
    """Median, in milliseconds."""
    found: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        core.handle(event, 10.0)
        found.append(time.perf_counter() - began)
    return 1000 * median(found)


def submits(*, kept: bool, count: int = 2000) -> float:
    """Processor time of a submit, in milliseconds: all GPUs are busy, or one is kept for a wide job."""
    core = Core([f"GPU-{at}" for at in range(GPUS)])
    job, running = JobSpec(command=("train",), cwd="/"), JobSpec(command=("train",), cwd="/", time_limit=3600.0)
    blocked = [JobSpec(command=("train",), cwd="/", gpus=GPUS), *[job] * 200]
    core.handle(ev.Submit((*[running] * (GPUS - kept), *blocked), "me"), 0.0)
    began = time.process_time()
    for at in range(count):
        core.handle(ev.Submit((job,), "me"), at / 1000)
        core.kept()
    return 1000 * (time.process_time() - began) / count


def main() -> None:
    plain, kept = submits(kept=False), submits(kept=True)
    sys.stdout.write(f"a submit, all GPUs busy     {plain:8.3f} ms\n")
    sys.stdout.write(f"a submit, a GPU is kept     {kept:8.3f} ms, {kept / plain:.1f} times that\n")
    waiting = 100_000
    core = Core([])
    core.handle(ev.Seen(sighting(core)), 0.0)
    specs = [JobSpec(command=("train", str(at)), cwd="/", gpus=1 + at % 4) for at in range(waiting)]
    asked = [effect.number for effect in core.handle(ev.Submit(tuple(specs), "me"), 0.0) if isinstance(effect, fx.Look)]
    core.handle(ev.Seen(replace(sighting(core), answers=tuple(asked))), 0.0)
    running = sum(bool(core.leases.on(f"GPU-{at}")) for at in range(GPUS))
    sys.stdout.write(f"{waiting} jobs wait, {running} of {GPUS} GPUs are held\n")
    sys.stdout.write(f"a round with processes      {timed(core, ev.Seen(sighting(core))):8.3f} ms\n")
    sys.stdout.write(f"a round without             {timed(core, ev.Seen(sighting(core, processes=False))):8.3f} ms\n")
    whole = sighting(core)
    for name, seen in (("a GPU is lost", replace(whole, readings=whole.readings[1:])), ("it is back", whole)):
        sys.stdout.write(f"{name:<28}{timed(core, ev.Seen(seen), 1):8.3f} ms\n")
    half = replace(whole, readings=whole.readings[:3])
    for name, seen in (("5 of 8 are lost", half), ("they are back", whole)):
        sys.stdout.write(f"{name:<28}{timed(core, ev.Seen(seen), 1):8.3f} ms\n")
    cpu = Core(["cpu:0"])
    cpu.handle(ev.Submit(tuple(JobSpec(command=("true",), cwd="/") for _ in range(1000)), "me"), 0.0)
    ended: list[float] = []
    for job in range(1, 1000):
        cpu.handle(ev.AttemptStarted(job, 1, 1, 0.0, 0.0), 0.0)
        began = time.perf_counter()
        cpu.handle(ev.AttemptEnded(job, 1, ev.Result(0, None, None, "", 0.0, 0.0)), 0.0)
        ended.append(time.perf_counter() - began)
    sys.stdout.write(f"a hand-over on cpu:0        {1000 * median(ended):8.3f} ms\n")


if __name__ == "__main__":
    main()
