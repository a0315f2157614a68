"""An environment as people may see it: which variables there are, and the values of those that hold no secret."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK = "••••"
LOGIN = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")
"""Of a URL: somebody and their password."""
TOKEN = re.compile(r"\b(?:hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AKIA|eyJ)[\w.-]{12,}")
"""How the keys of some services begin, whatever the variable is called."""


def masked(env: Mapping[str, str], secret: Iterable[str]) -> dict[str, str]:
    """In the order of their names; `secret` are patterns of names, in whatever case."""
    patterns = [pattern.upper() for pattern in secret]
    return {name: shown(name, env[name], patterns) for name in sorted(env)}


def shown(name: str, value: str, patterns: Iterable[str]) -> str:
    if value and any(fnmatchcase(name.upper(), pattern) for pattern in patterns):
        return MASK
    return TOKEN.sub(MASK, LOGIN.sub(rf"\1:{MASK}@", value))
