"""Many things a few at a time, so that whoever handles them is free for others in between. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


def chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """In their order, `size` at a time; the last ones may be fewer."""
    for at in range(0, len(things), size):
        yield things[at : at + size]
