"""Work that is made bit by bit, as a generator whose value is the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


def at_once(steps: Generator[None, None, T]) -> T:
    """All of it, where nobody else waits for the thread."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value
