"""The interface's description, OpenAPI 3.1, made from the wire's structs, which say what a request may hold."""

from __future__ import annotations

from typing import Any

import msgspec

from trainqueue import __version__, wire
from trainqueue.core.spec import JobSpec
from trainqueue.web import BASE, shapes

REF = "#/components/schemas/{name}"
SPEC = {"command": ["python", "train.py", "--lr", "0.1"], "cwd": "/home/ann/project", "gpus": 1, "name": "lr 0.1"}
JOB = {"name": "job", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
ATTEMPT = ("attempt", "integer", "which attempt's; the newest where it is not given")
Query = tuple[str, str, str]
READS: dict[str, tuple[str, type | str, tuple[Query, ...]]] = {
    "/queue": (
        "What runs and what waits, in start order",
        shapes.QueuePage,
        (("limit", "integer", "1 to 10,000 waiting jobs"), ("offset", "integer", "of the waiting ones")),
    ),
    "/status/{job}": ("One job, with its attempts", shapes.Status, ()),
    "/env/{job}": ("A job's environment, secrets masked", shapes.Environment, ()),
    "/series/{job}": ("Metrics over time", shapes.Series, (ATTEMPT,)),
    "/history": (
        "Ended jobs, newest first",
        shapes.History,
        (
            ("states", "string", "some of completed, failed, cancelled, lost, with commas between"),
            ("name", "string", "with * for any characters"),
            ("group", "string", "of this group"),
            ("tag", "string", "KEY=VALUE; may be given several times"),
            ("limit", "integer", "1 to 10,000"),
            ("before", "integer", "jobs with a lower id: the next page"),
        ),
    ),
    "/logs/{job}": (
        "A job's output; a header Range is obeyed",
        "text/plain",
        (
            ATTEMPT,
            ("offset", "integer", "in bytes; from the end where it is negative"),
            ("limit", "integer", "bytes"),
            ("download", "string", "to be saved as a file"),
        ),
    ),
    "/events": (
        "Server-sent events: `snapshot`, then `delta`, and `ping` when nothing happens",
        "text/event-stream",
        (("log", "integer", "the output of this job as well"), ATTEMPT),
    ),
    "/gpus": ("The GPUs, who is on them, and whether a job may start there", shapes.Gpus, ()),
    "/stats": ("Counts, and GPU seconds used, waited and lost", "application/json", ()),
    "/lanes": ("Named queues", shapes.Lanes, ()),
}
VERBS: dict[str, tuple[str, type[wire.Request], type]] = {
    "cancel": ("Cancel waiting or running jobs", wire.Cancel, shapes.Answers),
    "hold": ("Keep waiting jobs from starting", wire.Hold, shapes.Answers),
    "release": ("Let held jobs start", wire.Release, shapes.Answers),
    "retry": ("Queue ended jobs again, as a new attempt", wire.Retry, shapes.Answers),
    "copy": ("New jobs with the specs of others", wire.Copy, shapes.MadeJobs),
    "signal": ("Send a signal to running jobs", wire.Signal, shapes.Answers),
    "suspend": ("Stop running jobs where they are", wire.Suspend, shapes.Answers),
    "continue": ("Let suspended jobs run on", wire.Continue, shapes.Answers),
    "preempt": ("Put running jobs back into the line, after a warning", wire.Preempt, shapes.Answers),
    "move": ("Give waiting jobs another place", wire.Move, shapes.OneJob),
    "edit": ("Change fields of waiting jobs", wire.Edit, shapes.OneJob),
}
MODES: dict[str, tuple[str, type[wire.Request], type]] = {
    "pause": ("Start nothing until resumed", wire.Pause, shapes.Mode),
    "resume": ("End pause and drain", wire.Resume, shapes.Mode),
    "drain": ("Start nothing, and exit when the last running job ends", wire.Drain, shapes.Mode),
    "gpus/enable": ("Start jobs on these GPUs again", wire.Enable, shapes.Gpus),
    "gpus/disable": ("Start nothing more on these GPUs", wire.Disable, shapes.Gpus),
}
OURS = frozenset({"op", "id"})
"""Fields of the wire's requests that no body has."""


def described() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {f"{BASE}/execute": {"post": execute()}}
    for path, (summary, kind, query) in READS.items():
        paths[BASE + path] = {"get": read(path, summary, kind, query)}
    for verb, (summary, request, kind) in VERBS.items():
        paths[f"{BASE}/{verb}/{{job}}"] = {"post": change(verb, summary, request, kind, single=True)}
        several = shapes.Answers if verb in {"move", "edit"} else kind
        paths[f"{BASE}/{verb}"] = {"post": change(verb, f"{summary}: several at once", request, several)}
    for verb, (summary, request, kind) in MODES.items():
        paths[f"{BASE}/{verb}"] = {"post": change(verb, summary, request, kind)}
    paths["/metrics"] = {"get": {"summary": "For Prometheus", "responses": good("text/plain")}}
    about = "The job queue for the GPU under your desk. Errors are {error: {code, message}}, the wire's codes."
    return {
        "openapi": "3.1.0",
        "info": {"title": "trainq", "version": __version__, "description": about, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def kinds() -> list[type]:
    answers = [kind for _, kind, _ in READS.values() if not isinstance(kind, str)]
    answers += [kind for _, _, kind in (*VERBS.values(), *MODES.values())]
    return [*dict.fromkeys([JobSpec, shapes.Executed, shapes.Refusal, *answers])]


def schemas() -> dict[str, Any]:
    requests = [request for _, request, _ in (*VERBS.values(), *MODES.values())]
    _, found = msgspec.json.schema_components([*kinds(), *requests], ref_template=REF)
    names = {request.__name__ for request in requests}
    return {name: schema for name, schema in sorted(found.items()) if name not in names}


def body(request: type[wire.Request], without: frozenset[str]) -> dict[str, Any]:
    """What the wire's struct holds, but for these."""
    _, found = msgspec.json.schema_components([request], ref_template=REF)
    schema = dict(found[request.__name__])
    schema["properties"] = {name: kind for name, kind in schema["properties"].items() if name not in without}
    schema["required"] = [name for name in schema.get("required", ()) if name not in without]
    schema.pop("title", None)
    return schema


def sent(schema: dict[str, Any], example: object = None, *, needed: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema} | ({} if example is None else {"example": example})
    return {"required": needed, "content": {"application/json": content}}


def good(kind: type | str, code: str = "200") -> dict[str, Any]:
    if isinstance(kind, str):
        content: dict[str, Any] = {kind: {"schema": {"type": "object" if kind == "application/json" else "string"}}}
    else:
        content = {"application/json": {"schema": {"$ref": REF.format(name=kind.__name__)}}}
    bad = {"application/json": {"schema": {"$ref": REF.format(name="Refusal")}}}
    return {
        code: {"description": "done", "content": content},
        "default": {"description": "refused, and nothing was changed", "content": bad},
    }


def execute() -> dict[str, Any]:
    schema = {"$ref": REF.format(name="JobSpec")}
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
    about = "The same key again gives the first answer and adds nothing."
    return {
        "summary": "Queue a job",
        "operationId": "execute",
        "parameters": [{**key, "description": about}],
        "requestBody": sent(schema, SPEC, needed=True),
        "responses": good(shapes.Executed, "202"),
    }


def read(path: str, summary: str, kind: type | str, query: tuple[Query, ...]) -> dict[str, Any]:
    given = [{"name": name, "in": "query", "schema": {"type": of}, "description": about} for name, of, about in query]
    name = path.strip("/").partition("/")[0]
    parameters = [*([JOB] if "{job}" in path else []), *given]
    return {"summary": summary, "operationId": name, "parameters": parameters, "responses": good(kind)}


def change(verb: str, summary: str, request: type[wire.Request], kind: type, *, single: bool = False) -> dict[str, Any]:
    schema = body(request, OURS | {"job", "jobs"} if single else OURS)
    name = verb.replace("/", "_") + ("_one" if single else "")
    made = {"summary": summary, "operationId": name, "responses": good(kind)}
    if schema["properties"]:
        made["requestBody"] = sent(schema, needed=bool(schema["required"]))
    return made | ({"parameters": [JOB]} if single else {})
