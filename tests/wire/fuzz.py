"""Hostile requests, made from wire.py's own structs: a new op or field is fuzzed without anybody thinking of it.

A request is drawn valid (`requests`), then spoilt (`spoil`) in what it says or in its bytes. Commands are harmless
whatever happens to them: programs that do not exist, or `true`.
"""

from __future__ import annotations

import random
import struct
import typing
from typing import Any, NewType, cast

import msgspec
from hypothesis import strategies as st
from msgspec import inspect
from support import packed

from trainqueue import wire
from trainqueue.core.spec import JobSpec

Map = NewType("Map", "tuple[tuple[object, object], ...]")
"""A MessagePack map that may hold a key twice."""

HARMLESS: dict[str, st.SearchStrategy[Any]] = {
    "command": st.lists(st.sampled_from(["", "x", "\0", "ü" * 30]), max_size=3).map(lambda words: ["true", *words]),
    "cwd": st.sampled_from(["/", "/nowhere", "relative", "/\0"]),
}
WILD: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)),
    *(0.0, -0.5, 1e308, float("nan"), float("inf"), float("-inf"), 1.0),
    *("", "nobody-there", "\0", "$.jobs[0]`", "\U0001f4a5" * 100, "n" * 5000, "ping", "shutdown", "front"),
    *(b"", b"\xff" * 10, [], {}, [[]], {"": {}}, [None] * 50, {1: 2}, {None: 1}, {b"\xff": 1}),
    [{"command": ["true"], "cwd": "/"}],
)
TAILS = (b"\x00", b"\xc1", b"\xff", b"\x80", b"\xd9\xff", b"\xdf\xff\xff\xff\xff", b"\xc7\x08\x01", b"\x91" * 3000)
"""Bytes that mean trouble: never used, half a length, a huge map, an extension, a deep one."""


def number(kind: inspect.IntType | inspect.FloatType) -> st.SearchStrategy[Any]:
    low, high = kind.ge, kind.le
    if isinstance(kind, inspect.FloatType):
        return st.floats(low, high, allow_nan=False)
    small = st.integers(max(cast("int", low), -3), 3) if low is not None else st.integers(-3, 3)
    return small | st.integers(cast("int | None", low), cast("int | None", high))


def text(kind: inspect.StrType) -> st.SearchStrategy[str]:
    """As short as it may be, and a letter more; at times as long as it may be."""
    least, most = kind.min_length or 0, min(kind.max_length or 300, 4000)
    return st.sampled_from(["k" * least, "e" * (least + 1), "ü" * most])


def of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a type as msgspec describes it."""
    match kind:
        case inspect.StructType():
            return record(kind)
        case inspect.UnionType(types=types):
            return st.one_of([of(each) for each in types])
        case inspect.IntType() | inspect.FloatType():
            return number(kind)
        case inspect.StrType():
            return text(kind)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(of(item), min_size=least or 0, max_size=(least or 0) + 2)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(of(key), of(value), max_size=2).map(lambda pairs: Map(tuple(pairs.items())))
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return st.sampled_from(WILD)
        case _:
            msg = f"the fuzz does not know {kind}: teach it"
            raise NotImplementedError(msg)


def record(kind: inspect.StructType) -> st.SearchStrategy[Map]:
    """A map with all required fields and some of the others."""
    fields = {field.encode_name: HARMLESS.get(field.name, of(field.type)) for field in kind.fields}
    if kind.cls is wire.Edit:
        fields["set"] = record(cast("inspect.StructType", inspect.type_info(JobSpec)))
    needed = {field.encode_name for field in kind.fields if field.required}
    drawn = st.fixed_dictionaries(
        {name: fields[name] for name in sorted(needed)},
        optional={name: fields[name] for name in sorted(fields.keys() - needed)},
    )
    tag = () if kind.tag_field is None else ((kind.tag_field, kind.tag),)
    return drawn.map(lambda pairs: Map((*tag, *pairs.items())))


def requests() -> st.SearchStrategy[Map]:
    """A valid request of any op, as likely for each."""
    kinds = [inspect.type_info(op) for op in typing.get_args(wire.AnyRequest)]
    return st.one_of([record(cast("inspect.StructType", kind)) for kind in kinds])


def encoded(value: object) -> bytes:
    """MessagePack, of Maps with what they hold twice as well."""
    if isinstance(value, tuple):
        pairs = cast("Map", value)
        return struct.pack(">BI", 0xDF, len(pairs)) + b"".join(encoded(key) + encoded(item) for key, item in pairs)
    if isinstance(value, list):
        items = cast("list[object]", value)
        return struct.pack(">BI", 0xDD, len(items)) + b"".join(map(encoded, items))
    return packed(value)


def spoilt(value: object, dice: random.Random) -> object:
    """The same with one thing wrong, somewhere inside."""
    if isinstance(value, tuple) and value and dice.random() < 0.9:
        pairs = cast("list[tuple[object, object]]", [*value])
        at = dice.randrange(len(pairs))
        key, item = pairs[at]
        match dice.randrange(8):
            case 0:
                del pairs[at]
            case 1:
                pairs.append((key, dice.choice(WILD)))  # twice
            case 2:
                pairs.append((dice.choice(WILD), item))
            case 3:
                pairs[at] = (dice.choice(WILD), item)
            case _:
                pairs[at] = (key, spoilt(item, dice))
        return Map(tuple(pairs))
    if isinstance(value, list) and value and dice.random() < 0.8:
        items = cast("list[object]", [*value])
        at = dice.randrange(len(items))
        items[at] = spoilt(items[at], dice)
        return items * dice.choice((1, 1, 1, 2))
    return dice.choice(WILD)


def garbled(frame: bytes, dice: random.Random) -> bytes:
    """The same with some bytes wrong."""
    at = dice.randrange(len(frame) + 1)
    match dice.randrange(5):
        case 0:
            return frame[:at]
        case 1:
            return frame[:at] + dice.choice(TAILS) + frame[at:]
        case 2:
            return frame[:at] + dice.randbytes(dice.randrange(1, 9)) + frame[at + 1 :]
        case 3:
            return frame + dice.choice(TAILS)
        case _:
            return dice.randbytes(dice.randrange(200))


def messages(request: Map, seed: int, count: int) -> list[list[bytes]]:
    """The request itself and what becomes of it in hostile hands: the frames of so many messages."""
    dice = random.Random(seed)
    frame = encoded(request)
    made = [[frame]]
    while len(made) < count:
        chance = dice.random()
        if chance < 0.6:
            made.append([encoded(spoilt(request, dice))])
        elif chance < 0.95:
            made.append([garbled(frame, dice)])
        else:
            made.append([frame] * dice.randrange(2, 6) if chance < 0.98 else [b""])
    return made


def meant(frames: list[bytes]) -> wire.AnyRequest | None:
    """What our own codec makes of it: a request, or None."""
    try:
        return wire.decode(frames)
    except wire.BadRequestError:
        return None


def named(frames: list[bytes]) -> dict[str, Any] | None:
    """The map that a message is, with string keys; None where it is none."""
    if len(frames) != 1:
        return None
    try:
        return msgspec.msgpack.decode(frames[0], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
