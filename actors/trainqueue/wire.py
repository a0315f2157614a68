"""Wire protocol 1: bytes to typed requests, answers to bytes. No socket in here.

A request is one MessagePack map. It is decoded straight into one of the structs below, so an unknown
field, a wrong type or a number out of range is refused by name before anything looks at it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from trainqueue import drafts
from trainqueue.core.job import StateName  # noqa: TC001  (msgspec looks it up at run time)
from trainqueue.core.spec import GpuName, JobId, JobSpec, LaneGpus, LaneName, Name
from trainqueue.errors import RequestError

MAX_ECHO = 200
"""Characters of a field's name or of a value that an error repeats."""
MAX_REQUEST = 16 * 2**20
"""Bytes in one request. Up to twice as many are read, to be refused with words; more ends the connection."""

Ids = Annotated[tuple[JobId, ...], Meta(min_length=1, max_length=100_000)]
Limit = Annotated[int, Meta(ge=1, le=10_000)]
Attempt = Annotated[int, Meta(ge=1, le=2**31)]
Key = Annotated[str, Meta(min_length=1, max_length=200)]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """Base of all requests; `id` is echoed in the reply."""

    id: Any = None


class Ping(Request, frozen=True, tag="ping"):
    pass


class Submit(Request, frozen=True, tag="submit"):
    jobs: Annotated[tuple[JobSpec, ...], Meta(min_length=1, max_length=100_000)]
    key: Key | None = None


class DraftedSubmit(Request, frozen=True, tag="submit"):
    """With fields that hold for all jobs that do not say them; `decode` makes a Submit of it."""

    jobs: Annotated[tuple[drafts.Draft, ...], Meta(min_length=1, max_length=100_000)]
    defaults: drafts.Draft | None = None
    key: Key | None = None


class Status(Request, frozen=True, tag="status"):
    job: JobId
    env: bool = False


class Queue(Request, frozen=True, tag="queue"):
    limit: Limit = 100
    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Line(Request, frozen=True, tag="line"):
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000_000


class Jobs(Request, frozen=True, tag="jobs"):
    jobs: Annotated[tuple[JobId, ...], Meta(max_length=100_000)] | None = None
    states: Annotated[tuple[StateName, ...], Meta(max_length=20)] | None = None
    name: Name | None = None
    tag: Annotated[dict[str, str], Meta(max_length=20)] | None = None
    group: Name | None = None
    limit: Limit = 100
    before: JobId | None = None


class Cancel(Request, frozen=True, tag="cancel"):
    jobs: Ids
    force: bool = False


class Hold(Request, frozen=True, tag="hold"):
    jobs: Ids


class Release(Request, frozen=True, tag="release"):
    jobs: Ids


class Retry(Request, frozen=True, tag="retry"):
    jobs: Ids
    set: dict[str, Any] = {}


class Copy(Request, frozen=True, tag="copy"):
    """New jobs with the specs of others, whatever state those are in."""

    jobs: Ids
    set: dict[str, Any] = {}
    key: Key | None = None


class Signal(Request, frozen=True, tag="signal"):
    jobs: Ids
    signal: Annotated[str, Meta(min_length=1, max_length=20)] | Annotated[int, Meta(ge=1, le=64)]


class Suspend(Request, frozen=True, tag="suspend"):
    jobs: Ids


class Continue(Request, frozen=True, tag="continue"):
    jobs: Ids


class Preempt(Request, frozen=True, tag="preempt"):
    jobs: Ids
    hold: bool = False


class Move(Request, frozen=True, tag="move"):
    """One `job`, or `jobs` in the order in which they will stand; `order` "line": in that in which they stand now."""

    job: JobId | UnsetType = UNSET
    jobs: Ids | UnsetType = UNSET
    to: Literal["front", "back"] | UnsetType = UNSET
    before: JobId | UnsetType = UNSET
    position: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType = UNSET
    order: Literal["given", "line"] = "given"


class Edit(Request, frozen=True, tag="edit"):
    """One `job`, or each of `jobs`."""

    set: dict[str, Any]
    job: JobId | UnsetType = UNSET
    jobs: Ids | UnsetType = UNSET


class Pause(Request, frozen=True, tag="pause"):
    pass


class Resume(Request, frozen=True, tag="resume"):
    pass


class Drain(Request, frozen=True, tag="drain"):
    pass


class Log(Request, frozen=True, tag="log"):
    job: JobId
    attempt: Attempt | None = None
    offset: Annotated[int, Meta(ge=-(2**53), le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=4 * 2**20)] = 256 * 2**10


class Series(Request, frozen=True, tag="series"):
    job: JobId
    attempt: Attempt | None = None


class Gpus(Request, frozen=True, tag="gpus"):
    pass


GpuList = Annotated[tuple[GpuName, ...], Meta(min_length=1, max_length=1024)]


class Enable(Request, frozen=True, tag="enable"):
    gpus: GpuList


class Disable(Request, frozen=True, tag="disable"):
    gpus: GpuList


class Lanes(Request, frozen=True, tag="lanes"):
    pass


class Lane(Request, frozen=True, tag="lane"):
    """Make the lane, or change what is given of it; `gpus` null: as many as there are."""

    name: LaneName
    gpus: LaneGpus | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    remove: bool = False


class Events(Request, frozen=True, tag="events"):
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    limit: Limit = 1000


class Stats(Request, frozen=True, tag="stats"):
    pass


class Shutdown(Request, frozen=True, tag="shutdown"):
    jobs: Literal["keep", "cancel"] = "keep"


AnyRequest = (
    Ping
    | Submit
    | Status
    | Queue
    | Line
    | Jobs
    | Cancel
    | Hold
    | Release
    | Retry
    | Copy
    | Signal
    | Suspend
    | Continue
    | Preempt
    | Move
    | Edit
    | Pause
    | Resume
    | Drain
    | Log
    | Series
    | Gpus
    | Enable
    | Disable
    | Lanes
    | Lane
    | Events
    | Stats
    | Shutdown
)
OPS = frozenset(request.__struct_config__.tag for request in get_args(AnyRequest))

_decoder: msgspec.msgpack.Decoder[AnyRequest] = msgspec.msgpack.Decoder(AnyRequest)
_drafted: msgspec.msgpack.Decoder[DraftedSubmit] = msgspec.msgpack.Decoder(DraftedSubmit)
_encoder = msgspec.msgpack.Encoder()
BAD_BYTES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Envelope(Struct):
    """What is asked first of a request that could not be decoded as a whole."""

    op: Any = None
    id: Any = None
    defaults: Any = UNSET


_envelope: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)


class BadRequestError(RequestError):
    """A request that could not be decoded; knows the id to echo."""

    request_id: Any = None


def decode(frames: list[bytes]) -> AnyRequest:
    """One request. Raises BadRequestError, whatever the frames hold, and nothing else."""
    if len(frames) != 1:
        raise BadRequestError("bad-request", f"a request is one frame, not {len(frames)}")
    if len(frames[0]) > MAX_REQUEST:
        raise BadRequestError("too-large", f"a request has at most {MAX_REQUEST} bytes")
    try:
        return _decoder.decode(frames[0])
    except BAD_BYTES as error:
        return _otherwise(frames[0], error)


def _otherwise(frame: bytes, error: Exception) -> AnyRequest:
    """A submit with `defaults`, whose jobs need not be whole. Raises BadRequestError for all others."""
    try:
        envelope = _envelope.decode(frame)
    except BAD_BYTES as worse:
        raise BadRequestError("bad-request", f"not a MessagePack map: {plain(worse)}") from None
    if envelope.op == "submit" and envelope.defaults is not UNSET:
        try:
            drafted = _drafted.decode(frame)
            return Submit(id=drafted.id, jobs=drafts.completed(drafted.jobs, drafted.defaults), key=drafted.key)
        except BAD_BYTES as better:
            error = better
    raise _explain(envelope, error) from None


def _explain(envelope: Envelope, error: Exception) -> BadRequestError:
    if isinstance(envelope.op, str) and envelope.op not in OPS:
        refusal = BadRequestError("unknown-op", f"$.op: there is no op {envelope.op[:100]!r}")
    elif envelope.op is None:
        refusal = BadRequestError("bad-request", "$.op: is missing")
    else:
        refusal = BadRequestError("bad-request", plain(error))
    refusal.request_id = envelope.id
    return refusal


def plain(error: Exception) -> str:
    """Msgspec's sentence with the field first: "$.jobs[0].gpus: Expected `int`, got `str`"."""
    if not isinstance(error, msgspec.MsgspecError):
        return "nested too deep" if isinstance(error, RecursionError) else "text that is not UTF-8"
    sentence, _, place = str(error).partition(" - at `")
    path = re.search(r"\$[^`]*", place)
    field = re.search(r"(?:unknown|missing required) field `([^`]*)`", sentence)
    where = f"{path[0] if path else '$'}{'.' + field[1] if field else ''}"
    return f"{where[:MAX_ECHO]}: {sentence[:MAX_ECHO]}"


def edited(spec: JobSpec, changes: dict[str, Any]) -> JobSpec:
    """The spec with some fields set anew, its environment shared with it. Raises RequestError naming the field."""
    fields = msgspec.to_builtins(msgspec.structs.replace(spec, env=None))
    fields.update(changes)
    if isinstance(on_top := changes.get("env_extra"), dict):  # a job of a sweep goes on being the one that it was
        whole = {**spec.env_extra, **on_top}
        fields["env_extra"] = {name: value for name, value in whole.items() if value is not None}
    try:
        made = msgspec.convert(fields, JobSpec)
    except BAD_BYTES as error:
        raise RequestError("bad-request", plain(error).replace("$", "$.set", 1)) from None
    if "env" not in changes:
        msgspec.structs.force_setattr(made, "env", spec.env)
    return made


def answer(request_id: object, result: object) -> bytes:
    return _encoder.encode({"ok": True, "id": request_id, "result": result})


def items(some: list[Any]) -> bytes:
    """A part of an array that is encoded bit by bit: at most 65,535 of them."""
    return _encoder.encode(some)[1 if len(some) < 16 else 3 :]  # without its own head


def array(length: int, parts: list[bytes]) -> msgspec.Raw:
    """Of so many items in all. MessagePack's longest form holds for short ones as well."""
    return msgspec.Raw(b"\xdd" + length.to_bytes(4, "big") + b"".join(parts))


def refusal(request_id: object, code: str, message: str) -> bytes:
    error = {"code": code, "message": message}
    return _encoder.encode({"ok": False, "id": request_id, "error": error})


def pack(value: object) -> bytes:
    """An event's body."""
    return _encoder.encode(value)
