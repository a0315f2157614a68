"""A job as the client gives it to people and programs. Apart, since most commands do without it."""

from __future__ import annotations

from typing import Any

import msgspec

ENDED = frozenset({"completed", "failed", "cancelled", "lost"})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The contract's Job; fields that do not apply are None. Unknown fields are ignored."""

    id: int
    name: str
    state: str
    cause: str | None = None
    message: str | None = None
    why: str | None = None
    why_code: str | None = None
    waits_for: tuple[int, ...] = ()
    """Of the jobs that it names those that it waits for still."""
    waits_for_groups: tuple[str, ...] = ()
    position: int | None = None
    attempt: int = 1
    gpu_ids: tuple[str, ...] = ()
    gpu_share: int | None = None
    """Bytes that it may use on each of its GPUs, where others share them."""
    gpu_seconds: float | None = None
    peak_memory: int | None = None
    waited: dict[str, float] | None = None
    """Seconds by reason."""
    stopping: bool = False
    suspended: bool = False
    preempting: bool = False
    stalled_since: float | None = None
    quiet: str | None = None
    """What has been quiet since then, in words."""
    user: str = ""
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    submitted_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    run_time: float | None = None
    expected_start_at: float | None = None
    expected_start_range: tuple[float | None, float | None] | None = None
    """The earliest and the latest; None in it where nobody knows."""
    expected_end_at: float | None = None
    expected_end_range: tuple[float | None, float | None] | None = None
    expected_gpu_ids: tuple[str, ...] | None = None
    progress: dict[str, Any] | None = None
    log: str = ""
    log_removed_at: float | None = None
    command: tuple[str, ...] = ()
    cwd: str = ""
    umask: int | None = None
    gpus: int = 1
    gpu_memory: int | str | None = None
    gpu_from: tuple[int | str, ...] = ()
    gpu_name: str | None = None
    gpu_min_memory: int | None = None
    priority: int | str = "normal"
    after: tuple[int, ...] = ()
    after_any: tuple[int, ...] = ()
    after_failed: tuple[int, ...] = ()
    after_group: tuple[str, ...] = ()
    keep: bool = False
    not_before: float | None = None
    hold: bool = False
    time_limit: float | None = None
    grace: float | None = None
    warn: float | None = None
    retries: dict[str, int] = {}
    retry_delay: float | None = None
    retry_backoff: float = 1.0
    retry_place: str = "front"
    resume_args: tuple[str, ...] = ()
    stall_timeout: float | None = None
    stall_action: str | None = None
    memory_limit: int | None = None
    tags: dict[str, str] = {}
    group: str | None = None
    max_running: int | None = None
    lane: str | None = None
    snapshot: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def status(self) -> int:
        """As an exit status: 0 only for a completed job, whatever code the others have ended with."""
        if self.state == "completed":
            return 0
        return 128 + self.signal if self.signal is not None else self.exit_code or 1
