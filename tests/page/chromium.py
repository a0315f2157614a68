"""The browser of the page's tests and benchmarks."""

from __future__ import annotations

import shutil

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first that is there. The shell is the same engine without a desktop around it, and takes a third of the time."""


def program() -> str | None:
    """Its path; None where this machine has no Chromium."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)
