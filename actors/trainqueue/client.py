"""A typed Python client: `with Client() as trainq: trainq.submit([JobSpec(...)])`.

Every submit carries a key made here, so a repeated request is executed once. "Nobody serves this home" and
"somebody does and is silent" are two different errors.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

import msgpack
import zmq

from trainqueue import guard
from trainqueue.errors import NoDaemonError, NotAnsweringError, RequestError
from trainqueue.home import REQUESTS, Home

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from trainqueue.core.spec import JobSpec
    from trainqueue.jobinfo import Job
    from trainqueue.subscription import Subscription

TIMEOUT = 10.0
PER_JOB = 0.002
"""Seconds that the answer to a submit may take longer for each of its jobs."""
LOOK = 1.0
"""Seconds of silence after which we look whether the daemon still lives."""


def as_map(value: object) -> object:
    """For what MessagePack does not know: a JobSpec."""
    import msgspec

    return msgspec.to_builtins(value)


def packed(value: object) -> bytes:
    return cast("bytes", msgpack.packb(value, default=as_map))


def unpacked(data: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", msgpack.unpackb(data, strict_map_key=False))


def fresh_key() -> str:
    """What nobody else will choose; the uuid module takes 2 ms to import."""
    return os.urandom(16).hex()


class Client:
    """One REQ socket to the daemon of a home. Not for use from two threads at once."""

    def __init__(
        self,
        home: Home | str | None = None,
        *,
        timeout: float = TIMEOUT,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """Connects with the first call; `timeout` in seconds is that of every call that names none."""
        self.home = home if isinstance(home, Home) else Home.find(home)
        self.timeout = timeout
        self._own = context is None
        self._context: zmq.Context[Any] = context or zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._hang_up()
        if self._own:
            self._context.destroy(0)

    def call(self, op: str, *, timeout: float | None = None, **fields: object) -> dict[str, Any]:
        """One request, its result. Raises RequestError, NoDaemonError or NotAnsweringError."""
        request = packed({"op": op, "id": fresh_key(), **fields})
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        if not guard.is_held(self.home.lock):
            raise self._silent()
        try:
            reply = self._exchange(request, deadline)
        except BaseException as error:
            self._hang_up()  # an interrupted REQ can neither send nor receive
            if isinstance(error, zmq.Again):
                raise self._silent() from None
            raise
        if not reply["ok"]:
            raise RequestError(reply["error"]["code"], reply["error"]["message"])
        return cast("dict[str, Any]", reply["result"])

    def _exchange(self, request: bytes, deadline: float) -> dict[str, Any]:
        """Raises zmq.Again when the deadline (monotonic) passes or the daemon dies."""
        socket = self._connected()
        socket.send(request)
        while not socket.poll(max(0, round(1000 * min(LOOK, deadline - time.monotonic())))):
            if time.monotonic() >= deadline or not guard.is_held(self.home.lock):
                raise zmq.Again
        return unpacked(socket.recv())

    def _hang_up(self) -> None:
        """Throw the socket away with what waits in it: nothing may be executed late, when a daemon is back."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None

    def _connected(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            socket: zmq.Socket[bytes] = self._context.socket(zmq.REQ)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDTIMEO, 2000)
            socket.connect(self._endpoint())
            self._socket = socket
        return self._socket

    def _endpoint(self) -> str:
        """As written down, else where a daemon of this home always listens: somebody may have removed the file."""
        try:
            written = self.home.endpoint_file.read_text(encoding="utf-8").strip()
        except OSError:
            written = ""
        return written or f"ipc://{self.home.socket(REQUESTS)}"

    def _silent(self) -> NoDaemonError | NotAnsweringError:
        if guard.is_held(self.home.lock):
            return NotAnsweringError(f"the daemon of {self.home.path} did not answer in time")
        if self._closed_to_us():
            return NoDaemonError(f"{self.home.path} belongs to somebody else: you may not look into it")
        return NoDaemonError(f"no daemon serves {self.home.path}; start one with: trainq-cli daemon start")

    def _closed_to_us(self) -> bool:
        try:
            os.scandir(self.home.path).close()
        except OSError as error:
            return isinstance(error, PermissionError)
        return False

    # -- one method an op

    def ping(self) -> dict[str, Any]:
        return self.call("ping")

    def submit(
        self,
        jobs: Sequence[JobSpec | dict[str, Any]],
        *,
        key: str | None = None,
        defaults: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """All or none; returns [{id, state, position}] in the order given. On disk when this returns.

        `defaults`: JobSpec fields that hold for all jobs that do not say them, sent and kept once.
        """
        return self._keyed("submit", key, jobs, **({} if defaults is None else {"defaults": defaults}))

    def copy(
        self,
        jobs: Sequence[int],
        *,
        set: dict[str, Any] | None = None,  # noqa: A002  (the wire's word)
        key: str | None = None,
    ) -> list[dict[str, Any]]:
        """New jobs with the specs of these, but for the fields in `set`; all or none, as `submit`."""
        return self._keyed("copy", key, jobs, **({"set": set} if set else {}))

    def _keyed(self, op: str, key: str | None, jobs: Sequence[object], **fields: Any) -> list[dict[str, Any]]:
        key = key or fresh_key()
        for last in (False, True):
            try:
                result = self.call(op, timeout=self.timeout + PER_JOB * len(jobs), jobs=jobs, key=key, **fields)
                return cast("list[dict[str, Any]]", result["jobs"])
            except NotAnsweringError as error:
                if last:
                    msg = f"{error}; it may be queued or not: look before you submit it again (its key is {key})"
                    raise NotAnsweringError(msg) from None
        raise AssertionError

    def status(self, job: int) -> Job:
        return self.as_job(self.call("status", job=job)["job"])

    def attempts(self, job: int) -> list[dict[str, Any]]:
        """Of one job, the oldest first; the last 100."""
        return cast("list[dict[str, Any]]", self.call("status", job=job)["attempts"])

    def queue(self, limit: int = 100, offset: int = 0) -> dict[str, Any]:
        return self.call("queue", limit=limit, offset=offset)

    def line(self, limit: int = 1_000_000) -> dict[str, Any]:
        """The ids of the first that wait, in start order, and what is expected of them; `ready` have a position."""
        return self.call("line", limit=limit)

    def jobs(self, **filters: Any) -> tuple[list[Job], bool]:
        """Newest first, and whether there are more. Filters as on the wire."""
        result = self.call("jobs", **filters)
        return [self.as_job(job) for job in result["jobs"]], result["more"]

    def verb(self, op: str, jobs: Sequence[int], **fields: Any) -> list[dict[str, Any]]:
        """cancel, hold, release, retry: an answer per job."""
        return cast("list[dict[str, Any]]", self.call(op, jobs=jobs, **fields)["jobs"])

    def signal(self, jobs: Sequence[int], signal: str | int) -> list[dict[str, Any]]:
        """By name ("USR1") or number, to the process groups of running jobs; a suspended one gets it when continued."""
        return self.verb("signal", jobs, signal=signal)

    def suspend(self, jobs: Sequence[int]) -> list[dict[str, Any]]:
        """Stop all processes of running jobs, which keep their GPUs and the memory there."""
        return self.verb("suspend", jobs)

    def continue_(self, jobs: Sequence[int]) -> list[dict[str, Any]]:
        """Let suspended jobs run on."""
        return self.verb("continue", jobs)

    def preempt(self, jobs: Sequence[int], *, hold: bool = False) -> list[dict[str, Any]]:
        """Have running jobs save, end, and wait in the line again; held there where `hold` says so."""
        return self.verb("preempt", jobs, hold=hold)

    def hold(self, jobs: Sequence[int]) -> list[dict[str, Any]]:
        return self.verb("hold", jobs)

    def release(self, jobs: Sequence[int]) -> list[dict[str, Any]]:
        return self.verb("release", jobs)

    def move(self, jobs: Sequence[int], **place: Any) -> list[dict[str, Any]]:
        """`to="front"`, `to="back"`, `before=ID` or `position=N`; they will stand there in the order given.

        With `order="line"` in that in which they stand among each other now.
        """
        return self.verb("move", jobs, **place)

    def edit(self, jobs: Sequence[int], changes: dict[str, Any]) -> list[dict[str, Any]]:
        """JobSpec fields of waiting jobs set anew."""
        return self.verb("edit", jobs, set=changes)

    def cancel(self, jobs: Sequence[int], *, force: bool = False) -> list[dict[str, Any]]:
        return self.verb("cancel", jobs, force=force)

    def retry(
        self,
        jobs: Sequence[int],
        *,
        set: dict[str, Any] | None = None,  # noqa: A002  (the wire's word)
    ) -> list[dict[str, Any]]:
        """A new attempt of ended jobs, with the fields in `set` changed."""
        return self.verb("retry", jobs, **({"set": set} if set else {}))

    def lanes(self) -> list[dict[str, Any]]:
        """The wire's Lanes, the default one first."""
        return cast("list[dict[str, Any]]", self.call("lanes")["lanes"])

    def lane(self, name: str, **fields: Any) -> dict[str, Any] | None:
        """Make it, or change what is given: `gpus`, `paused`. With `remove=True` it is None afterwards."""
        return cast("dict[str, Any] | None", self.call("lane", name=name, **fields)["lane"])

    def pause(self) -> dict[str, Any]:
        """Start nothing, until `resume`; what runs runs on."""
        return self.call("pause")

    def drain(self) -> dict[str, Any]:
        """Start nothing, and have the daemon exit when the last running job has ended."""
        return self.call("drain")

    def resume(self) -> dict[str, Any]:
        """Ends both."""
        return self.call("resume")

    def gpus(self) -> list[dict[str, Any]]:
        """The wire's Gpus, as they were last seen."""
        return cast("list[dict[str, Any]]", self.call("gpus")["gpus"])

    def enable(self, gpus: Sequence[str | int]) -> list[dict[str, Any]]:
        """Start jobs again on these GPUs, by index or UUID; their errors are forgiven. As they are now."""
        return cast("list[dict[str, Any]]", self.call("enable", gpus=gpus)["gpus"])

    def disable(self, gpus: Sequence[str | int]) -> list[dict[str, Any]]:
        """Start nothing more on these GPUs; what runs there runs on. As they are now."""
        return cast("list[dict[str, Any]]", self.call("disable", gpus=gpus)["gpus"])

    def stats(self) -> dict[str, Any]:
        """Figures over all jobs: counts, GPU seconds, waiting times."""
        return self.call("stats")

    def log(self, job: int, **fields: Any) -> dict[str, Any]:
        return self.call("log", job=job, **fields)

    def series(self, job: int, attempt: int | None = None) -> dict[str, list[list[float | None]]]:
        """What its metrics were over time: {name: [[at, step, value]]}, `fraction` among them; the newest attempt's."""
        return cast("dict[str, list[list[float | None]]]", self.call("series", job=job, attempt=attempt)["series"])

    def events(self, after: int, limit: int = 1000) -> dict[str, Any]:
        return self.call("events", after=after, limit=limit)

    def shutdown(self, jobs: str = "keep") -> None:
        self.call("shutdown", jobs=jobs)

    # -- waiting

    def subscribe(self, topics: Sequence[str]) -> Subscription:
        """Events on these topics, and a `welcome` once the subscription is live. Raises DaemonError."""
        from trainqueue.subscription import Subscription

        return Subscription(self._context, self.ping()["events"], topics)

    def follow(
        self, topics: Sequence[str] = ("job.", "queue"), *, patience: float = 2.0
    ) -> Generator[dict[str, Any] | None, None, None]:
        """Events as they come; None first, once the subscription is live, and after `patience` seconds of silence.

        Whoever follows looks at the state at each None: a snapshot after the first one misses nothing.
        """
        with self.subscribe(topics) as feed:
            while True:
                event = feed.get(patience)
                yield None if event is None or event["type"] == "welcome" else event

    def wait(self, jobs: Sequence[int], timeout: float | None = None) -> list[Job]:
        """Until all have ended. Raises TimeoutError; RequestError ("not-found") for an unknown one."""
        from trainqueue.waiting import Wait

        wait = Wait(self, jobs)
        wait.until(None if timeout is None else time.monotonic() + timeout)
        return [wait.ended[job] for job in jobs]

    def output(self, job: int, attempt: int = 1) -> Iterator[bytes]:
        """What the job prints, from this attempt on and over its retries, until it has ended."""
        from trainqueue.tail import Tail

        for part in Tail(self, job, attempt).parts():
            yield part["data"]

    @staticmethod
    def as_job(fields: dict[str, Any]) -> Job:
        import msgspec

        from trainqueue.jobinfo import Job

        return msgspec.convert(fields, Job)
