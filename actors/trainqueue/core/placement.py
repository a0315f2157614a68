"""Which waiting job starts next, and on which GPUs. The one place that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainqueue.core.job import Job
    from trainqueue.core.leases import Leases
    from trainqueue.core.line import Line


def choose(line: Line, leases: Leases) -> tuple[Job, tuple[str, ...]] | None:
    """The head of the line, or the first of the other kind: jobs with and without GPUs take nothing from each other."""
    head = line.head()
    if head is None:
        return None
    for job in (head, line.first(needs_gpu=not head.spec.gpus)):
        gpu_ids = None if job is None else leases.fit(job.spec.gpus)
        if job is not None and gpu_ids is not None:
            return job, gpu_ids
    return None
