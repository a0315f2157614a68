"""The server's process: its socket, its rules, its end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from trainqueue.errors import TrainqError
from trainqueue.web import app
from trainqueue.web.answers import refused
from trainqueue.web.guard import HEADERS, LOOPBACK, Rules
from trainqueue.web.peers import KNOWN, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import FrameType

    from starlette.types import Scope

    from trainqueue.home import Home

M_ARENA_MAX, M_MMAP_THRESHOLD, LARGE = -8, -3, 2**18
"""As in malloc.h; bytes that a snapshot of a long queue exceeds."""
PATIENCE = 1
"""Seconds that requests under way get at the end; streams end at once."""


class Server(uvicorn.Server):
    """`early`: signals that have come before it could hear them."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None], early: list[int]) -> None:
        super().__init__(config)
        self.end, self.early = end, early

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.should_exit = self.should_exit or bool(self.early)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.end()
        await super().shutdown(sockets)


class Connection(H11Protocol):
    """Gives its requests a place for what is known of whoever is at its other end, who stays the same."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app, known = self.app, dict[str, bool]()

        async def on_this(scope: Any, receive: Any, send: Any) -> None:
            scope[KNOWN] = known
            await app(scope, receive, send)

        self.app = on_this

    def send_400_response(self, msg: str) -> None:
        """Called where h11 has refused what came; in the form of all other refusals."""
        error = sys.exc_info()[1]
        body = refused("bad-request", f"this is no HTTP request as it should be: {error or msg}; nothing was changed")
        headers = {**HEADERS, "content-type": "application/json", "connection": "close"}
        told = [(name.encode(), value.encode()) for name, value in headers.items()]
        for event in (
            h11.Response(status_code=400, headers=told, reason=b"Bad Request"),
            h11.Data(data=bytes(body.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def listening(host: str, port: int) -> socket.socket:
    """Raises TrainqError that says what to do."""
    try:
        family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)  # asyncio turns Nagle's delay off only where the protocol is named
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        sock.listen(128)
    except (OSError, UnicodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "no name of a machine"
        msg = f"cannot listen on {host[:100]}, port {port}: {words}; {advice(error)}"
        raise TrainqError(msg) from None
    sock.set_inheritable(False)
    return sock


def advice(error: Exception) -> str:
    """What to do where nobody can listen."""
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError) or code == errno.EADDRNOTAVAIL:
        return "--host takes an address or name of this machine: 127.0.0.1 (for you alone), or 0.0.0.0 (all of them)"
    if code == errno.EACCES:
        return "ports below 1024 are for root; --port takes another one, such as 8427"
    return "is another `trainq-cli web` running? --port takes another port (0: any that is free)"


def is_loopback(sock: socket.socket) -> bool:
    return ipaddress.ip_address(sock.getsockname()[0]).is_loopback


def token_in(path: Path) -> str:
    """Of this home, made once; for its owner alone."""
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = ""
    if known:
        return known
    made = secrets.token_urlsafe(24)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(made + "\n")
    return made


def rules(sock: socket.socket, host: str, token: str | None, allowed: Iterable[str]) -> Rules:
    hosts = {*LOOPBACK, *map(as_asked, (host.lower(), sock.getsockname()[0], *(name.lower() for name in allowed)))}
    if token is not None:
        hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    everywhere = ipaddress.ip_address(sock.getsockname()[0]).is_unspecified
    return Rules(frozenset(hosts), token, is_ours if token is None else anybody, everywhere)


def as_asked(host: str) -> str:
    """As it stands in a `Host`: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def anybody(scope: Scope) -> bool:
    """Whoever knows the token."""
    del scope
    return True


def tells(record: logging.LogRecord) -> bool:
    """Not that whoever reads slowly was cut off at the end, and not where in the code."""
    error = record.exc_info[1] if record.exc_info else None
    cut = isinstance(error, asyncio.CancelledError) or "graceful shutdown" in str(record.msg)
    return record.levelno >= logging.WARNING and not cut


def keep_small() -> None:
    """Each thread would get a heap of its own, of which much lies idle: 4 MB of 48. And what is large must go back to
    the system when it is freed; unless told so, glibc keeps the like of it on the heap after the first time.
    """
    with contextlib.suppress(OSError, AttributeError):  # a C library without it
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def serve(home: Home, sock: socket.socket, its: Rules) -> None:
    """Until SIGTERM or SIGINT."""
    keep_small()
    early: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        early.append(number)

    for ours in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ours, note)  # uvicorn puts its own in place, and passes them on when all is ended
    made, end = app.make(home, its)
    logging.getLogger("uvicorn.error").addFilter(tells)
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    options["proxy_headers"] = False  # whose socket it is must not be what a header says
    config = uvicorn.Config(made, http=Connection, loop="asyncio", timeout_graceful_shutdown=PATIENCE, **options)
    Server(config, end, early).run(sockets=[sock])
