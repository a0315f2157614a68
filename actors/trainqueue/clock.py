"""The two clocks of the machine, and what each is good for.

The monotonic clock only ever counts seconds: limits, graces, pauses and run times are measured on it. Nobody can set
it, and on Linux it stands still while the machine is suspended: a job with a `time_limit` of one hour that is laid to
sleep after 50 minutes has 10 minutes left when the machine wakes up. The wall clock is what people read, and may be
set forwards and back at any time: it dates events for display, and `not_before` follows it. Order never depends on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time

from trainqueue.core.job import Ended, Running, State

_libc = ctypes.CDLL(None, use_errno=True)
TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME = os.O_NONBLOCK, os.O_CLOEXEC, 1


class TimerSpec(ctypes.Structure):
    """The kernel's itimerspec: an interval, which we do not use, and a moment."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class WallClock:
    """The wall clock and one alarm on it: `fd` is readable when the alarm has gone off.

    The kernel knows when the clock is set or the machine wakes up, so the alarm goes off at the right time of day
    however the clock gets there, and nobody has to look at the clock meanwhile.
    """

    def __init__(self) -> None:
        """Raises OSError."""
        self.fd = _libc.timerfd_create(time.CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "cannot have a timer")

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wake_at(self, at: float) -> None:
        """Set the alarm, in seconds since 1970; the one before it is forgotten. At once for a time that is over."""
        spec = TimerSpec(0, 0, int(max(0.0, at)), int(at % 1 * 1e9) or 1)
        if _libc.timerfd_settime(self.fd, TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "cannot set a timer")

    def rang(self) -> bool:
        """Whether the alarm has gone off since the last call."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.fd, 8))
        return False

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def shown(at: float, now: float) -> str:
    """A moment of the wall clock as people read it here, with its day where that is not this one."""
    local = time.localtime(at)
    return time.strftime("%H:%M:%S" if local[:3] == time.localtime(now)[:3] else "%Y-%m-%d %H:%M:%S", local)


def ran(state: Running) -> float | None:
    """Seconds measured, without those that it was suspended; None where nobody has noted its begin."""
    if state.began is None:
        return None
    until = time.monotonic() if state.suspended_at is None else state.suspended_at
    return max(0.0, until - state.began - state.idle)


def run_time(state: State, now: float) -> float | None:
    """Seconds that an attempt has run, up to `now` or its end: measured, or told by the wall clock if it was not."""
    if isinstance(state, Running):
        measured, ended_at = ran(state), now
    elif isinstance(state, Ended):
        measured, ended_at = state.run_time, state.ended_at
    else:
        return None
    if measured is None and state.started_at is not None:
        return max(0.0, ended_at - state.started_at)
    return measured
