"""A GPU while a plan is made: who is on it by then, what is left of it, and until when a newcomer may stay."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from trainqueue.core.slot import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.core.slot import Slot


OWNER = Tenant(None, settled=False)


class Spot:
    """`limit` is the earliest time at which a job that waits further ahead could start here; `keeper` is that job.

    `stir`: what is expected here holds until then, since until then nobody who waits further ahead can have started.
    `left`: the bytes that one more sharer may have, now; below zero where it may have none. `free`: it has no tenants.
    """

    __slots__ = ("free", "keeper", "left", "limit", "slot", "stir", "tenants")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.tenants = slot.tenants
        self.limit = self.stir = inf
        self.keeper: int | None = None
        self.free = slot.usable and not slot.tenants
        self.left = self._left()

    def give(self, job_id: int, share: int | None) -> None:
        """To one more. Nobody else joins it in the same step: it has not settled."""
        self.tenants = {**self.tenants, job_id: OWNER if share is None else Tenant(share, settled=False)}
        self.free, self.left = False, -1.0

    def _left(self) -> float:
        """What the shares leave, and no more than is free by measure beyond what the tenants have yet to take."""
        total, free = self.slot.memory_total, self.slot.memory_free
        if not self.slot.usable:
            return -1
        if not self.tenants:
            return inf if free is None else free
        shares = [tenant.share for tenant in self.tenants.values() if tenant.share is not None]
        if total is None or len(shares) < len(self.tenants) or not all(one.settled for one in self.tenants.values()):
            return -1
        booked = total - sum(shares)
        return booked if free is None else min(booked, free - self._untaken(total - free))

    def _untaken(self, used: int) -> int:
        """Bytes of their shares that the tenants do not use yet.

        Where nobody knows a tenant's own use (in a container), what is used and no other tenant's is counted as its.
        """
        known = sum(one.used for one in self.tenants.values() if one.used is not None)
        unknown = sum(one.share or 0 for one in self.tenants.values() if one.used is None)
        rest = sum(max(0, (one.share or 0) - one.used) for one in self.tenants.values() if one.used is not None)
        return rest + max(0, unknown - max(0, used - known))

    def room(self, share: int | None) -> bool:
        """Whether a job may come here now, as far as the GPU itself goes."""
        return self.free if share is None else self.left >= share

    def lets(self, start: float, longest: float | None) -> bool:
        """Whether a job that starts then is in nobody's way: it is gone before, and is sure to be."""
        return self.limit == inf or (longest is not None and start + longest <= self.limit)

    def opening(self, share: int | None, now: float, ends: Callable[[int], float]) -> float:
        """The earliest time at which a job may find room here; `ends` says so of the tenants.

        What keeps it away but for its tenants (memory that is not back, a tenant that has not settled) may be over at
        any moment; a stranger only as long as he has not been there for long, see the board.
        """
        if not self.tenants:
            return now + self.slot.opens_in
        leaving = sorted((ends(job_id), tenant.share or 0) for job_id, tenant in self.tenants.items())
        total = self.slot.memory_total
        if share is None or total is None or any(tenant.share is None for tenant in self.tenants.values()):
            return leaving[-1][0]
        over = sum(taken for _, taken in leaving) + share - total
        for at, taken in leaving:
            if over <= 0:
                break
            now, over = at, over - taken
        return now

    def __repr__(self) -> str:
        return f"<{self.slot.id} {[*self.tenants]} left={self.left} limit={self.limit} keeper={self.keeper}>"
