"""Who holds which GPU: one job, or several that have each asked for a share and fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.errors import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class LeaseError(FaultError):
    """A GPU was about to be held by jobs that cannot hold it together; a fault of ours."""


class Leases:
    """Each GPU's jobs with their shares in bytes (None: it is the job's own); also counts jobs that need no GPU."""

    def __init__(self, cpu_jobs: int) -> None:
        self.cpu_jobs = cpu_jobs
        self.sizes: dict[str, int] = {}
        """Memory of the GPUs in bytes, of those whose size is known."""
        self.without_gpu: set[int] = set()
        self._held: dict[str, dict[int, int | None]] = {}
        self._gpus: dict[int, tuple[str, ...]] = {}

    def on(self, gpu: str) -> Mapping[int, int | None]:
        """The shares of those that hold this GPU, by job, in the order in which they came."""
        return self._held.get(gpu, {})

    def of(self, job: int) -> tuple[str, ...]:
        return self._gpus.get(job, ())

    def active(self, job: int) -> bool:
        return job in self._gpus or job in self.without_gpu

    def jobs(self) -> list[int]:
        """All that hold a GPU or a place for jobs that need none."""
        return [*self._gpus, *self.without_gpu]

    def held(self) -> dict[str, dict[int, int | None]]:
        """A copy of it all: GPU, job, share."""
        return {gpu: dict(shares) for gpu, shares in self._held.items()}

    def in_the_way(self, job: int, gpu_ids: Iterable[str], share: int | None) -> list[int]:
        """The jobs with which this one cannot have these GPUs, so much of each."""
        found = dict[int, None]()
        for gpu in gpu_ids:
            if gpu not in self._held:
                continue
            others = {other: its for other, its in self.on(gpu).items() if other != job}
            if others and not self._fit(gpu, [share, *others.values()]):
                found |= dict.fromkeys(others)
        return [*found]

    def _fit(self, gpu: str, shares: list[int | None]) -> bool:
        """Of a GPU that nobody has seen yet (an earlier daemon's jobs hold it) the size is unknown: they did fit."""
        total = sum(share or 0 for share in shares)
        return None not in shares and (gpu not in self.sizes or total <= self.sizes[gpu])

    def take(self, job: int, gpu_ids: tuple[str, ...], share: int | None = None) -> None:
        """Raises LeaseError, before any change, when others hold one of the GPUs and there is no room beside them."""
        if others := self.in_the_way(job, gpu_ids, share):
            shares = {gpu: dict(self.on(gpu)) for gpu in gpu_ids}
            msg = f"job {job} cannot have {share or 'all'} of {gpu_ids}: jobs {others} are in its way ({shares})"
            raise LeaseError(msg)
        if self.active(job):
            self.release(job)
        for gpu in gpu_ids:
            self._held.setdefault(gpu, {})[job] = share
        if gpu_ids:
            self._gpus[job] = gpu_ids
        else:
            self.without_gpu.add(job)

    def release(self, job: int) -> tuple[str, ...]:
        """The GPUs that it has held."""
        gpu_ids = self._gpus.pop(job, ())
        for gpu in gpu_ids:
            del self._held[gpu][job]
            if not self._held[gpu]:
                del self._held[gpu]
        self.without_gpu.discard(job)
        return gpu_ids

    def room_without_gpu(self) -> bool:
        """For one more job that needs no GPU."""
        return len(self.without_gpu) < self.cpu_jobs
