"""How figures are said in sentences."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes: 512 MiB, 6.1 GiB, 48 GiB."""
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    return f"{count / 2**30:.1f} GiB".replace(".0 GiB", " GiB")


def number(count: int, noun: str) -> str:
    """1 GPU, 2 GPUs."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
