"""Numbers of bytes, as people read them."""

from __future__ import annotations


def size(count: float | None) -> str:
    """Bytes for people: 512 MiB, 6.1 GiB, 24 GiB."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.0f} GiB" if count >= 99.95 or count == int(count) else f"{count:.1f} GiB"
