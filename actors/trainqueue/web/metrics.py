"""Figures for Prometheus, made from the daemon's answers when they are asked for: nothing stale is left of a GPU that
is gone. No job has a series of its own, since jobs come without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.responses import Response

from trainqueue.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from starlette.requests import Request

    from trainqueue.web.calls import Calls

TEXT = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("queued", "pending", "running", "completed", "failed", "cancelled", "lost")
GPU = {
    "memory_total": ("trainq_gpu_memory_total_bytes", "Memory of the GPU"),
    "memory_used": ("trainq_gpu_memory_used_bytes", "Memory in use, by whomever"),
    "utilization": ("trainq_gpu_utilization_percent", "Time in which a kernel ran"),
    "temperature": ("trainq_gpu_temperature_celsius", "Temperature"),
    "power": ("trainq_gpu_power_watts", "Power drawn"),
}
SUMS = {
    "gpu_seconds_used": ("trainq_gpu_used_seconds", "GPU seconds that jobs have used"),
    "gpu_seconds_lost": ("trainq_gpu_lost_seconds", "GPU seconds of jobs that were lost"),
    "seconds_waited": ("trainq_waited_seconds", "Seconds that jobs have waited"),
}


class Figures:
    """A collector of one answer."""

    def __init__(self, queue: dict[str, Any] | None, stats: dict[str, Any] | None) -> None:
        self.queue, self.stats = queue, stats

    def collect(self) -> Iterator[Metric]:
        up = self.queue is not None and self.stats is not None
        yield GaugeMetricFamily("trainq_up", "Whether the daemon answers", float(up))
        if self.queue is not None and self.stats is not None:
            yield from self._queue(self.queue)
            yield from self._gpus(self.queue["gpus"])
            for name, (metric, about) in SUMS.items():
                yield CounterMetricFamily(metric, about, self.stats[name])
            yield GaugeMetricFamily("trainq_log_bytes", "Bytes of ended jobs' logs", self.stats["log_bytes"])

    @staticmethod
    def _queue(queue: dict[str, Any]) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("trainq_jobs", "Jobs on record, by state", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], queue["counts"].get(state, 0))
        yield jobs
        for name in ("paused", "draining"):
            yield GaugeMetricFamily(f"trainq_{name}", f"1 while the queue is {name}", float(queue[name]))

    @staticmethod
    def _gpus(gpus: list[dict[str, Any]]) -> Iterator[Metric]:
        for name, (metric, about) in GPU.items():
            family = GaugeMetricFamily(metric, about, labels=["gpu", "name"])
            for gpu in gpus:
                if gpu[name] is not None:
                    family.add_metric([gpu["id"], gpu["name"]], gpu[name])
            yield family
        states: dict[str, tuple[str, list[float]]] = {
            "trainq_gpu_jobs": ("Jobs that hold it", [len(gpu["jobs"]) for gpu in gpus]),
            "trainq_gpu_foreign_processes": ("Processes that are not ours", [len(gpu["foreign"]) for gpu in gpus]),
            "trainq_gpu_healthy": ("Whether it can be used", [float(gpu["healthy"]) for gpu in gpus]),
            "trainq_gpu_enabled": ("Whether people let it be used", [float(gpu["enabled"]) for gpu in gpus]),
        }
        for metric, (about, values) in states.items():
            family = GaugeMetricFamily(metric, about, labels=["gpu", "name"])
            for gpu, value in zip(gpus, values, strict=True):
                family.add_metric([gpu["id"], gpu["name"]], value)
            yield family


class Metrics:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def __call__(self, request: Request) -> Response:
        del request
        try:
            figures = Figures(await self.calls("queue", limit=1), await self.calls("stats"))
        except DaemonError:
            figures = Figures(None, None)
        registry = CollectorRegistry()
        registry.register(figures)
        return Response(generate_latest(registry), media_type=TEXT)
