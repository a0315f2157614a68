"""What a check of `doctor` has found."""

from __future__ import annotations

from typing import Literal, NamedTuple

Result = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    check: str
    result: Result
    what: str
    advice: str = ""
