"""How the row of failures that the crash guard counts is kept: a daemon that comes later counts on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.journal import Journal

ROW = "crash_row"


def changed(arbiter: GPUArbiter, row: tuple[int, ...]) -> None:
    """Written with the end of the attempt that counts."""
    arbiter.ledger.batch.settings[ROW] = msgspec.json.encode(row).decode()


def kept(journal: Journal) -> tuple[int, ...]:
    """Empty where that cannot be read."""
    try:
        return msgspec.json.decode(journal.setting(ROW, "[]"), type=tuple[int, ...])
    except msgspec.MsgspecError:
        return ()
