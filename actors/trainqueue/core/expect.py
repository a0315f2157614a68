"""Stand-in: what may be expected of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainqueue.core.past import Past
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec


def share_of(spec: JobSpec, past: Past) -> int | None:
    return past.runs(spec).peak_memory if spec.gpu_memory == "auto" else spec.gpu_memory


def matches(spec: JobSpec, slot: Slot) -> bool:
    share = spec.gpu_memory if isinstance(spec.gpu_memory, int) else 0
    named = not spec.gpu_from or bool({slot.id, slot.index, str(slot.index)}.intersection(spec.gpu_from))
    large = slot.memory_total is None or slot.memory_total >= share
    return (
        named
        and large
        and (spec.gpu_name or "").casefold() in slot.name.casefold()
        and (slot.memory_total or 0) >= (spec.gpu_min_memory or 0)
    )
