"""`Queue`: the same actors inside another Python program, or a client of the daemon that holds the home."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any

from trainqueue import capture
from trainqueue.client import Client
from trainqueue.core.spec import JobSpec
from trainqueue.errors import HomeHeldError, NoDaemonError, NotAnsweringError
from trainqueue.home import Home, current_umask
from trainqueue.service import Service
from trainqueue.settings import Settings, load

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from trainqueue.jobinfo import Job


class QueuedJob:
    """A handle of a submitted job."""

    def __init__(self, client: Client, job_id: int) -> None:
        self._client = client
        self.id = job_id

    def __repr__(self) -> str:
        return f"QueuedJob({self.id})"

    def status(self) -> Job:
        return self._client.status(self.id)

    def wait(self, timeout: float | None = None) -> Job:
        """Raises TimeoutError when `timeout` seconds have passed."""
        return self._client.wait([self.id], timeout)[0]

    def cancel(self, *, force: bool = False) -> None:
        self._client.cancel([self.id], force=force)


class Serving:
    """A Service and the thread that stops it, and nobody else does, so that it is stopped once.

    That happens when it is asked on the wire, has drained or crashed, is closed, or the program ends.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._thread = threading.Thread(target=self._wait, name="trainq-waiter", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def _wait(self) -> None:
        self.service.wait()
        self.service.stop()

    def stop(self) -> None:
        """Also called at the end of a program that has not closed its queue."""
        atexit.unregister(self.stop)
        self.service.leaving.set()
        self._thread.join()

    @property
    def end(self) -> str | None:
        """Why it does not serve any more, for people; None while it does."""
        if not self.service.leaving.is_set():
            return None
        crash = self.service.crash
        return "was told to stop" if crash is None else f"has stopped by a fault of its own ({crash!r})"


class OwnClient(Client):
    """Talks to the service in this process, and knows why that may be gone."""

    def __init__(self, home: Home, serving: Serving) -> None:
        super().__init__(home)
        self._serving = serving

    def _silent(self) -> NoDaemonError | NotAnsweringError:
        end = self._serving.end
        if end is None:
            return super()._silent()
        return NoDaemonError(
            f"this queue {end}; running jobs run on, and a new one on {self.home.path} takes them over"
        )


class Queue:
    """Use as a context manager. Installs no signal and no log handlers, and leaves no thread behind.

    It stops serving by itself when it is told to on the wire, has drained, or a part of it has crashed; the home
    is free then, and calls raise NoDaemonError.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> None:
        """Raises TrainqError when the home cannot be used."""
        self.home = Home.find(None if home is None else str(home))
        self.serving: Serving | None = None
        try:
            self.serving = Serving(Service(self.home, settings or load()))
        except HomeHeldError:
            self.client = Client(self.home)  # a daemon serves this home already: join it
        else:
            self.client = OwnClient(self.home, self.serving)

    @property
    def service(self) -> Service | None:
        return None if self.serving is None else self.serving.service

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, command: Sequence[str], *, cwd: str | None = None, **fields: Any) -> QueuedJob:
        """One job; `fields` are those of JobSpec. The submitter's environment goes with it unless `env` is given."""
        if isinstance(command, str):
            msg = f'a command is a list of words, such as ["python", "train.py"], not the text {command!r}'
            raise TypeError(msg)
        fields.setdefault("env", capture.environment()[0])
        fields.setdefault("umask", current_umask())
        spec = JobSpec(command=tuple(command), cwd=capture.folder(cwd or "."), **fields)
        return QueuedJob(self.client, self.client.submit([spec])[0]["id"])

    def close(self) -> None:
        """Running jobs run on under their runners."""
        self.client.close()
        if self.serving is not None:
            self.serving.stop()
