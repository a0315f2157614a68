"""Changes: each route is an op of the wire, and what it may hold is what the daemon lets it hold."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from trainqueue import user, wire
from trainqueue.errors import RequestError
from trainqueue.startable import LATER, doubt
from trainqueue.web.answers import answered, body_of, refused
from trainqueue.web.queries import whole_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from trainqueue.web.calls import Calls

LONGEST_KEY = 200
"""Characters of an `Idempotency-Key`, as the wire has it."""
FIELDS = {str(kind.__struct_config__.tag): frozenset(kind.__struct_fields__) for kind in wire.Request.__subclasses__()}
"""Of each op: no other name may come near the client's own arguments."""


async def asked(calls: Calls, op: str, body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Raises RequestError that names the field as it stands in the body."""
    for name in body:
        if name in fields or name not in FIELDS[op] - {"id"}:
            raise RequestError("bad-request", f"$.{name[:100]}: does not belong in the body of this request")
    try:
        return await calls(op, **body, **fields)
    except RequestError as error:
        told = error.message.replace("$.jobs[0]", "$", 1) if "jobs" in fields else error.message
        raise RequestError(error.code, told) from None


def key_of(request: Request) -> str | None:
    """Raises RequestError."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        told = f"Idempotency-Key: 1 to {LONGEST_KEY} characters are needed, not {len(key)}; nothing was changed"
        raise RequestError("bad-request", told)
    return key


def warnings(spec: dict[str, Any]) -> list[str]:
    """Of a job that was taken: what keeps it from starting as things are now. It runs where we do, and as we do."""
    env = user.plain_environment() if spec.get("env") is None else spec["env"]
    path = (spec.get("env_extra") or {}).get("PATH", env.get("PATH", os.defpath))
    found = doubt(spec["command"][0], spec["cwd"], path)
    return [] if found is None else [f"{found[0]}; {LATER}"]


class Verbs:
    """The endpoints, which share the daemon's client."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def execute(self, request: Request) -> Response:
        """A JobSpec; the same `Idempotency-Key` again gives the first answer and adds nothing."""
        spec = await body_of(request)
        key = key_of(request)
        [made] = (await asked(self.calls, "submit", {}, jobs=[spec], **({} if key is None else {"key": key})))["jobs"]
        started = made["state"] in {"pending", "running"}  # it was the next one, and did not have to wait
        position = 1 if started and made["position"] is None else made["position"]
        told = {"job_id": made["id"], "status": "queued", "queue_position": position, "state": made["state"]}
        return answered({**told, "warnings": await asyncio.to_thread(warnings, spec)}, 202)

    def of_one(self, op: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            job, body = whole_number(request.path_params["job"], "job", 1), await body_of(request)
            if op in {"move", "edit"}:
                return answered(await asked(self.calls, op, body, job=job))
            found = await asked(self.calls, op, body, jobs=[job])
            error = found["jobs"][0].get("error")
            return answered(found) if error is None else refused(error["code"], error["message"])

        return endpoint

    def of_several(self, op: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return answered(await asked(self.calls, op, await body_of(request)))

        return endpoint
