"""Which foreign processes are in nobody's way: the desktop, small ones, those of certain users."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainqueue.gpus.driver import Listed
    from trainqueue.settings import GpuSettings


def is_ignored(settings: GpuSettings, listed: Listed, user: str | None, names: Collection[str]) -> bool:
    """`names` are those under which its program may be known. Of unknown size is never small."""
    below = max(settings.ignore_below, settings.ignore_graphics_below if listed.graphics else 0)
    small = listed.memory is not None and listed.memory < below
    return small or user in settings.ignore_users or not set(settings.ignore_commands).isdisjoint(names)
