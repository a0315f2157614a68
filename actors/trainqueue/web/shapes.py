"""The shapes of answers, for the interface's description. What the daemon tells is passed on as it is, so a test holds
real answers against these.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trainqueue.errors import ErrorCode  # noqa: TC001  (msgspec looks it up at run time)
from trainqueue.jobinfo import Job


class Process(msgspec.Struct, frozen=True):
    """On a GPU, and not ours. `memory` in bytes."""

    pid: int
    user: str | None
    command: str | None
    memory: int | None


class OurProcess(Process, frozen=True):
    """`job`: of which it is one."""

    job: int


class Gpu(msgspec.Struct, frozen=True):
    """Sizes in bytes, `utilization` in per cent, `temperature` in degrees Celsius, `power` in watts; null: not told."""

    id: str
    index: int | None
    name: str
    memory_total: int | None
    memory_used: int | None
    utilization: float | None
    temperature: float | None
    power: float | None
    jobs: list[int]
    foreign: list[Process]
    ignored: list[Process]
    processes: list[OurProcess]
    use: Literal["held", "foreign", "memory", "reserved", "unhealthy", "disabled", "free"]
    healthy: bool
    enabled: bool
    waiting_for_memory: bool
    kept_for: int | None
    why: str | None


class Lane(msgspec.Struct, frozen=True):
    name: str
    gpus: int | None
    paused: bool
    paused_since: float | None
    held: int
    running: int
    waiting: int
    from_settings: bool


class NamedJob(Job, frozen=True, kw_only=True):
    job_id: int


class QueuePage(msgspec.Struct, frozen=True):
    """`running` and `queued` are numbers; `jobs` wait, in start order."""

    running: int
    queued: int
    jobs: list[NamedJob]
    running_jobs: list[NamedJob]
    paused: bool
    draining: bool
    pause_reason: str | None
    paused_since: float | None
    counts: dict[str, int]
    gpus: list[Gpu]
    lanes: list[Lane]
    seq: int
    epoch: str


class Executed(msgspec.Struct, frozen=True):
    """`queue_position` is 1 also for a job that has started at once, and null for one that may not start yet.

    `warnings`: what would keep it from starting now, such as a folder or program that is not there.
    """

    job_id: int
    status: Literal["queued"]
    queue_position: int | None
    state: str
    warnings: list[str]


class Status(Job, frozen=True, kw_only=True):
    attempts: list[dict[str, Any]]


class Error(msgspec.Struct, frozen=True):
    code: ErrorCode
    message: str


class Refusal(msgspec.Struct, frozen=True):
    error: Error


class Answer(msgspec.Struct, frozen=True):
    id: int
    ok: bool
    state: str | None
    position: int | None
    error: Error | None
    changed: bool | None = None


class Answers(msgspec.Struct, frozen=True):
    jobs: list[Answer]


class Made(msgspec.Struct, frozen=True):
    id: int
    state: str
    position: int | None


class MadeJobs(msgspec.Struct, frozen=True):
    jobs: list[Made]


class OneJob(msgspec.Struct, frozen=True):
    job: Job


class Mode(msgspec.Struct, frozen=True):
    paused: bool
    draining: bool


class History(msgspec.Struct, frozen=True):
    """Newest first; the next page is asked for by `before`, the last id."""

    jobs: list[Job]
    more: bool


class Gpus(msgspec.Struct, frozen=True):
    """`trouble`: what is wrong with the driver."""

    gpus: list[Gpu]
    trouble: str | None = None


class Lanes(msgspec.Struct, frozen=True):
    lanes: list[Lane]


class Environment(msgspec.Struct, frozen=True):
    """The values of secrets are masked."""

    env: dict[str, str]


class Series(msgspec.Struct, frozen=True):
    """By metric [time, step or null, value], down-sampled."""

    attempt: int
    series: dict[str, list[tuple[float, float | None, float]]]
