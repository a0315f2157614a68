"""What people have said of lanes, as the journal keeps it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from trainqueue import laneops, wire
from trainqueue.core.lanes import Choice

if TYPE_CHECKING:
    from trainqueue.journal import Journal


class Kept:
    """A journal with one setting."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def setting(self, _: str) -> str | None:
        return self.text


def kept(text: str | None) -> dict[str, Choice]:
    return dict(laneops.kept(cast("Journal", Kept(text))))


def test_what_cannot_be_read_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert kept(None) == {}
    assert kept('{"debug":{"gpus":1}}') == {"debug": Choice(gpus=1)}
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert kept('{"debug":') == {}
    assert "what was said of the lanes cannot be read, so that only the settings count" in caplog.text


def test_no_line_end_stands_in_the_name_of_a_lane() -> None:
    for name in ("debug\n", "two words", ""):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"op": "lane", "name": name}, wire.Lane)
    assert msgspec.convert({"op": "lane", "name": "ä.b:c+d-1"}, wire.Lane).name == "ä.b:c+d-1"
