"""A job as a row of the journal's table `jobs`, and back. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.clock import run_time
from trainqueue.core.job import STATES, Completed, Ended, Job, Queued, data_of
from trainqueue.core.spec import JobSpec, title
from trainqueue.frozen.kept import name_of
from trainqueue.past import run_key

if TYPE_CHECKING:
    from trainqueue.core.job import State

_packed = msgspec.msgpack.Encoder().encode
spec_of = msgspec.msgpack.Decoder(JobSpec).decode
"""From what a row holds of it. Raises msgspec.DecodeError."""
_json = json.JSONEncoder(separators=(",", ":")).encode


def to_row(job: Job, env: bytes | None, now: float) -> tuple[Any, ...]:
    """`env`: the digest of its environment, which is kept apart; `now` by the clock of ages.py."""
    state = job.state
    marked = job.retried or job.met or job.removed or job.stood or job.samples or job.bound
    if isinstance(state, Queued) and state.until is None and not (state.unmet or marked):
        detail = '{"held":true}' if state.held else "{}"
    else:
        detail = _json({**data_of(state), **beside(job)})
    spec = _packed(job.spec if env is None else msgspec.structs.replace(job.spec, env=None))
    place = (job.band, job.rank, job.attempt)
    return (
        job.id,
        state.name,
        title(job.spec),
        job.spec.group,
        job.user,
        job.submitted_at,
        *place,
        spec,
        detail,
        _json(job.spec.tags) if job.spec.tags else "{}",
        None if job.progress is None else _json(job.progress),
        job.peak_memory,
        env,
        run_key(job.spec) if isinstance(state, Completed) else None,
        *(figures(job, state, now) if isinstance(state, Ended) else ALIVE_FIGURES),
        name_of(job.spec.snapshot),
    )


def beside(job: Job) -> dict[str, Any]:
    """What is kept of the job in one map with its state's data."""
    kept: dict[str, Any] = {"retried": job.retried, "met": [*job.met]}
    kept |= {name: value for name, value in (("stood", job.stood), ("samples", job.samples)) if value}
    if job.bound:
        kept["bound"], kept["groups"] = job.bound, [*job.waits_for_groups]
    return kept if job.removed is None else {**kept, "removed": job.removed}


ALIVE_FIGURES = (None, None, None, None)


def figures(job: Job, state: Ended, now: float) -> tuple[float, float, float, None]:
    """When it ended, its GPU seconds, how long it waited; its logs are measured later."""
    ran = run_time(state, state.ended_at) or 0.0
    waited = 0.0 if state.started_at is None else max(0.0, state.started_at - job.submitted_at)
    return now, len(state.gpu_ids) * ran, waited, None


def from_row(row: tuple[Any, ...]) -> Job:
    """`row`: search.COLUMNS, or (in a recovery) those of them that every schema has; without its `env`."""
    job_id, state, _, _, user, submitted_at, band, rank, attempt, spec, detail, _, progress, *rest = row
    fields = dict(json.loads(detail))
    retried, met = fields.pop("retried", {}), frozenset[int](fields.pop("met", ()))
    removed, stood = fields.pop("removed", None), fields.pop("stood", {})
    samples, bound, groups = fields.pop("samples", 0), fields.pop("bound", 0), fields.pop("groups", ())
    if "gpu_ids" in fields:
        fields["gpu_ids"] = tuple(fields["gpu_ids"])
    made: State = STATES[state](**fields)
    job = Job(job_id, spec_of(spec), user, submitted_at, band, rank, attempt, made, retried=retried, met=met)
    job.progress = json.loads(progress) if progress else None
    job.peak_memory = rest[0] if rest else None
    job.samples, job.bound, job.waits_for_groups = samples, bound, {*groups}
    job.stood = {str(reason): float(seconds) for reason, seconds in stood.items()}
    job.removed = None if removed is None else (removed[0], removed[1])
    return job
