"""Jobs of one submit that share most of their fields: each is sent as a draft, what they share once, as `defaults`.

Ten thousand jobs of a sweep with the environment of their submitter would be 40 MB as whole specs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from trainqueue.core import spec as specs
from trainqueue.core.spec import JobSpec

if TYPE_CHECKING:

    class Draft(msgspec.Struct, frozen=True):
        """A JobSpec of which any field may be missing."""

else:
    _types = get_type_hints(JobSpec, vars(specs), include_extras=True)
    Draft = msgspec.defstruct(
        "Draft",
        [(name, _types[name] | UnsetType, UNSET) for name in JobSpec.__struct_fields__],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
FIELDS = JobSpec.__struct_fields__
NEEDED = ("command", "cwd")


def given(draft: Draft) -> dict[str, Any]:
    return {name: value for name in FIELDS if (value := getattr(draft, name)) is not UNSET}


def completed(jobs: tuple[Draft, ...], defaults: Draft | None) -> tuple[JobSpec, ...]:
    """Whole specs, which share the values of `defaults`. Raises msgspec.ValidationError."""
    shared, made = {} if defaults is None else given(defaults), list[JobSpec]()
    for at, job in enumerate(jobs):
        fields = {**shared, **given(job)}
        for name in NEEDED:
            if name not in fields:
                msg = f"Object missing required field `{name}` - at `$.jobs[{at}]`"
                raise msgspec.ValidationError(msg)
        made.append(JobSpec(**fields))
    return tuple(made)
