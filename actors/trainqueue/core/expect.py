"""What may be expected of a job: when it ends, how long it takes, how much memory it needs, which GPUs it may have.

An expectation is a window, because two people ask. Who waits for a GPU asks for the earliest moment at which it may
come free; who wants to pass somebody in the line has to be gone by the latest. Nobody knows is an answer too, and the
cautious one: it may be free now, and it may be held for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from trainqueue.core.job import Pending, Running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainqueue.core.job import Job
    from trainqueue.core.past import Past
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import GpuName, JobSpec

FRESH = 600.0
"""Seconds for which the time left that a script has told is believed; then it may hang, or do something else."""
LONGEST = 100 * 365 * 86400.0
"""Seconds; who says that he takes longer says nothing."""
SHORTEST_PREFIX = 8
"""Characters of a UUID that may stand for it: "GPU-" and four more."""


@dataclass(frozen=True, slots=True)
class Window:
    """Two times since 1970, or two durations, in seconds. `latest` is None where nobody knows."""

    earliest: float
    latest: float | None


def ends(job: Job, now: float, past: Past) -> Window:
    """When a pending or running job ends: by its progress, by earlier runs, by its time limit, in this order."""
    assert isinstance(job.state, Pending | Running)
    if isinstance(job.state, Running) and job.state.suspended:
        return Window(now, None)
    since = job.state.at if isinstance(job.state, Pending) else job.state.started_at + job.state.idle
    told = _told(job, now)
    if job.state.stopping:
        return _bounded(Window(now, None), job.spec, since, now)
    return stays(job.spec, since, now, past) if told is None else _bounded(Window(told, told), job.spec, since, now)


def stays(spec: JobSpec, since: float, now: float, past: Past) -> Window:
    """When a job ends that runs since then and has said nothing: its time limit is all that is known of a new one."""
    since = min(since, now)  # the clock may have been set back
    runs = past.runs(spec)
    if runs.shortest is not None and runs.longest is not None:
        window = Window(since + runs.shortest, since + runs.longest)
    elif spec.time_limit is not None:
        window = Window(since + spec.time_limit, since + spec.time_limit)
    else:
        window = Window(now, None)
    return _bounded(window, spec, since, now)


def _told(job: Job, now: float) -> float | None:
    """The end that follows from its own words, while they are fresh."""
    told = told_end(job.progress)
    return told[1] if told is not None and 0 <= now - told[0] <= FRESH else None


def told_end(progress: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """When a script has said when it ends, and when that is; None where it has not."""
    progress = progress or {}
    eta, at = progress.get("eta"), progress.get("updated_at")
    return (at, at + eta) if eta is not None and at is not None and is_sane(eta) else None


def is_sane(seconds: float) -> bool:
    """Whether anything may take so long."""
    return isfinite(seconds) and 0 <= seconds <= LONGEST


def _bounded(window: Window, spec: JobSpec, since: float, now: float) -> Window:
    """Never in the past; what is overdue may end now or whenever, but not after its time limit."""
    latest = window.latest if window.latest is not None and window.latest > now else None
    end = None if spec.time_limit is None else min(since, now) + spec.time_limit
    if end is not None and end > now:
        latest = end if latest is None else min(latest, end)
    earliest = max(window.earliest, now)
    return Window(earliest if latest is None else min(earliest, latest), latest)


def lasts(spec: JobSpec, past: Past) -> Window:
    """The shortest and longest run time of a job that waits; its time limit, and its own grace, are all it gets."""
    runs, limit = past.runs(spec), spec.time_limit
    shortest, longest = runs.shortest or 0.0, runs.longest
    if limit is not None:
        most = limit + (spec.grace or 0.0)
        shortest, longest = min(shortest, limit), most if longest is None else min(longest, most)
    return Window(shortest, longest)


def share_of(spec: JobSpec, past: Past) -> int | None:
    """Bytes that it wants of each of its GPUs, which it then shares; None: whole GPUs.

    "auto" is what the last runs of the same command used at most and a tenth more; whole GPUs while nobody knows that.
    """
    if spec.gpu_memory != "auto":
        return spec.gpu_memory
    peak = past.runs(spec).peak_memory
    return None if peak is None else peak + peak // 10


def eligible(spec: JobSpec, slots: Sequence[Slot], past: Past) -> tuple[list[Slot], int | None]:
    """The GPUs that it may be given at one time or another, and its share of them, see `share_of`.

    Where too few GPUs have the memory that "auto" makes, it gets whole ones: nobody asked for so much.
    """
    some, share = would_do(spec, slots), share_of(spec, past)
    large = _so_large(some, share or 0)
    return (some, None) if len(large) < spec.gpus and spec.gpu_memory == "auto" else (large, share)


def would_do(spec: JobSpec, slots: Sequence[Slot]) -> list[Slot]:
    """Those that it could ever be given, if it came to that, but for what "auto" may come to.

    Asked of all GPUs together, since what stands in gpu_from may be the beginning of several names.
    """
    return _so_large(matching(spec, slots), spec.gpu_memory if isinstance(spec.gpu_memory, int) else 0)


def _so_large(slots: Sequence[Slot], share: int) -> list[Slot]:
    return [slot for slot in slots if slot.memory_total is None or slot.memory_total >= share]


def matching(spec: JobSpec, slots: Sequence[Slot]) -> list[Slot]:
    """Those of the GPUs that its gpu_from, gpu_name and gpu_min_memory allow, whoever is on them."""
    if not (spec.gpu_from or spec.gpu_name or spec.gpu_min_memory):
        return [*slots]
    chosen = {gpu for name in spec.gpu_from for gpu in _named(name, slots)}
    name, least = (spec.gpu_name or "").casefold(), spec.gpu_min_memory or 0
    return [
        slot
        for slot in slots
        if (not spec.gpu_from or slot.id in chosen)
        and name in slot.name.casefold()
        and (slot.memory_total or 0) >= least  # of unknown size: not for who asks for a size
    ]


def _named(name: GpuName, slots: Sequence[Slot]) -> list[str]:
    """What an index, a UUID, or the beginning of one means; nothing where it may mean two."""
    if isinstance(name, int) or (name.isdecimal() and len(name) < SHORTEST_PREFIX):
        return [slot.id for slot in slots if slot.index == int(name)]
    if any(slot.id == name for slot in slots):
        return [name]
    found = _beginning(name, slots)
    return found if len(found) == 1 else []


def _beginning(name: GpuName, slots: Sequence[Slot]) -> list[str]:
    """UUIDs that begin so, where it is long enough to stand for one."""
    return [slot.id for slot in slots if slot.id.startswith(str(name))] if len(str(name)) >= SHORTEST_PREFIX else []


def ambiguous(spec: JobSpec, slots: Sequence[Slot]) -> tuple[str, list[str]] | None:
    """What stands in its gpu_from and may mean several GPUs, and which; None where all is clear."""
    for name in spec.gpu_from:
        if not _named(name, slots) and (several := _beginning(name, slots)):
            return str(name), several
    return None
