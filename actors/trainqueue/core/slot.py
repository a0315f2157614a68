"""One GPU as the placement sees it: made by the board from readings and leases, looked at by placement.py."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tenant:
    """A job on a GPU. `share` in bytes, None where the GPU is its own.

    `settled`: it has reached its peak or had its time to; only then may another job join it. `used` in bytes, None
    where nobody knows it.
    """

    share: int | None
    settled: bool = True
    used: int | None = None


@dataclass(slots=True)
class Slot:
    """`usable`: nothing but its tenants keeps a job from it. `memory_free` in bytes as measured, else None.

    Not frozen, since that takes as long to make again, in each hand-over; nobody changes one.
    """

    id: str
    index: int
    name: str
    memory_total: int | None
    usable: bool = True
    memory_free: int | None = None
    tenants: dict[int, Tenant] = field(default_factory=dict[int, "Tenant"])
    """By job id."""
    opens_in: float = 0.0
    """Seconds for which whatever else keeps it is expected to stay."""
