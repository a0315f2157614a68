"""Who we are; in a container a uid may have no entry in the user database."""

from __future__ import annotations

import os
import pwd


def name() -> str:
    """Of the user whose daemon this is, or the bare uid."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def plain_environment() -> dict[str, str]:
    """What a job gets when its submitter sent no environment (contract, section 3)."""
    try:
        entry = pwd.getpwuid(os.getuid())
        home, shell = entry.pw_dir, entry.pw_shell
    except KeyError:
        home, shell = os.environ.get("HOME", "/"), "/bin/sh"
    plain = {"HOME": home, "USER": name(), "SHELL": shell, "PATH": os.defpath, "LANG": "C.UTF-8"}
    return plain | {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
