"""Whether an attempt that ended badly ran out of memory: what its log says last, and what the kernel's OOM killer did.

Asked only at a bad end that nobody wished for, so that it costs a good one nothing.
"""

import contextlib
import os
import re
import signal
import time

import lastwords
import oomkill
from record import Dead

TAIL = 65536
"""Bytes of the log that are looked at."""
QUOTED = 240
"""Characters of its line that are quoted."""
BY_SIGNAL = 128
"""What a shell adds to the signal that ended its command."""
HIGHEST = 64
"""The last signal."""
WHAT = {"gpu": "GPU memory ran out", "host": "host memory ran out"}
ADVICE = {
    "gpu": "try a smaller batch; on a shared GPU, ask for more with --gpu-memory",
    "host": "try a smaller batch, or fewer processes that load data",
}
KILLED = re.compile(
    r"killed by signal: Killed|\bSIGKILL\b|\bsignal:? ?9\b|\bexit ?code:? ?=?-9\b|\bKilled\b|terminated abruptly"
    r"|A worker process managed by the executor was unexpectedly terminated|OOM[- ]kill"
)
"""How a program says that one of its processes was killed."""
counter: oomkill.Counter | None = None
folder: int | None = None
"""The counter's, where the kernel reports changes in it."""
alone = False
"""Whether nobody but this process lived in its cgroup."""


def prepare() -> None:
    """Once in the life of this process, while it waits."""
    global counter, folder, alone  # noqa: PLW0603
    counter = oomkill.find()
    folder = oomkill.folder_of(counter)
    alone = counter is not None and counter.is_ours_alone()
    lastwords.listen("\n")


def kills() -> oomkill.Kills:
    """What the OOM killer does from now on."""
    return oomkill.Kills(counter, folder)


def ran_out(main: Dead, log: str, seen: oomkill.Kills) -> tuple[str | None, str]:
    """The reason "out-of-memory" and a sentence: what ran out, what shows it, and what to do.

    (None, "") when nothing shows it; (None, sentence) when it may be so, and nobody knows.
    """
    code = os.waitstatus_to_exitcode(main.status)
    number = -code if code < 0 else code - BY_SIGNAL if BY_SIGNAL < code <= BY_SIGNAL + HIGHEST else None
    if code == 0 or number not in (None, signal.SIGABRT, signal.SIGKILL):  # C++ aborts when nobody catches an exception
        return None, ""
    seen.look(time.monotonic())
    if number == signal.SIGKILL:
        return killed("it", seen)
    text = tail(log)
    own = seen.shown() and is_alone()
    of_a_part = killed("one of its processes", seen) if own or KILLED.search(text) else (None, "")
    if not own and not lastwords.may_say(text):
        return of_a_part
    words = lastwords.listen(text)
    if words is None:
        return of_a_part
    sentence = said(words)
    return ("out-of-memory" if sentence else None), sentence


def killed(whom: str, seen: oomkill.Kills) -> tuple[str | None, str]:
    """By a count that has risen: for certain where it counts this job alone, or rose just now."""
    shown = seen.shown()
    if not shown or (seen.timed and not seen.is_fresh() and not is_alone()):
        return None, ""
    if is_alone() or seen.is_fresh():
        return "out-of-memory", f"{WHAT['host']}; the kernel's OOM killer ended {whom} ({shown}); {ADVICE['host']}"
    return None, f"perhaps {WHAT['host']}: the kernel's OOM killer has ended a process since it began ({shown})"


def is_alone() -> bool:
    """Whether a kill that was counted can only be of this job."""
    return alone and counter is not None and counter.is_ours_alone()


def said(words: lastwords.Finding) -> str:
    if words.kind == "other":
        return ""
    return f'{WHAT[words.kind]}; the log says "{quoted(words.line)}"; {ADVICE[words.kind]}'


def tail(log: str) -> str:
    """The last whole lines; "" of a log that was removed, or replaced by something that is no file."""
    with contextlib.suppress(OSError):
        fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            begin = max(0, os.fstat(fd).st_size - TAIL)
            data = os.pread(fd, TAIL, begin)
            return (data.partition(b"\n")[2] if begin else data).decode(errors="replace")
        finally:
            os.close(fd)
    return ""


def quoted(line: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in line).strip()
    return plain if len(plain) <= QUOTED else plain[: QUOTED - 1] + "…"
