"""The interface's description, OpenAPI 3.1, made from the wire's structs, which say what a request may hold."""

from __future__ import annotations

from typing import Any

import msgspec

from trainqueue import __version__
from trainqueue.core.spec import JobSpec
from trainqueue.web import BASE, shapes
from trainqueue.web.table import EACH, READS, WHOLE, Change, Read

REF = "#/components/schemas/{name}"
SPEC = {"command": ["python", "train.py", "--lr", "0.1"], "cwd": "/home/ann/project", "gpus": 1, "name": "lr 0.1"}
JOB = {"name": "job", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
OURS = frozenset({"op", "id"})
"""Fields of the wire's requests that no body has."""


def described() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {f"{BASE}/execute": {"post": execute()}}
    paths |= {BASE + path: {"get": read(path, about)} for path, about in READS.items()}
    for verb, about in EACH.items():
        paths[f"{BASE}/{verb}/{{job}}"] = {"post": change(verb, about, single=True)}
        several = about._replace(summary=f"{about.summary}: several at once")
        if about.answer == "OneJob":
            several = several._replace(answer="Answers")
        paths[f"{BASE}/{verb}"] = {"post": change(verb, several)}
    paths |= {f"{BASE}/{verb}": {"post": change(verb, about)} for verb, about in WHOLE.items()}
    paths["/metrics"] = {"get": {"summary": "For Prometheus", "responses": good("text/plain")}}
    words = "The job queue for the GPU under your desk. Errors are {error: {code, message}}, the wire's codes."
    return {
        "openapi": "3.1.0",
        "info": {"title": "trainq", "version": __version__, "description": words, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def schemas() -> dict[str, Any]:
    routes: list[Read | Change] = [*READS.values(), *EACH.values(), *WHOLE.values()]
    named = dict.fromkeys(route.answer for route in routes if "/" not in route.answer)
    requests = [route.request for route in routes if isinstance(route, Change)]
    kinds = [JobSpec, shapes.Executed, shapes.Refusal, *(getattr(shapes, name) for name in named)]
    _, found = msgspec.json.schema_components([*kinds, *requests], ref_template=REF)
    names = {request.__name__ for request in requests}
    return {name: schema for name, schema in sorted(found.items()) if name not in names}


def body(request: type, without: frozenset[str]) -> dict[str, Any]:
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


def good(answer: str, code: str = "200") -> dict[str, Any]:
    """`answer`: a shape's name, or a type of content."""
    if "/" in answer:
        schema = {"type": "object" if answer == "application/json" else "string"}
        content: dict[str, Any] = {answer: {"schema": schema}}
    else:
        content = {"application/json": {"schema": {"$ref": REF.format(name=answer)}}}
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
        "responses": good("Executed", "202"),
    }


def read(path: str, about: Read) -> dict[str, Any]:
    given = [{"name": one.name, "in": "query", "schema": one.schema, "description": one.about} for one in about.query]
    name = path.strip("/").partition("/")[0]
    parameters = [*([JOB] if "{job}" in path else []), *given]
    responses = good(about.answer)
    return {"summary": about.summary, "operationId": name, "parameters": parameters, "responses": responses}


def change(verb: str, about: Change, *, single: bool = False) -> dict[str, Any]:
    schema = body(about.request, OURS | {"job", "jobs"} if single else OURS)
    name = verb.replace("/", "_") + ("_one" if single else "")
    made = {"summary": about.summary, "operationId": name, "responses": good(about.answer)}
    if schema["properties"]:
        made["requestBody"] = sent(schema, needed=bool(schema["required"]))
    return made | ({"parameters": [JOB]} if single else {})
