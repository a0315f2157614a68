"""Stand-in: FIFO, the head and nobody else, with sharing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trainqueue.core.expect import matches, share_of
from trainqueue.core.slot import Slot, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainqueue.core.job import Job
    from trainqueue.core.line import Line
    from trainqueue.core.past import Past


@dataclass(frozen=True, slots=True)
class Placement:
    job: Job
    gpu_ids: tuple[str, ...]
    share: int | None


def plan(
    line: Line, slots: Sequence[Slot], running: Callable[[int], Job], now: float, past: Past
) -> Iterator[Placement]:
    del running, now
    mine = {slot.id: slot for slot in slots}
    for job in line.page(0, 16):
        if not job.spec.gpus or line.position(job) is None:
            continue
        share = share_of(job.spec, past)
        some = [slot for slot in mine.values() if matches(job.spec, slot) and fits(slot, share)][: job.spec.gpus]
        if len(some) < job.spec.gpus:
            return
        for slot in some:
            mine[slot.id] = replace(slot, tenants={**slot.tenants, job.id: Tenant(share, settled=False)})
        yield Placement(job, tuple(slot.id for slot in some), share)


def fits(slot: Slot, share: int | None) -> bool:
    if not slot.usable:
        return False
    if not slot.tenants:
        return True
    if share is None or slot.memory_total is None or any(not t.settled or not t.share for t in slot.tenants.values()):
        return False
    taken = sum(tenant.share or 0 for tenant in slot.tenants.values())
    return taken + share <= slot.memory_total and (slot.memory_free is None or share <= slot.memory_free)
