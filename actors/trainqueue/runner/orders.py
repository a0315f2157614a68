"""What the daemon wants of a running attempt beyond its end: lines of JSON in FOLDER/orders, told of by SIGUSR2.

    {"signal": n}                   to the process group
    {"suspend": true}               stop all processes, and all clocks of the attempt with them
    {"continue": true}
    {"preempt": {"warn": seconds}}  SIGUSR1 at once, SIGTERM that much later, and the record's reason says "preempt"
    {"stalled": true}               end it, and the record's reason says "stalled"

A file, since a daemon that comes later has no socket to this runner, and must know what the one before has ordered.
"""

import json
from typing import Any


class Orders:
    """Of one attempt, each handed out once."""

    def __init__(self, folder: str) -> None:
        self.path = folder + "/orders"
        self.offset = 0

    def fresh(self) -> list[dict[str, Any]]:
        """Those since the last call; a line that is not whole yet comes with the next."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                whole = file.read().rpartition(b"\n")[0]
        except OSError:
            return []
        self.offset += len(whole) + 1 if whole else 0
        found: list[dict[str, Any]] = []
        for line in whole.splitlines():
            try:
                order = json.loads(line)
            except ValueError:
                continue  # a daemon that died, or a full disk, in the middle of it
            if isinstance(order, dict):
                found.append(order)
        return found
