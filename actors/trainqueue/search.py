"""The `jobs` op as one query whose cost is that of its page, however many jobs the journal holds.

Every index and the table of tags ends in (state, id), so each state's newest are read from the end of an index and
merged. The first of tag, name and group that is given leads; further ones are looked up job by job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.core.job import STATES

if TYPE_CHECKING:
    from trainqueue.wire import Jobs

FIRST_COLUMNS = "id, state, name, grp, user, submitted_at, band, rank, attempt, spec, detail, tags, progress"
"""Those that every schema has."""
COLUMNS = f"{FIRST_COLUMNS}, peak_memory, env"
"""What a Job is made of."""
Condition = tuple[str, list[Any]]
"""SQL of ours with its values."""
TAGGED = "id IN (SELECT job FROM tags WHERE key = ? AND value = ? AND state = jobs.state AND job = jobs.id)"

ENDED_BEFORE = """SELECT ended, id, state, spec, detail FROM jobs WHERE ended IS NOT NULL AND (ended, id) < (?, ?)
    ORDER BY ended DESC, id DESC LIMIT ?"""


def query(wanted: Jobs, limit: int) -> Condition:
    """The newest `limit` of the wanted jobs, newest first."""
    if wanted.jobs is not None:
        ids = msgspec.json.encode(wanted.jobs).decode()
        conditions = [("id IN (SELECT value FROM json_each(?))", [ids]), *states(wanted), *rest(wanted)]
        return page(conditions, limit, "jobs NOT INDEXED")  # by id, however few or many share the name
    if wanted.states is None and wanted.name is None and wanted.group is None and not wanted.tag:
        return page(before(wanted), limit)
    names = [*STATES] if wanted.states is None else [*dict.fromkeys(wanted.states)]
    parts = [newest(wanted, state, limit) for state in names]
    if not parts:
        return page([("0", [])], limit)
    union = " UNION ALL ".join(f"SELECT * FROM ({sql})" for sql, _ in parts)
    return page([(f"id IN ({union})", [value for _, values in parts for value in values])], limit)


def page(conditions: list[Condition], limit: int, table: str = "jobs") -> Condition:
    clause = " AND ".join(sql for sql, _ in conditions) or "1"
    values = [value for _, some in conditions for value in some]
    return f"SELECT {COLUMNS} FROM {table} WHERE {clause} ORDER BY id DESC LIMIT ?", [*values, limit]


def newest(wanted: Jobs, state: str, limit: int) -> Condition:
    """The ids of one state's newest."""
    tags = [*(wanted.tag or {}).items()]
    if not tags:
        conditions: list[Condition] = [("state = ?", [state]), *rest(wanted)]
        source, column = "jobs", "id"
    else:
        conditions = [("key = ? AND tags.value = ? AND tags.state = ?", [*tags[0], state])]
        conditions += before(wanted, "job")
        others = rest(msgspec.structs.replace(wanted, tag=dict(tags[1:]), before=None))
        if others:
            inner = " AND ".join(sql for sql, _ in others)
            values = [value for _, some in others for value in some]
            conditions.append((f"EXISTS (SELECT 1 FROM jobs WHERE id = job AND {inner})", values))
        source, column = "tags", "job"
    clause = " AND ".join(sql for sql, _ in conditions)
    values = [value for _, some in conditions for value in some]
    return f"SELECT {column} FROM {source} WHERE {clause} ORDER BY {column} DESC LIMIT ?", [*values, limit]


def rest(wanted: Jobs) -> list[Condition]:
    """All but ids and states."""
    found = before(wanted)
    if wanted.name is not None:
        found.append(("name = ?", [wanted.name]))
    if wanted.group is not None:
        found.append(("grp = ?", [wanted.group]))
    found += [(TAGGED, [key, value]) for key, value in (wanted.tag or {}).items()]
    return found


def states(wanted: Jobs) -> list[Condition]:
    if wanted.states is None:
        return []
    return [(f"state IN ({','.join('?' * len(wanted.states))})", [*wanted.states])]


def before(wanted: Jobs, column: str = "id") -> list[Condition]:
    return [] if wanted.before is None else [(f"{column} < ?", [wanted.before])]
