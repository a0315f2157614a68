"""The command line against a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Cli

if TYPE_CHECKING:
    from support import Daemon


@pytest.fixture
def cli(daemon: Daemon) -> Cli:
    return Cli(daemon)
