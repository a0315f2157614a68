"""Errors that the NVIDIA driver reports by number (Xid): which of them say that the GPU itself is not to be trusted."""

from __future__ import annotations

CRITICAL: dict[int, str] = {
    48: "had an uncorrectable memory error",
    62: "had a halt of its micro-controller",
    64: "had a row of its memory that could not be replaced",
    74: "had an NVLink error",
    79: "fallen off the bus",
    94: "had a contained memory error",
    95: "had an uncontained memory error",
    119: "had no answer from its system processor",
    120: "had an error in its system processor",
    140: "had an uncorrected memory error",
    143: "had an error while it was set up",
}
"""What has become of a GPU that needs a reset or a person; the words fit behind "it has"."""
FAULTS: dict[int, str] = {
    13: "graphics engine exception",
    31: "GPU memory page fault",
    43: "the GPU stopped its work",
    45: "its work was cleared away after an error",
    68: "video decoder exception",
}
"""What a program brings upon itself: its GPU is as good as before."""


def said(xid: int) -> str:
    """Xid 31 (GPU memory page fault)."""
    words = FAULTS.get(xid) or CRITICAL.get(xid, "").removeprefix("had ")
    return f"Xid {xid}" + (f" ({words})" if words else "")
