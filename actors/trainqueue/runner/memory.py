"""Whether an attempt that ended badly ran out of memory: what its log says last, and what the kernel's OOM killer did.

Asked only at a bad end that nobody wished for, so that it costs a good one nothing.
"""

import contextlib
import os
import signal

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
counter: oomkill.Counter | None = None


def prepare() -> None:
    """Once in the life of this process, while it waits."""
    global counter  # noqa: PLW0603
    counter = oomkill.find()
    lastwords.listen("\n")


def kills() -> int | None:
    """How many processes the OOM killer has ended so far; None where nobody counts them."""
    return None if counter is None else counter.read()


def ran_out(main: Dead, log: str, kills_before: int | None) -> str:
    """What ran out, what shows it, and what to do, in a sentence; "" when nothing shows it."""
    code = os.waitstatus_to_exitcode(main.status)
    number = -code if code < 0 else code - BY_SIGNAL if BY_SIGNAL < code <= BY_SIGNAL + HIGHEST else None
    if number == signal.SIGKILL:
        return killed("it", kills_before)
    if code == 0 or number not in (None, signal.SIGABRT):  # C++ aborts when nobody catches an exception
        return ""
    of_a_part = killed("one of its processes", kills_before) if counter is not None and counter.own else ""
    text = tail(log)
    if not of_a_part and not lastwords.may_say(text):
        return ""
    words = lastwords.listen(text)
    return of_a_part if words is None else said(words)


def said(words: lastwords.Finding) -> str:
    if words.kind == "other":
        return ""
    return f'{WHAT[words.kind]}; the log says "{quoted(words.line)}"; {ADVICE[words.kind]}'


def killed(whom: str, before: int | None) -> str:
    now = kills()
    if counter is None or before is None or now is None or now <= before:
        return ""
    shown = f"oom_kill in {counter.path} went from {before} to {now}"
    return f"{WHAT['host']}; the kernel's OOM killer ended {whom} ({shown}); {ADVICE['host']}"


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
