"""What a person asks for: the JobSpec of the contract, and the checks that types cannot express."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trainqueue.core.job import Cause  # noqa: TC001  (msgspec looks it up at run time)
from trainqueue.errors import RequestError

JobId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 365 * 86400)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(max_length=1000)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
GpuName = Annotated[str, Meta(min_length=1, max_length=200)] | Annotated[int, Meta(ge=0, le=1023)]
LaneName = Annotated[str, Meta(max_length=100, pattern=r"^[\w.:+-]+\Z")]
LaneGpus = Annotated[int, Meta(ge=1, le=1024)]
Priority = Annotated[int, Meta(ge=-(2**31), le=2**31)] | Literal["low", "normal", "high"]

BANDS: dict[str, int] = {"low": -100, "normal": 0, "high": 100}


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job as submitted. Durations in seconds, times in seconds since 1970 UTC, memory in bytes."""

    command: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100_000)]
    cwd: Annotated[str, Meta(min_length=1, max_length=4095)]
    name: Name | None = None
    env: dict[str, str] | None = None
    env_extra: dict[str, str] = {}
    """On top of `env`: what differs between jobs that share one."""
    umask: Annotated[int, Meta(ge=0, le=0o777)] | None = None
    gpus: Annotated[int, Meta(ge=0, le=1024)] = 1
    gpu_memory: Bytes | Literal["auto"] | None = None
    """On each of its GPUs, which it then shares; "auto": the highest peak of the last runs of the same command."""
    gpu_from: Annotated[tuple[GpuName, ...], Meta(max_length=1024)] = ()
    """Only from among these: UUIDs, or indices in PCI order."""
    gpu_name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Only GPUs with this in their name, in whatever case."""
    gpu_min_memory: Bytes | None = None
    """Only GPUs with so much memory in all."""
    priority: Priority = "normal"
    after: Annotated[tuple[JobId, ...], Meta(max_length=10_000)] = ()
    after_any: Annotated[tuple[JobId, ...], Meta(max_length=10_000)] = ()
    after_failed: Annotated[tuple[JobId, ...], Meta(max_length=10_000)] = ()
    """After these have ended `failed` or `lost`."""
    after_group: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    """After all jobs have completed that these groups had when it was asked for: at submit, retry, or by an edit."""
    keep: bool = False
    """Hold it, instead of cancelling it, when a dependency can no longer be met."""
    not_before: Annotated[float, Meta(ge=0, le=1e11)] | None = None
    hold: bool = False
    time_limit: Seconds | None = None
    grace: Seconds | None = None
    warn: Seconds | None = None
    retries: dict[Cause, Count] = {}
    retry_delay: Seconds | None = None
    """Before the first retry by itself; each further one waits `retry_backoff` times as long as the one before."""
    retry_backoff: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    retry_place: Literal["front", "back"] = "front"
    """Where such a retry goes: its old place, which is before all later ones of its priority, or behind them."""
    resume_args: Annotated[tuple[str, ...], Meta(max_length=1000)] = ()
    """Appended to the command from the second attempt on."""
    stall_timeout: Seconds | None = None
    """It counts as stalled when for so long it has logged and reported nothing, and used neither GPU nor processor.

    None: what the settings say. 0: never, whatever they say.
    """
    stall_action: Literal["warn", "stop"] | None = None
    """None: what the settings say."""
    memory_limit: Bytes | None = None
    """Of the machine's memory, for the whole tree; more ends it with the cause `out-of-memory`."""
    tags: dict[str, str] = {}
    group: Name | None = None
    max_running: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """At most so many jobs of its group run at a time."""
    lane: Name | None = None
    """The named queue that it waits in."""
    snapshot: Annotated[str, Meta(min_length=1, max_length=4095)] | None = None
    """The folder in the home that holds the frozen copy of its code, where `submit --snapshot` has put it."""


def band(spec: JobSpec) -> int:
    """The priority as a number; higher starts first."""
    return BANDS[spec.priority] if isinstance(spec.priority, str) else spec.priority


def title(spec: JobSpec) -> str:
    """The name, or the program with its first arguments."""
    return spec.name if spec.name is not None else " ".join(spec.command)[:80]


def check(spec: JobSpec, where: str) -> None:
    """Refuse what the types let through. Raises RequestError ("bad-request") naming the field."""
    check_variables(spec.env or {}, f"{where}.env")
    check_fields(spec, where)


def check_all(specs: tuple[JobSpec, ...], where: str) -> None:
    """As `check`; an environment that a job shares with the one before is looked at once."""
    checked: dict[str, str] | None = None
    for at, spec in enumerate(specs):
        if spec.env is not None and spec.env is not checked:
            check_variables(spec.env, f"{where}[{at}].env")
            checked = spec.env
        check_fields(spec, f"{where}[{at}]")


def check_fields(spec: JobSpec, where: str) -> None:
    """All but `env`. Raises RequestError ("bad-request") naming the field."""
    for field, texts in (
        *(("command", spec.command), ("cwd", (spec.cwd,))),
        *(("resume_args", spec.resume_args), ("snapshot", (spec.snapshot or "",))),
    ):
        if "\0" in "".join(texts):
            raise RequestError("bad-request", f"{where}.{field}: contains a NUL byte")
    if not spec.command[0]:
        raise RequestError("bad-request", f"{where}.command: the program's name is empty")
    if not spec.cwd.startswith("/"):
        raise RequestError("bad-request", f"{where}.cwd: must be an absolute path")
    check_variables(spec.env_extra, f"{where}.env_extra")
    check_gpus(spec, where)
    if spec.warn is not None and spec.time_limit is not None and spec.warn >= spec.time_limit:
        raise RequestError("bad-request", f"{where}.warn: must be shorter than time_limit, before whose end it is")
    if spec.max_running is not None and spec.group is None:
        raise RequestError("bad-request", f"{where}.max_running: is of a group, and the job is in none")
    if spec.memory_limit == 0:
        raise RequestError("bad-request", f"{where}.memory_limit: must be more than 0; leave it out for none")
    numbers = (spec.time_limit, spec.grace, spec.warn, spec.not_before, spec.retry_delay, spec.stall_timeout)
    if any(number is not None and not math.isfinite(number) for number in numbers):
        raise RequestError("bad-request", f"{where}: a time or duration is not a finite number")


def check_variables(env: dict[str, str], where: str) -> None:
    """An environment, or a part of one. Raises RequestError ("bad-request") naming the field."""
    if "\0" in "".join(env) or "\0" in "".join(env.values()):
        raise RequestError("bad-request", f"{where}: contains a NUL byte")
    for key in env:
        if not key or "=" in key:
            raise RequestError("bad-request", f"{where}: {key!r} is no name for a variable")


def check_gpus(spec: JobSpec, where: str) -> None:
    """Raises RequestError ("bad-request") naming the field. Whether this machine has such GPUs is not asked here."""
    wishes = {"gpu_memory": spec.gpu_memory, "gpu_from": spec.gpu_from or None, "gpu_name": spec.gpu_name}
    wishes["gpu_min_memory"] = spec.gpu_min_memory
    if not spec.gpus:
        for field, wish in wishes.items():
            if wish is not None:
                raise RequestError("bad-request", f"{where}.{field}: says which GPU, of a job that needs none (gpus 0)")
    if spec.gpu_memory == 0:
        raise RequestError("bad-request", f"{where}.gpu_memory: must be more than 0; leave it out for whole GPUs")
    named = len({str(gpu) for gpu in spec.gpu_from})
    if spec.gpu_from and named < spec.gpus:
        raise RequestError("bad-request", f"{where}.gpu_from: names {named} GPUs, and the job needs {spec.gpus}")
