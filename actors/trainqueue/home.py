"""The home folder: where everything of one trainq lies. Imports little, since every command line call does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trainqueue.errors import TrainqError

REQUESTS, EVENTS = "trainqd.sock", "events.sock"
"""The daemon's sockets."""
MAX_SOCKET_PATH = 100
"""Bytes; a Unix socket's path has at most 107."""
PROBED = 1000
"""Ids behind the newest one that are looked for in jobs/, which may hold a million: some of them not to be known."""


def current_umask() -> int:
    """Of this process; from /proc, since asking the kernel would change it for all threads."""
    with Path("/proc/self/status").open(encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), 0o022)


@dataclass(frozen=True, slots=True)
class Home:
    """Paths only; `prepare` makes the folder."""

    path: Path

    @classmethod
    def find(cls, explicit: str | None = None) -> Home:
        """`explicit`, else $TRAINQ_HOME, else $XDG_STATE_HOME/trainq, else ~/.local/state/trainq."""
        chosen = explicit or os.environ.get("TRAINQ_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(state).expanduser().absolute() / "trainq")

    @property
    def database(self) -> Path:
        return self.path / "trainq.db"

    @property
    def lock(self) -> Path:
        return self.path / "trainqd.lock"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    @property
    def log(self) -> Path:
        return self.path / "trainqd.log"

    @property
    def endpoint_file(self) -> Path:
        return self.path / "endpoint"

    @property
    def snapshots(self) -> Path:
        """Copies of working folders, which jobs run in."""
        return self.path / "snapshots"

    def job(self, job: int) -> Path:
        return self.path / "jobs" / str(job)

    def attempt(self, job: int, attempt: int) -> Path:
        return self.job(job) / f"attempt-{attempt}"

    def log_name(self, job: int, attempt: int) -> str:
        """As text: shown with every job, and pathlib would take half of that time."""
        return f"{self.path}/jobs/{job}/output{'' if attempt == 1 else f'.{attempt}'}.log"

    def log_of(self, job: int, attempt: int) -> Path:
        return Path(self.log_name(job, attempt))

    def progress_of(self, job: int) -> Path:
        return self.job(job) / "progress.json"

    def next_unused(self, first: int) -> int:
        """The first id, from `first` on, whose folder is nobody's and neither are those of some after it."""
        return 1 + max((job for job in range(first, first + PROBED) if self.job(job).exists()), default=first - 1)

    def socket(self, name: str) -> Path:
        """In the home, or in the runtime folder where the home's path is too long for a Unix socket."""
        path = self.path / name
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        return self._runtime_folder() / name

    def _runtime_folder(self) -> Path:
        import hashlib

        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        base = os.environ.get("XDG_RUNTIME_DIR")
        if base and len(base) < MAX_SOCKET_PATH - 60:
            folder = Path(base) / f"trainq-{digest}"
        else:
            folder = Path("/tmp") / f"trainq-{os.getuid()}-{digest}"  # noqa: S108  (made 0700 and checked below)
        folder.mkdir(mode=0o700, exist_ok=True)
        stat = folder.lstat()
        if stat.st_uid != os.getuid() or stat.st_mode & 0o077 or folder.is_symlink():
            msg = f"{folder} is not ours alone; remove it, or use a shorter home path"
            raise TrainqError(msg)
        return folder

    def _refuse_foreign(self) -> None:
        """A folder of other things must not become ours, with nobody else let in any more."""
        ours = (self.path / "jobs").is_dir() or self.database.exists() or self.lock.exists()
        if not ours and self.path.is_dir() and any(self.path.iterdir()):
            msg = f"{self.path} holds other things and no trainq; choose an empty or new folder. Nothing was changed."
            raise TrainqError(msg)

    def prepare(self) -> None:
        """Make the folder, 0700. Raises TrainqError that says what is wrong with it."""
        try:
            self._refuse_foreign()
            (self.path / "jobs").mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            msg = f"cannot use the home folder {self.path}: {error.strerror or error}. Nothing was changed."
            raise TrainqError(msg) from error
        if os.statvfs(self.path).f_flag & os.ST_RDONLY:
            msg = f"the home folder {self.path} is on a read-only disk. Nothing was changed, and what is there is safe."
            raise TrainqError(msg)
        if not os.access(self.path, os.W_OK | os.X_OK):
            msg = f"cannot write to the home folder {self.path}. Nothing was changed."
            raise TrainqError(msg)
