"""`logs` and `wait`."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli import banner
from trainqueue.cli.common import TIMED_OUT, as_json, client, complain, ending, outlast, show_json
from trainqueue.cli.forms import Duration, Id
from trainqueue.cli.frames import Frames
from trainqueue.cli.screen import can_be_painted, clock
from trainqueue.cli.select import PAGE, selecting, shown, states_shown
from trainqueue.cli.unmatched import code, unmatched
from trainqueue.cli.watchoptions import no_bar
from trainqueue.core.words import DEFAULT_LANE
from trainqueue.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainqueue.cli.footer import Footer
    from trainqueue.cli.select import Selection
    from trainqueue.client import Client
    from trainqueue.jobinfo import Job
    from trainqueue.tail import Tail

MOST = 10
"""Jobs that `wait` says a sentence about."""
RESET = b"\x1b[0m"
CUT, CUT_WITHIN = b"[trainq: ", 128
"""How the line begins that stands before what was cut out, and within how many bytes."""


class Raw:
    """Parts of a log as they are, to standard output; with `bar` a line about the job below them."""

    def __init__(self, tail: Tail, *, bar: bool = False) -> None:
        self.tail = tail
        self.footer: Footer | None = None
        if bar and can_be_painted():
            from trainqueue.cli.footer import Footer

            self.footer = tail.onlooker = Footer(tail.client, tail.job)
        self._coloured = False
        self._last = b""

    def show(self, part: dict[str, Any], frames: Frames | None = None) -> None:
        """Counts what has been written as it goes: an interrupted one goes on behind it.

        With `frames` nobody goes on, and of frames that have been overwritten only the last is shown.
        """
        if self.footer is not None:
            self.footer.rub_out()
        self._skip(part)
        self._coloured = self._coloured or b"\x1b" in part["data"]
        if frames is None:
            self.put(part["data"])
        else:
            self.put(frames.passed(part["data"]))
            self.tail.offset = part["next"]
        if part["eof"] and frames is None:
            self.end()

    def end(self) -> None:
        """What a job leaves behind must not colour the prompt."""
        if self._coloured and sys.stdout.isatty():
            os.write(sys.stdout.fileno(), RESET)

    def put(self, text: bytes) -> None:
        data = memoryview(text)
        sys.stdout.flush()
        before = self.tail.offset
        try:
            while data:
                select.select([], [sys.stdout], [])  # here a Ctrl-C is welcome, however long a reader pauses
                data = data[self._write(data[: select.PIPE_BUF]) :]
        finally:
            if self.footer is not None:
                self.footer.passed(text[: self.tail.offset - before])

    def _skip(self, part: dict[str, Any]) -> None:
        """Behind what was cut out of the log; said here where the log's own line on it was passed before."""
        missed = part["offset"] - self.tail.offset
        if missed > 0 and CUT not in self._last:
            complain(f"{missed / 2**20:.1f} MiB of the log are missing here: they were cut ([logs] max_bytes)")
        self._last = (self._last + part["data"])[-CUT_WITHIN:]
        self.tail.offset = part["offset"]

    def _write(self, data: memoryview) -> int:
        """A write and its count are one: a Ctrl-C between them would show the same lines again."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            written = os.write(sys.stdout.fileno(), data)
            self.tail.offset += written
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return written


class Documents:
    """Parts of a log as JSON, one a line; a character that lies in two parts is shown in the second."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, part: dict[str, Any], *, last: bool = False) -> None:
        text = self._decoder.decode(part["data"], part["eof"] or last)
        self.tail.offset = part["next"]
        show_json({**part, "data": text})
        if part["eof"]:
            self._decoder.reset()


def follow_log(tail: Tail, show: Callable[[dict[str, Any]], None]) -> None:
    """Until the job has ended; over its retries, and over a restart of the daemon."""

    def on() -> None:
        with tail.onlooker or contextlib.nullcontext():
            for part in tail.parts():
                show(part)

    outlast(tail.client, on)


def last_lines(tail: Tail, lines: int) -> int:
    """The offset at which the last `lines` lines begin; empty ones at the end do not count."""
    begin: int | None = None
    for offset, piece in tail.pieces_back():
        at = len(piece)
        if begin is None:
            at = len(piece.rstrip(b"\n"))
            if at == 0:
                continue
        begin = offset
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            lines -= 1
            if lines == 0:
                return offset + at + 1
    return begin or 0


@click.command()
@click.argument("job", metavar="ID", type=Id())
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended, over its retries.")
@click.option("-n", "--lines", metavar="N", type=click.IntRange(min=0), help="Only the last N lines.")
@click.option("--attempt", metavar="N", type=click.IntRange(1, 2**31), help="Which attempt's (default: the newest).")
@no_bar
@as_json
def logs(
    job: int,
    follow: bool,  # noqa: FBT001
    lines: int | None,
    attempt: int | None,
    no_bar: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> int:
    """A job's output, also of one that has not started yet."""
    from trainqueue.tail import Tail

    tail = Tail(client(), job, attempt)
    removed = tail.part()["removed_at"]
    if removed is not None:
        when = f"on {clock(removed)}: setting history.max_log_bytes"
        complain(f"the log of job {job}, attempt {tail.attempt}, was removed by retention {when}")
        return 1
    if lines is not None:
        tail.offset = last_lines(tail, lines) if lines else tail.part()["size"]
    say_if_waiting(tail)
    if follow:
        follow_log(tail, (Documents(tail) if as_json else Raw(tail, bar=not no_bar)).show)
    else:
        show_now(tail, document=as_json)
    return 0


def say_if_waiting(tail: Tail) -> None:
    """Nothing is no output: of a job that waits, or waits again, there is none yet."""
    job = tail.client.status(tail.job)
    if job.state == "queued" and tail.attempt in {None, job.attempt}:
        earlier = f"; the last attempt's: --attempt {job.attempt - 1}" if job.attempt > 1 else ""
        complain(f"job {job.id} has not begun{earlier}: {job.why}")


def show_now(tail: Tail, *, document: bool) -> None:
    """What is there, up to where the log ends at this moment."""
    documents, raw, frames = Documents(tail), Raw(tail), Frames()
    size = None
    while size is None or tail.offset < size:
        part = tail.part()
        size = part["size"] if size is None else size
        if document:
            documents.show(part, last=part["next"] >= size)
        else:
            raw.show(part, frames)
        if not part["data"]:
            break
    raw.put(frames.rest())
    raw.end()


@click.command()
@selecting()
@click.option("--timeout", type=Duration(bare=True), help="Give up after this long, with exit code 124.")
@as_json
def wait(which: Selection, timeout: float | None, as_json: bool) -> int:  # noqa: FBT001
    """Until the jobs have ended, those selected that have ended already included (with --all or --mine alone: not).

    One job: its own exit code; several: 1 if any did not complete.
    """
    trainq = client()
    jobs = [job["id"] for job in shown(trainq, which)] if which.filtered else which.ids
    banner.look(trainq, document=as_json, lanes=lanes_of(trainq, jobs))
    if not jobs:
        complain(unmatched(trainq, which, states_shown(which)))
        if as_json:
            show_json([])
        return code(which)
    try:
        ended = wait_for(trainq, jobs, timeout)
    except TimeoutError as error:
        complain(str(error))
        if as_json:
            with contextlib.suppress(DaemonError):  # it may be the daemon that we have waited for
                show_json(documents([trainq.status(job) for job in jobs]))
        return TIMED_OUT
    if as_json:
        show_json(documents(ended))
    else:
        say_endings([job for job in ended if job.state != "completed"])
    return ended[0].status if len(ended) == 1 else int(any(job.state != "completed" for job in ended))


def lanes_of(trainq: Client, jobs: Sequence[int]) -> set[str]:
    """In which those wait that have not started, as far as one question tells."""
    if not jobs:
        return set()
    some = trainq.call("jobs", jobs=jobs[:PAGE], states=["queued"], limit=PAGE)["jobs"]
    return {job.get("lane") or DEFAULT_LANE for job in some}


def say_endings(bad: Sequence[Job]) -> None:
    for job in bad[:MOST]:
        complain(ending(job))
    if len(bad) > MOST:
        complain(f"and {len(bad) - MOST} more have not completed: trainq-cli history")


def wait_for(trainq: Client, jobs: Sequence[int], timeout: float | None) -> list[Job]:
    """As the client's, and over a restart of the daemon. Raises TimeoutError."""
    if timeout is None:
        return outlast(trainq, lambda: trainq.wait(jobs))
    deadline = time.monotonic() + timeout
    try:
        return outlast(trainq, lambda: trainq.wait(jobs, max(0.0, deadline - time.monotonic())), deadline)
    except DaemonError as error:
        if time.monotonic() < deadline:
            raise
        msg = f"the time is over, and {error}"
        raise TimeoutError(msg) from None


def documents(jobs: Sequence[Job]) -> Any:
    """As `status --json` shows them: one job by itself, several as a list."""
    import msgspec

    found = msgspec.to_builtins(jobs)
    return found[0] if len(jobs) == 1 else found
