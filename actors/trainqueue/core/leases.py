"""Who holds which GPU. A lease is whole: one GPU, one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.errors import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterable


class LeaseError(FaultError):
    """A GPU was about to be held twice; a fault of ours."""


class Leases:
    """The GPUs in index order and the job that holds each; also counts jobs that need none.

    `holder` also knows a GPU that is no longer in the machine, for as long as an adopted job holds it.
    """

    def __init__(self, gpu_ids: Iterable[str], cpu_jobs: int) -> None:
        self.holder: dict[str, int | None] = dict.fromkeys(gpu_ids)
        self.present = frozenset(self.holder)
        self.without_gpu: set[int] = set()
        self.cpu_jobs = cpu_jobs

    def fit(self, gpus: int) -> tuple[str, ...] | None:
        """GPUs for a job that needs `gpus`, or None when it must wait."""
        if gpus == 0:
            return () if len(self.without_gpu) < self.cpu_jobs else None
        free = [gpu for gpu, job in self.holder.items() if job is None]
        return tuple(free[:gpus]) if len(free) >= gpus else None

    def take(self, job: int, gpu_ids: tuple[str, ...]) -> None:
        """Raises LeaseError, before any change, when one of the GPUs is held by another job."""
        for gpu in gpu_ids:
            if self.holder.get(gpu) not in {None, job}:
                msg = f"GPU {gpu} is held by job {self.holder[gpu]}, not free for job {job}"
                raise LeaseError(msg)
        for gpu in gpu_ids:
            self.holder[gpu] = job
        if not gpu_ids:
            self.without_gpu.add(job)

    def release(self, job: int) -> None:
        for gpu in [gpu for gpu, holder in self.holder.items() if holder == job]:
            if gpu in self.present:
                self.holder[gpu] = None
            else:
                del self.holder[gpu]
        self.without_gpu.discard(job)
