"""What a submitter hands to its job: environment, umask and folder, as text that the wire can carry.

Whoever submits from within a job has that job's own marks in its environment; they must not reach the new one,
whose first attempt would believe that it resumes another.
"""

from __future__ import annotations

import os

MARKS = (
    *("TRAINQ_JOB_ID", "TRAINQ_ATTEMPT", "TRAINQ_RESUME", "TRAINQ_JOB_DIR", "TRAINQ_PROGRESS", "TRAINQ_GPU_IDS"),
    *("TRAINQ_ARRAY_INDEX", "TRAINQ_SNAPSHOT", "TRAINQ_SUBMIT_DIR"),
)
DEVICES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""Set by trainq for a job, and by people for themselves elsewhere."""


def inside_a_job() -> bool:
    return "TRAINQ_JOB_ID" in os.environ


def outer_environment() -> dict[str, str]:
    """This process's environment without what trainq has put into it."""
    ours = {*MARKS, *DEVICES} if inside_a_job() else {*MARKS}
    return {name: value for name, value in os.environ.items() if name not in ours}


def environment() -> tuple[dict[str, str], list[str]]:
    """The environment for a job, and the names of variables that are left out since they are not UTF-8."""
    found = outer_environment()
    odd = [name for name, value in found.items() if not is_text(name + value)]
    return {name: value for name, value in found.items() if name not in odd}, odd


def settings_file() -> tuple[str, bool]:
    """Where the settings are, and whether somebody has named that place, so that the file must be there."""
    chosen = os.environ.get("TRAINQ_CONFIG")
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return os.path.expanduser(chosen or f"{base}/trainq/trainq.toml"), bool(chosen)  # noqa: PTH111


def has_settings() -> bool:
    path, named = settings_file()
    return named or os.path.exists(path)  # noqa: PTH110


def is_text(text: str) -> bool:
    """Whether the wire (UTF-8) can carry it; Python shows other bytes as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def folder(path: str) -> str:
    """An absolute folder, links not followed: the job sees the name that its submitter sees. Raises OSError."""
    return os.path.abspath(path)  # noqa: PTH100
