"""Fixtures for tests of single actors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from house import House, Told
from runner.conftest import adopt_orphans, children_of, launcher, left_over
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

__all__ = ["arbiter", "house", "launcher"]


@pytest.fixture
def arbiter() -> Iterator[Told]:
    """Stands for the arbiter."""
    made = Told()
    yield made
    made.close()


@pytest.fixture
def house(home: Home) -> Iterator[House]:
    """An arbiter that serves; runners that outlive it become ours, and must not outlive the test."""
    before = children_of(os.getpid())
    adopt_orphans(1)
    made = House(home)
    made.start()
    try:
        yield made
    finally:
        made.close()
        wait_until(lambda: not left_over(before))
        adopt_orphans(0)
