"""Environments, each kept once: in memory while a job in there has it, in the journal while a job in there has it.

Ten thousand jobs of one submitter have the same four kilobytes of variables. They are known by a digest of what they
say, so that what was damaged on the disk is noticed before a job starts with it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec

LOOKED_AT = 500
"""Environments that one step of retention looks at, whether anybody still has them: a millisecond."""
_encoder = msgspec.msgpack.Encoder(order="sorted")
_decoder = msgspec.msgpack.Decoder(dict[str, str])


def digest_of(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Environment(dict[str, str]):
    """Shared by jobs: never changed."""

    __slots__ = ("__weakref__", "digest", "kept")

    def __init__(self, variables: dict[str, str], digest: bytes) -> None:
        super().__init__(variables)
        self.digest = digest
        self.kept = False
        """It stands in the journal, or will with the open transaction."""


class Environments:
    """Of one journal, used in its thread and within its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._shared = WeakValueDictionary[bytes, Environment]()
        self._fresh: list[Environment] = []
        """Written in the open transaction."""
        self._looked_to = 0
        """The row at which the search for those that nobody has goes on."""

    # -- in memory

    def share(self, specs: Iterable[JobSpec]) -> None:
        """Of specs that are nobody else's yet: the same environment is the same object from now on."""
        given: dict[str, str] | None = None
        shared: Environment | None = None
        for spec in specs:
            if spec.env is not None:
                if spec.env is not given or shared is None:
                    given, shared = spec.env, self.shared(spec.env)
                msgspec.structs.force_setattr(spec, "env", shared)

    def shared(self, variables: dict[str, str]) -> Environment:
        if isinstance(variables, Environment) and self._shared.get(variables.digest) is variables:
            return variables
        digest = digest_of(_encoder.encode(variables))
        found = self._shared.get(digest)
        if found is None:
            found = self._shared[digest] = Environment(variables, digest)
        return found

    # -- in the journal; all raise sqlite3.Error

    def save(self, jobs: Iterable[Job]) -> list[bytes | None]:
        """Those that are not there yet; the digest for the row of each job."""
        digests: list[bytes | None] = []
        for job in jobs:
            if job.spec.env is None:
                digests.append(None)
                continue
            found = self.shared(job.spec.env)
            if not found.kept:
                self._db.execute(
                    "INSERT OR IGNORE INTO environments VALUES (?,?)", (found.digest, _encoder.encode(found))
                )
                found.kept = True
                self._fresh.append(found)
            digests.append(found.digest)
        return digests

    def written(self) -> None:
        """The transaction is on the disk."""
        self._fresh.clear()

    def undone(self) -> None:
        """The transaction is not."""
        for found in self._fresh:
            found.kept = False
        self._fresh.clear()

    def load(self, digest: bytes) -> Environment:
        """Raises LookupError, ValueError where it is not what was written."""
        found = self._shared.get(digest)
        if found is None:
            row = self._db.execute("SELECT body FROM environments WHERE digest=?", (digest,)).fetchone()
            if row is None:
                msg = "the environment of a job is missing"
                raise LookupError(msg)
            found = self._shared[digest] = read(digest, row[0])
        return found

    def remove_unused(self) -> None:
        """Some of those that no job has; where it ends, the next call goes on."""
        some = "SELECT rowid, digest FROM environments WHERE rowid > ? ORDER BY rowid LIMIT ?"
        rows = self._db.execute(some, (self._looked_to, LOOKED_AT)).fetchall()
        self._looked_to = rows[-1][0] if len(rows) == LOOKED_AT else 0
        for row, digest in rows:
            if self._db.execute("SELECT 1 FROM jobs WHERE env=? LIMIT 1", (digest,)).fetchone() is None:
                self._db.execute("DELETE FROM environments WHERE rowid=?", (row,))
                if (found := self._shared.get(digest)) is not None:  # of a job that is not written down yet
                    found.kept = False


def read(digest: bytes, body: bytes) -> Environment:
    """Raises ValueError where the body is not what this is the digest of."""
    if digest_of(body) != digest:
        msg = "the environment of a job is damaged"
        raise ValueError(msg)
    found = Environment(_decoder.decode(body), digest)
    found.kept = True
    return found


def is_one(digest: object, body: object) -> bool:
    """Whether a row, wherever it was found, is a whole environment."""
    return isinstance(digest, bytes) and isinstance(body, bytes) and digest_of(body) == digest


LOST = "env IS NOT NULL AND NOT EXISTS (SELECT 1 FROM environments WHERE digest = env)"
"""Of a row of jobs: its environment is gone."""


def fault(db: sqlite3.Connection) -> str | None:
    """What is wrong with the environments of a journal."""
    for digest, body in db.execute("SELECT digest, body FROM environments"):
        if not is_one(digest, body):
            return "an environment is damaged"
    row = db.execute(f"SELECT id FROM jobs WHERE {LOST} LIMIT 1").fetchone()
    return None if row is None else f"the environment of job {row[0]} is missing"


def forget_lost(db: sqlite3.Connection) -> list[int]:
    """In a recovery: jobs whose environment cannot be found have none from now on. Returns their ids."""
    ids = [row[0] for row in db.execute(f"SELECT id FROM jobs WHERE {LOST} ORDER BY id")]
    db.executemany("UPDATE jobs SET env = NULL WHERE id = ?", [(job,) for job in ids])
    return ids
