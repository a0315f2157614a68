"""What stands behind the `?` of an address: the kinds of parameters, by which they are read, refused and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trainqueue.errors import RequestError
from trainqueue.jobinfo import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import QueryParams

TOKEN = "token"  # noqa: S105  (its name)
"""Of every address, see guard.py."""
NONCE = "_"
"""jQuery and others add it with a number, so that no answer is taken from a cache; it says nothing."""
MOST = 2**53
"""Above it a number is not the same one in every language."""
Given = dict[str, Any]
"""By name what was asked for; what was not, or is empty, is missing."""


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """One of a route. Its value is a text in the description, unless a kind says else."""

    name: str
    about: str
    empty: ClassVar[bool] = False
    """Whether it says something without a value."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string"}

    @abstractmethod
    def read(self, texts: list[str]) -> object:
        """Of the values that were given, at least one. Raises RequestError."""


@dataclass(frozen=True, slots=True)
class Number(Parameter):
    least: int = 0
    most: int = MOST

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, texts: list[str]) -> int:
        return whole_number(only(self.name, texts), self.name, self.least, self.most)


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    longest: int = 1000

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.longest}

    def read(self, texts: list[str]) -> str:
        text = only(self.name, texts)
        if len(text) > self.longest:
            raise RequestError("bad-request", f"{self.name}: at most {self.longest} characters, not {len(text)}")
        return text


@dataclass(frozen=True, slots=True)
class Flag(Parameter):
    """On where it stands there, with whatever value."""

    empty: ClassVar[bool] = True

    def read(self, texts: list[str]) -> bool:
        return bool(texts)


@dataclass(frozen=True, slots=True)
class EndStates(Parameter):
    def read(self, texts: list[str]) -> list[str]:
        states = [state for text in texts for state in text.split(",") if state]
        for state in states:
            if state not in ENDED:
                words = f"{self.name}: {state[:100]!r} is none of {', '.join(sorted(ENDED))}"
                raise RequestError("bad-request", words)
        return states


@dataclass(frozen=True, slots=True)
class Tags(Parameter):
    """KEY=VALUE, several of them."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "maxItems": 20}

    def read(self, texts: list[str]) -> dict[str, str]:
        pairs = [text.partition("=") for text in texts]
        for key, between, _ in pairs:
            if not between:
                raise RequestError("bad-request", f"{self.name}: KEY=VALUE is needed, not {key[:100]!r}")
        if len(pairs) > 20:
            raise RequestError("bad-request", f"{self.name}: at most 20 of them, not {len(pairs)}")
        return {key: value for key, _, value in pairs}


def taken(query: QueryParams, known: Sequence[Parameter], else_: str) -> Given:
    """Of these parameters those that the address has. Any other name is a slip that would change what is meant.

    `else_` says where to look where there is none. Raises RequestError.
    """
    names = {one.name for one in known}
    for name in query:
        if name not in names and name not in {TOKEN, NONCE}:
            there = f"the parameters of this address are {', '.join(one.name for one in known)}" if known else else_
            raise RequestError("bad-request", f"{name[:100]}: there is no such parameter; {there}")
    texts = {one.name: [text for text in query.getlist(one.name) if text or one.empty] for one in known}
    return {one.name: one.read(texts[one.name]) for one in known if texts[one.name]}


def only(name: str, texts: list[str]) -> str:
    """Raises RequestError."""
    if len(texts) > 1:
        raise RequestError("bad-request", f"{name}: is given {len(texts)} times, and can hold one value")
    return texts[0]


def whole_number(text: str, name: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """Raises RequestError."""
    is_number = len(text) <= 20 and text.isascii() and text.removeprefix("-").isdecimal()
    if not is_number or not least <= int(text) <= most:
        span = f" from {least}" if least > -MOST else ""
        span += f" to {most}" if most < MOST else " on" if span else ""
        raise RequestError("bad-request", f"{name}: a whole number{span} is needed, not {text[:100]!r}")
    return int(text)
