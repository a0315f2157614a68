"""Whose process is at the other end of a connection over loopback: the kernel knows its user.

A loopback port is open to everybody on the machine, and what comes in over it runs as the queue's owner. The kernel is
asked once for each connection, and never for an address alone, since ports are given out again. Where it does not
answer for one socket (no sock_diag there, as in some containers) its table of all sockets is read. A socket whose
process has closed it belongs to nobody any more and stands there as root's, so only an established connection counts.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trainqueue.web import sockdiag

if TYPE_CHECKING:
    from starlette.types import Scope

ESTABLISHED = "01"
KNOWN = "trainq.connection"
"""Where a request has what is known of its connection."""
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def is_ours(scope: Scope) -> bool:
    """Whether a process of this user, or of root, asks; where nobody can say, nothing is said against it."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or server is None:
        return True  # a Unix socket: its folder is the guard
    known: dict[str, bool] = scope.get(KNOWN, {})
    if "ours" not in known:
        found = uid_of(client, server)
        known["ours"] = found is None or found in {0, os.getuid()}
    return known["ours"]


def uid_of(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Of the socket at `client`, which is connected to `server`; -1 where there is none, None where nobody can say."""
    found = sockdiag.uid_of(client, server)
    return _from_table(client, server) if found is None else found


def _from_table(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    wanted = {(local, remote) for local in forms(*client) for remote in forms(*server)}
    readable = False
    for table in TABLES:
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        readable = True
        for line in lines:
            _, local, remote, state, _, _, _, uid, *_ = line.split()
            if state == ESTABLISHED and (local, remote) in wanted:
                return int(uid)
    return -1 if readable else None


def forms(host: str, port: int) -> list[str]:
    """As the tables write an address: words of 32 bits in the machine's own order. An IPv4 one may stand in both."""
    address = sockdiag.address_of(host)
    written = [address.packed]
    if isinstance(address, ipaddress.IPv4Address):
        written.append(bytes(10) + b"\xff\xff" + address.packed)
    return [f"{_words(packed)}:{port:04X}" for packed in written]


def _words(packed: bytes) -> str:
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex() for word in words).upper()
