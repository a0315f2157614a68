"""`Queue`: the same actors inside another Python program, or a client of the daemon that holds the home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.client import Client
from trainqueue.core.spec import JobSpec
from trainqueue.errors import HomeHeldError
from trainqueue.home import Home, current_umask
from trainqueue.service import Service
from trainqueue.settings import Settings, load

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from trainqueue.client import Job


class QueuedJob:
    """A handle of a submitted job."""

    def __init__(self, client: Client, job_id: int) -> None:
        self._client = client
        self.id = job_id

    def status(self) -> Job:
        return self._client.status(self.id)

    def wait(self, timeout: float | None = None) -> Job:
        """Raises TimeoutError when `timeout` seconds have passed."""
        return self._client.wait([self.id], timeout)[0]

    def cancel(self, *, force: bool = False) -> None:
        self._client.cancel([self.id], force=force)


class Queue:
    """Use as a context manager. Installs no signal and no log handlers, and leaves no thread behind."""

    def __init__(self, home: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> None:
        """Raises TrainqError when the home cannot be used."""
        self.home = Home.find(None if home is None else str(home))
        self.service: Service | None = None
        try:
            self.service = Service(self.home, settings or load())
        except HomeHeldError:
            self.service = None  # a daemon serves this home already: join it
        self.client = Client(self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, command: Sequence[str], *, cwd: str | None = None, **fields: Any) -> QueuedJob:
        """One job; `fields` are those of JobSpec. The submitter's environment goes with it unless `env` is given."""
        import os

        fields.setdefault("env", dict(os.environ))
        fields.setdefault("umask", current_umask())
        spec = JobSpec(command=tuple(command), cwd=cwd or os.getcwd(), **fields)  # noqa: PTH109
        return QueuedJob(self.client, self.client.submit([spec])[0]["id"])

    def close(self) -> None:
        """Running jobs run on under their runners."""
        self.client.close()
        if self.service is not None:
            self.service.stop()
