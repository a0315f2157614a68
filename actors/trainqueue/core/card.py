"""One GPU as it is known: the newest of what was seen of it, what people and errors did to it, and its sentences."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trainqueue.core.words import size
from trainqueue.core.xids import CRITICAL

if TYPE_CHECKING:
    from trainqueue.core.reading import Process, Reading


@dataclass(frozen=True, slots=True)
class Trace:
    """What outlives the daemon of what it knows of a GPU; `baseline` in bytes.

    `xid` has condemned it, `due`: a job held it, or its memory was not back.
    """

    baseline: int | None = None
    due: bool = False
    xid: int | None = None
    forgiven: bool = False


@dataclass(slots=True)
class Card:
    """`reading` is put together from many: each thing as it was last seen. Changed by the board alone."""

    reading: Reading
    enabled: bool = True
    seen: bool = True
    """False: known only because a job of an earlier daemon holds it, or its memory was not back then."""
    lost: bool = False
    replaced: bool = False
    """It is lost since its GPU was divided in another way (MIG)."""
    mute: bool = False
    """It was looked at and did not tell its processes: nobody knows whether it is free."""
    condemned: int | None = None
    """The critical error (Xid) that it has had, until somebody forgives it or it was away and is back."""
    residual: int | None = None
    """Bytes in use beside what strangers use, when its processes were last looked at; None where nobody knows."""
    baseline: int | None = None
    """The least residual of its idle times, from when it was leased; None where nobody knows it."""
    proof: int | None = None
    """The number of the wait for its memory (or for the processes of a job that has left), while there is one."""
    due: bool = False
    """That wait was another daemon's, or it went away meanwhile: it begins again when its processes are listed."""
    looks: int = 0
    """How many looks that wait has asked for."""
    left: int | None = None
    """The job that has left it last."""
    nobodys: bool = False
    """That wait is not for a job: its memory is in use, and the driver lists nobody who uses it."""
    lingering: tuple[int, ...] = ()
    """Pids of jobs that have left it, as listed last."""
    failed: tuple[int, int] | None = None
    """Job and attempt that have left it last, failed: while its memory is awaited, errors are still theirs."""
    overdue: bool = False
    """That wait has lasted too long."""
    forgiven: bool = False
    """Somebody has taken what has not come back for lost: the next look that can says how much that is."""
    strange_since: float | None = None
    """When a stranger was first seen to keep it, of those times in which there always was one; wall time."""
    used: dict[int, int] = field(default_factory=dict[int, int])
    """Bytes that each of its jobs was last seen to use."""
    settled: set[int] = field(default_factory=set[int])
    """Those of its jobs that have reached their peak, or had the time to."""
    told: tuple[bool, bool] = (True, True)
    """Healthy and enabled, as the world knows it."""

    @property
    def id(self) -> str:
        return self.reading.id

    @property
    def label(self) -> str:
        """GPU 0, as people say it."""
        if not self.seen or self.id.startswith("cpu:"):
            return self.id
        return f"GPU {self.reading.index}"

    def merge(self, reading: Reading) -> None:
        """Processes that were not looked at are as they were; to be well after having been away forgives errors."""
        before = self.reading
        away = self.lost or before.trouble is not None
        self.seen, self.lost, self.replaced = True, False, False
        if reading.processes is not None:
            self.mute = False
        self.reading = replace(
            reading,
            name=reading.name or before.name,
            memory_total=reading.memory_total or before.memory_total,
            processes=before.processes if reading.processes is None else reading.processes,
            xids=(),
        )
        if away and reading.trouble is None:
            self.condemned = None
        for xid in reading.xids:
            if xid in CRITICAL:
                self.condemned = xid

    # -- sentences

    @property
    def ailment(self) -> str | None:
        """Why it cannot be trusted, as a sentence; None while all is well."""
        if self.lost:
            return f"{self.label} is lost: the driver does not show it any more"
        if self.reading.trouble is not None:
            return f"{self.label}: {self.reading.trouble}"
        if self.condemned is not None:
            error = f"{self.label} has {CRITICAL[self.condemned]} (Xid {self.condemned})"
            return f"{error}: trainq-cli gpus --enable {self.name} trusts it again"
        if self.overdue:
            return self.waiting if self.nobodys else f"{self.waiting}: {self.given_up}"
        return None

    @property
    def given_up(self) -> str:
        taken = f"trainq-cli gpus --enable {self.name} takes what is in use now for normal"
        return f"{taken}, else it is used again when that is over"

    @property
    def name(self) -> str:
        """What a person calls it by on the command line."""
        return str(self.reading.index) if self.seen else self.id

    @property
    def disabled(self) -> str | None:
        return None if self.enabled else f"{self.label} is disabled: trainq-cli gpus --enable {self.name}"

    @property
    def waiting(self) -> str:
        """What it waits for, as a sentence."""
        whose = f"job {self.left}" if self.left is not None else "the last job"
        if pids := self.lingering:
            return f"{self.label} still has {len(pids)} of {whose}'s processes (pid {pids[0]})"
        if self.nobodys:
            what = f"{size(self.residual or 0)} of {self.label} are in use by nobody that the driver lists"
            return f"{what}: trainq-cli gpus --enable {self.name} accepts that"
        used = None if self.residual is None else max(0, self.residual - (self.baseline or 0))
        much = f" ({size(used)} of it)" if used else ""
        return f"{self.label} waits for the memory of {whose} to come back{much}"

    def used_by(self, process: Process) -> str:
        """GPU 0 is used by eve (pid 4242, 6.1 GiB)."""
        if process.job is not None:
            who = f"job {process.job}, which was not given it"
        else:
            who = process.user or process.command or "a process that is not ours"
        memory = "" if process.memory is None else f", {size(process.memory)}"
        return f"{self.label} is used by {who} (pid {process.pid}{memory})"
