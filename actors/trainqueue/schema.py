"""The journal's tables, and the way from each older schema to this one.

A migration is one transaction: a death in the middle leaves the old schema, and the next start begins again. It is
preceded by a copy of the file (`trainq.db.schema-N`, where the disk has room), which the older release can still
open. A schema newer than ours is refused before anything in the file is touched.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from trainqueue import __version__
from trainqueue.damage import glance

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)
LAST_ID = "last_id"
"""A setting: the newest id that was ever given, where the jobs do not say so (removed, or lost with a damaged page)."""
ALIVE = "state IN ('queued', 'pending', 'running')"
FIRST = """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, grp TEXT, user TEXT NOT NULL,
        submitted_at REAL NOT NULL, band INTEGER NOT NULL, rank INTEGER NOT NULL, attempt INTEGER NOT NULL,
        spec BLOB NOT NULL, detail TEXT NOT NULL,
        tags TEXT NOT NULL, progress TEXT);
    CREATE INDEX jobs_state ON jobs (state, id);
    CREATE TABLE attempts (
        job INTEGER NOT NULL, attempt INTEGER NOT NULL, runner TEXT NOT NULL, gpu_ids TEXT NOT NULL,
        PRIMARY KEY (job, attempt)) WITHOUT ROWID;
    CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE keys (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """
SOUND = "iif(json_valid({0}), {0}, '{{}}')"
HISTORY = f"""
    ALTER TABLE jobs ADD COLUMN ended REAL;         -- when it ended, by the clock of ages.py; NULL while it lives
    ALTER TABLE jobs ADD COLUMN gpu_seconds REAL;
    ALTER TABLE jobs ADD COLUMN waited REAL;
    ALTER TABLE jobs ADD COLUMN log_bytes INTEGER;  -- NULL until the janitor has looked
    UPDATE jobs SET
        ended = json_extract(detail, '$.ended_at'),
        gpu_seconds = coalesce(json_array_length(detail, '$.gpu_ids') * coalesce(json_extract(detail, '$.run_time'),
            max(0, json_extract(detail, '$.ended_at') - json_extract(detail, '$.started_at'))), 0),
        waited = coalesce(max(0, json_extract(detail, '$.started_at') - submitted_at), 0)
        WHERE NOT {ALIVE} AND json_valid(detail);  -- what is no JSON is damage, for `doctor` to find
    CREATE INDEX jobs_name ON jobs (name, state, id);
    CREATE INDEX jobs_group ON jobs (grp, state, id) WHERE grp IS NOT NULL;
    CREATE INDEX jobs_ended ON jobs (ended, id) WHERE ended IS NOT NULL;
    CREATE INDEX jobs_unmeasured ON jobs (id) WHERE ended IS NOT NULL AND log_bytes IS NULL;
    CREATE INDEX jobs_logs ON jobs (ended, id) WHERE log_bytes > 0;

    CREATE TABLE tags (
        key TEXT NOT NULL, value TEXT NOT NULL, state TEXT NOT NULL, job INTEGER NOT NULL,
        PRIMARY KEY (key, value, state, job)) WITHOUT ROWID;
    INSERT INTO tags SELECT key, value, state, jobs.id FROM jobs, json_each({SOUND.format("jobs.tags")})
        WHERE jobs.tags <> '{{}}'
        ORDER BY key, value, state, jobs.id;
    CREATE TRIGGER tags_new AFTER INSERT ON jobs WHEN new.tags <> '{{}}' BEGIN
        INSERT INTO tags SELECT key, value, new.state, new.id FROM json_each({SOUND.format("new.tags")});
    END;
    CREATE TRIGGER tags_changed AFTER UPDATE OF state, tags ON jobs
        WHEN old.tags <> new.tags OR (old.state <> new.state AND new.tags <> '{{}}') BEGIN
        DELETE FROM tags WHERE job = old.id AND state = old.state
            AND (key, value) IN (SELECT key, value FROM json_each({SOUND.format("old.tags")}));
        INSERT INTO tags SELECT key, value, new.state, new.id FROM json_each({SOUND.format("new.tags")});
    END;
    CREATE TRIGGER tags_gone AFTER DELETE ON jobs WHEN old.tags <> '{{}}' BEGIN
        DELETE FROM tags WHERE job = old.id AND state = old.state
            AND (key, value) IN (SELECT key, value FROM json_each({SOUND.format("old.tags")}));
    END;

    -- Of the ended jobs per state, and of those whose records retention has removed.
    CREATE TABLE totals (
        state TEXT PRIMARY KEY, jobs INTEGER NOT NULL DEFAULT 0, gpu_seconds REAL NOT NULL DEFAULT 0,
        waited REAL NOT NULL DEFAULT 0, log_bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    INSERT INTO totals (state) VALUES ('completed'), ('failed'), ('cancelled'), ('lost'), ('removed');
    UPDATE totals SET (jobs, gpu_seconds, waited) = (
        SELECT count(*), coalesce(sum(j.gpu_seconds), 0), coalesce(sum(j.waited), 0)
        FROM jobs j WHERE j.state = totals.state);
    CREATE TRIGGER totals_new AFTER INSERT ON jobs WHEN new.ended IS NOT NULL BEGIN
        UPDATE totals SET jobs = jobs + 1, gpu_seconds = gpu_seconds + new.gpu_seconds,
            waited = waited + new.waited, log_bytes = log_bytes + coalesce(new.log_bytes, 0) WHERE state = new.state;
    END;
    CREATE TRIGGER totals_from AFTER UPDATE ON jobs WHEN old.ended IS NOT NULL BEGIN
        UPDATE totals SET jobs = jobs - 1, gpu_seconds = gpu_seconds - old.gpu_seconds,
            waited = waited - old.waited, log_bytes = log_bytes - coalesce(old.log_bytes, 0) WHERE state = old.state;
    END;
    CREATE TRIGGER totals_to AFTER UPDATE ON jobs WHEN new.ended IS NOT NULL BEGIN
        UPDATE totals SET jobs = jobs + 1, gpu_seconds = gpu_seconds + new.gpu_seconds,
            waited = waited + new.waited, log_bytes = log_bytes + coalesce(new.log_bytes, 0) WHERE state = new.state;
    END;
    CREATE TRIGGER totals_gone AFTER DELETE ON jobs WHEN old.ended IS NOT NULL BEGIN
        UPDATE totals SET jobs = jobs - 1, gpu_seconds = gpu_seconds - old.gpu_seconds,
            waited = waited - old.waited, log_bytes = log_bytes - coalesce(old.log_bytes, 0) WHERE state = old.state;
        UPDATE totals SET jobs = jobs + 1, gpu_seconds = gpu_seconds + old.gpu_seconds,
            waited = waited + old.waited WHERE state = 'removed';
    END;

    -- Files that are still to be removed: logs up to this attempt, or (NULL) the job's whole folder.
    CREATE TABLE rubbish (job INTEGER PRIMARY KEY, attempt INTEGER);

    ALTER TABLE keys ADD COLUMN at REAL NOT NULL DEFAULT 0;  -- by the clock of ages.py
    UPDATE keys SET at = unixepoch();
    CREATE INDEX keys_at ON keys (at);
    DELETE FROM attempts WHERE (job, attempt) NOT IN (SELECT id, attempt FROM jobs WHERE {ALIVE});
    """
RUNS = """
    ALTER TABLE jobs ADD COLUMN peak_memory INTEGER;  -- bytes on one of its GPUs; NULL where nobody knows
    ALTER TABLE jobs ADD COLUMN run_key INTEGER;      -- see past.py; NULL for all but completed jobs
    CREATE INDEX jobs_run ON jobs (run_key, ended) WHERE run_key IS NOT NULL;
    """
ENVIRONMENTS = """
    CREATE TABLE environments (digest BLOB PRIMARY KEY, body BLOB NOT NULL);  -- see environments.py
    ALTER TABLE jobs ADD COLUMN env BLOB;  -- a digest; NULL where the job has none, or an older release wrote it
    CREATE INDEX jobs_env ON jobs (env) WHERE env IS NOT NULL;
    ALTER TABLE jobs ADD COLUMN snapshot TEXT;  -- the name of the one that it runs in
    CREATE INDEX jobs_snapshot ON jobs (snapshot) WHERE snapshot IS NOT NULL;
    """
MIGRATIONS = (FIRST, HISTORY, RUNS, ENVIRONMENTS)


class NotOursError(Exception):
    """The file is of a newer release, or of another program; its words are for people. Nothing was touched."""


def refuse_others(path: Path) -> None:
    """Raises NotOursError, sqlite3.Error; reads only."""
    if not path.exists() or not path.stat().st_size:
        return
    with closing(glance(path)) as db:
        version = version_of(db)
        if version < 0 or (version == 0 and db.execute("SELECT 1 FROM sqlite_schema").fetchone()):
            msg = "it is a database of another program; move it away, or use another home"
            raise NotOursError(msg)
        if version <= len(MIGRATIONS):
            return
        row = db.execute("SELECT value FROM settings WHERE name = 'written_by'").fetchone()
    writer = f"version {row[0]}, " if row else ""
    msg = (
        f"it was written by a newer trainq ({writer}schema {version}); this is trainq {__version__}, which knows"
        f" schemas up to {len(MIGRATIONS)}: install that version or a later one, or use another home"
    )
    raise NotOursError(msg)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the open file to the newest schema. Raises sqlite3.Error, OSError, the old schema as it was."""
    version = version_of(db)
    if 0 < version < len(MIGRATIONS):
        keep_copy(db, path, version)
        logger.info("%s: from schema %d to %d; a million jobs take up to a minute", path, version, len(MIGRATIONS))
    began = time.monotonic()
    db.execute("PRAGMA cache_size = -65536")  # 64 MiB for the time of the migration; less costs twice the time
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number}; COMMIT;")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    if 0 < version < len(MIGRATIONS):
        db.execute("PRAGMA shrink_memory")
        logger.info("%s has schema %d after %.1f s", path, len(MIGRATIONS), time.monotonic() - began)
    db.execute("PRAGMA cache_size = -2000")  # SQLite's own default
    sign(db)


def sign(db: sqlite3.Connection) -> None:
    """For a release that is too old for this file: which one it takes."""
    if db.execute("SELECT value FROM settings WHERE name = 'written_by'").fetchone() != (__version__,):
        db.execute("INSERT OR REPLACE INTO settings VALUES ('written_by', ?)", (__version__,))


def keep_copy(db: sqlite3.Connection, path: Path, version: int) -> None:
    """As the older release left it, for the way back; not where that would fill the disk."""
    kept = path.with_name(f"{path.name}.schema-{version}")
    if shutil.disk_usage(path.parent).free < 4 * path.stat().st_size:
        logger.warning("no room for a copy of %s; going on without one", path)
        return
    unfinished = kept.with_name(kept.name + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with closing(sqlite3.connect(unfinished)) as copy:
        db.backup(copy)
    descriptor = os.open(unfinished, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    unfinished.rename(kept)
    logger.info("kept %s for the way back to the older release; remove it when you do not want it any more", kept)


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
