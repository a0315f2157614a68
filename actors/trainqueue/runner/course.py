"""The course of an attempt: when it is warned, told to end, and killed, and why; while it is suspended all that waits.

Limit, warning and grace are counted on the monotonic clock: whoever sets the clock changes none of them, and while
the machine is suspended they stand still, as the job does.
"""

import signal
from typing import Any

import tree


class Course:
    """Of the job whose process group is `leader`. Moments are monotonic; None for those that do not come."""

    def __init__(self, leader: int, spec: dict[str, Any], began: float) -> None:
        limit, warn = spec.get("time_limit"), spec.get("warn")
        self.leader, self.grace, self.began = leader, spec["grace"], began
        self.end_at = None if limit is None else began + limit
        self.warn_at = None if self.end_at is None or not warn else max(began, self.end_at - warn)
        self.kill_at: float | None = None
        self.reason: str | None = None
        """Why we end it."""
        self.ending = False
        """It has been sent SIGTERM or SIGKILL."""
        self.stopped_at: float | None = None
        self.idle = 0.0
        """Seconds that it was suspended before."""

    def moments(self) -> list[float]:
        """When `look` is to be called."""
        if self.stopped_at is not None:
            return []
        return [at for at in (self.end_at, self.warn_at, self.kill_at) if at is not None]

    def ran(self, now: float) -> float:
        """Seconds, without those suspended."""
        return (now if self.stopped_at is None else self.stopped_at) - self.began - self.idle

    def look(self, now: float) -> None:
        """Do what is due."""
        if self.stopped_at is not None:
            return
        if self.warn_at is not None and now >= self.warn_at:
            self.warn_at = None
            tree.signal_group(self.leader, signal.SIGUSR1)
        if self.end_at is not None and now >= self.end_at:
            self._end(self.reason or "time-limit", now)
        if self.kill_at is not None and now >= self.kill_at:
            self._kill()

    def cancel(self, now: float, reason: str) -> None:
        """Somebody wants its end ("cancel"), or it does nothing ("stalled").

        What somebody wants goes before a preemption, and begins no second grace.
        """
        if not self.ending and (self.reason is None or reason == "cancel"):
            self._end(reason, now)
        elif self.reason == "preempt" and reason == "cancel":
            self.reason = reason

    def cancel_at_once(self, now: float) -> None:
        if self.reason in (None, "preempt"):
            self.reason = "cancel"
        self._rested(now)
        self._kill()

    def _kill(self) -> None:
        self.ending = True
        self.end_at = self.warn_at = self.kill_at = None
        tree.signal_group(self.leader, signal.SIGKILL)

    def _end(self, reason: str, now: float) -> None:
        """All of it goes on first where it is suspended, so that it can save; the signal waits for it already."""
        self.reason, self.ending = reason, True
        tree.signal_group(self.leader, signal.SIGTERM)
        tree.signal_group(self.leader, signal.SIGCONT)
        self._go_on(now)
        self.end_at = self.warn_at = None
        self.kill_at = now + self.grace

    def obey(self, order: dict[str, Any], now: float) -> None:
        """An order of orders.py; what is unknown is of a later daemon, which knows that we are of an earlier time."""
        if "signal" in order:
            tree.signal_group(self.leader, order["signal"])
        elif "suspend" in order:
            self._suspend(now)
        elif "continue" in order:
            tree.continue_all()
            self._go_on(now)
        elif "stalled" in order:
            self.cancel(now, "stalled")
        elif "preempt" in order:
            self._preempt(order["preempt"].get("warn") or 0.0, now)

    def _suspend(self, now: float) -> None:
        if not self.ending:
            tree.stop_all()
            self.stopped_at = now if self.stopped_at is None else self.stopped_at

    def _go_on(self, now: float) -> None:
        if self.stopped_at is None:
            return
        tree.continue_all()
        pause = self._rested(now)
        self.end_at = None if self.end_at is None else self.end_at + pause
        self.warn_at = None if self.warn_at is None else self.warn_at + pause

    def _rested(self, now: float) -> float:
        """It is suspended no longer: for how long it was, which is no run time."""
        pause = 0.0 if self.stopped_at is None else now - self.stopped_at
        self.idle, self.stopped_at = self.idle + pause, None
        return pause

    def _preempt(self, warn: float, now: float) -> None:
        """Its time limit is not put off by that."""
        if self.ending or self.reason is not None:
            return
        self.reason, self.warn_at = "preempt", None
        if warn:
            tree.signal_group(self.leader, signal.SIGUSR1)
        self._go_on(now)
        self.end_at = now + warn if self.end_at is None else min(self.end_at, now + warn)
