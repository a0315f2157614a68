"""docs/gpus.md names settings, options and codes that exist."""

from __future__ import annotations

import re
from pathlib import Path

from trainqueue.cli.demand import GPU_OPTIONS
from trainqueue.cli.submit import submit
from trainqueue.settings import GpuSettings

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "gpus.md").read_text(encoding="utf-8")
SPANS = set(re.findall(r"`([^`\n]+)`", TEXT))
WORDS = {span.partition(" ")[0] for span in SPANS}


def test_every_setting_is_named() -> None:
    assert {*GpuSettings.__struct_fields__} <= WORDS


def test_every_option_is_named_and_exists() -> None:
    known = {name for option in submit.params for name in option.opts}
    named = {word for word in WORDS if word.startswith("--gpu")} - {"--gpus"}
    assert named <= known
    assert {name for name in known if name.startswith("--gpu")} - {"--gpus"} <= named
    assert len(GPU_OPTIONS) == len(named) + 1


def test_the_codes_of_gpus_are_named() -> None:
    assert {"gpu-foreign", "gpu-memory", "gpu-count", "position"} <= WORDS
