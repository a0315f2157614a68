"""The NVIDIA driver is not there when a daemon starts that has had GPUs: jobs wait for them, and do not run without."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from lab import lab
from support import Daemon

from trainqueue.cli import gpucheck

if TYPE_CHECKING:
    from trainqueue.home import Home

pytestmark = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a driver")


def test_jobs_wait_for_a_driver_that_was_there(home: Home) -> None:
    with lab(home) as on:
        on.until(on.submit(), "completed")
        on.daemon.stop()
        [found] = [finding for finding in gpucheck.checks(home) if finding.check == "gpu"]
        assert (found.result, found.what) == ("problem", gpucheck.GONE)
        bare = Daemon(home)
        bare.start()
        job = on.submit()
        on.until_why(job, "gpu-count", "libnvidia-ml.so.1, cannot be loaded")
        assert on.status(on.submit(gpus=0)).state != "failed"
        bare.stop()
        on.daemon.start()
        on.until(job, "completed", 20)
