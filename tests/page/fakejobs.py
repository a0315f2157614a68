"""Jobs and GPUs as the wire shows them, for the fake gateway."""

from __future__ import annotations

import time
from typing import Any

GIB = 2**30
JsonMap = dict[str, Any]


def job(number: int, state: str = "queued", **fields: Any) -> JsonMap:
    """A whole Job."""
    now = time.time()
    usual: JsonMap = {
        "id": number,
        "command": ["python", "train.py", "--lr", f"{number}e-5"],
        "cwd": "/home/ann/run",
        "name": f"resnet sweep {number}",
        "umask": None,
        "gpus": 1,
        "gpu_memory": None,
        "gpu_from": [],
        "gpu_name": None,
        "gpu_min_memory": None,
        "priority": "normal",
        "after": [],
        "after_any": [],
        "after_failed": [],
        "after_group": [],
        "keep": False,
        "not_before": None,
        "hold": False,
        "time_limit": None,
        "grace": None,
        "warn": None,
        "retries": {},
        "retry_delay": None,
        "retry_backoff": 1.0,
        "retry_place": "front",
        "resume_args": [],
        "stall_timeout": None,
        "stall_action": None,
        "memory_limit": None,
        "tags": {},
        "group": None,
        "max_running": None,
        "lane": None,
        "snapshot": None,
        "state": state,
        "cause": None,
        "message": None,
        "why": None,
        "why_code": None,
        "waits_for": [],
        "waits_for_groups": [],
        "position": None,
        "attempt": 1,
        "gpu_ids": [],
        "user": "ann",
        "pid": None,
        "stopping": False,
        "suspended": False,
        "preempting": False,
        "stalled_since": None,
        "quiet": None,
        "gpu_share": None,
        "peak_memory": None,
        "gpu_seconds": 0.0,
        "waited": {},
        "exit_code": None,
        "signal": None,
        "submitted_at": now - 3600 + number / 10,
        "started_at": None,
        "ended_at": None,
        "expected_start_at": None,
        "expected_start_range": None,
        "expected_end_at": None,
        "expected_end_range": None,
        "expected_gpu_ids": None,
        "run_time": None,
        "progress": None,
        "log": f"/home/ann/.local/state/trainq/jobs/{number}/output.log",
        "log_removed_at": None,
    }
    return usual | fields


def running(number: int, gpu: int, fraction: float = 0.3, **fields: Any) -> JsonMap:
    now = time.time()
    began, whole = now - 5000, 5000 / fraction
    progress: JsonMap = {
        "fraction": fraction,
        "step": int(20_000 * fraction),
        "total": 20_000,
        "rate": 20_000 / whole,
        "eta": whole - 5000,
        "metrics": {"loss": 2.31 * (1 - fraction), "lr": 3e-5},
        "message": None,
        "updated_at": now,
    }
    started: JsonMap = {
        "started_at": began,
        "pid": 4000 + number,
        "gpu_ids": [f"GPU-fake-{gpu}"],
        "progress": progress,
        "expected_end_at": began + whole,
        "expected_end_range": [began + whole * 0.97, began + whole * 1.04],
        "run_time": 5000.0,
    }
    return job(number, "running", **started | fields)


def ended(number: int, state: str, ago: float, **fields: Any) -> JsonMap:
    at = time.time() - ago
    over: JsonMap = {"started_at": at - 1800, "ended_at": at, "run_time": 1800.0, "gpu_ids": ["GPU-fake-0"]}
    return job(number, state, **over | {"exit_code": 0 if state == "completed" else None} | fields)


def gpu(index: int, **fields: Any) -> JsonMap:
    usual: JsonMap = {
        "id": f"GPU-fake-{index}",
        "index": index,
        "name": "NVIDIA GeForce RTX 4090",
        "memory_total": 24 * GIB,
        "memory_used": 3 * GIB,
        "utilization": 0.0,
        "temperature": 41.0,
        "power": 60.0,
        "jobs": [],
        "foreign": [],
        "ignored": [],
        "processes": [],
        "healthy": True,
        "enabled": True,
        "use": "free",
        "waiting_for_memory": False,
        "kept_for": None,
        "why": None,
    }
    return usual | fields
