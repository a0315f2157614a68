"""What the journal keeps of GPUs: over a restart of the daemon, of the machine, and where it is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainqueue.core.card import Trace
from trainqueue.gpuops import CHOICES, TRACES, kept_choices, kept_traces, written
from trainqueue.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GIB = 2**30
KEPT = {"a": Trace(None, due=True), "b": Trace(GIB // 4, due=True, xid=79), "c": Trace(20 * GIB)}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "trainq.db")
    yield made
    made.close()


def keep(journal: Journal, name: str, value: str) -> None:
    journal.begin()
    journal.set(name, value)
    journal.commit()


def test_they_come_back_as_they_were(journal: Journal) -> None:
    assert kept_traces(journal, "this boot") == {}
    keep(journal, TRACES, written(KEPT, "this boot"))
    assert kept_traces(journal, "this boot") == KEPT


def test_a_restart_of_the_machine_forgives_all_but_what_a_person_has_accepted(journal: Journal) -> None:
    keep(journal, TRACES, written(KEPT, "an earlier boot"))
    assert kept_traces(journal, "this boot") == {"c": Trace(20 * GIB)}


@pytest.mark.parametrize("value", ["{", "[]", "7", '{"gpus": {"a": 7}}', '{"a": "yes"}'])
def test_what_cannot_be_read_is_nothing(journal: Journal, value: str) -> None:
    keep(journal, TRACES, value)
    keep(journal, CHOICES, value)
    assert kept_traces(journal, "") == {}
    assert kept_choices(journal) == {}
