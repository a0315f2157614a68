"""Who may ask. A loopback address is no wall: every page that a browser shows can send requests there.

So the host that is asked for must be one of ours (else a foreign name may have been pointed at this address), a change
must not come from another origin and must be JSON (a form of a foreign page cannot send that), and any address that
others can reach needs a token. On loopback the peer must be a process of the same user, see peers.py.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse

from trainqueue.web.answers import refused
from trainqueue.web.queries import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "trainq_token"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@dataclass(frozen=True, slots=True)
class Rules:
    """`token` None: none is needed. `is_ours`: whether the process at the other end is one of this user."""

    hosts: frozenset[str]
    token: str | None
    is_ours: Callable[[Scope], bool]
    any_address: bool = False
    """Listening on all addresses: only a name can have been pointed at us by somebody else."""


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        verdict = self._verdict(scope)
        await (verdict or self.app)(scope, receive, guarded)

    def _verdict(self, scope: Scope) -> Response | None:
        """What is answered instead; None lets it through."""
        headers = Headers(scope=scope)
        host = host_of(headers.get("host", ""))
        if host not in self.rules.hosts and not (self.rules.any_address and is_address(host)):
            allowed = "add it to allowed_hosts under [web] in the settings if it is yours"
            return refused("forbidden", f"this server is not asked for as {host[:100]!r}: {allowed}")
        if not self.rules.is_ours(scope):
            return refused("forbidden", "another user of this machine asks: the queue is its owner's alone")
        if self.rules.token is not None and not self._knows_token(headers):
            return self._with_token(scope)
        return None if scope["method"] in READS else self._change(headers)

    @staticmethod
    def _change(headers: Headers) -> Response | None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site not in {None, "same-origin", "none"} or (origin is not None and not _same(origin, headers)):
            return refused("forbidden", "a page of another origin asks for a change; nothing was changed")
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if (has_body or kind) and kind != "application/json":
            return refused("bad-request", f"content-type: application/json is needed, not {kind[:100]!r}", 415)
        return None

    def _knows_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return (scheme.lower() == "bearer" and self._is_token(given)) or self._is_token(cookie(headers))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.strip().encode(), (self.rules.token or "").encode())

    def _with_token(self, scope: Scope) -> Response:
        """`?token=` becomes a cookie and leaves the address, which people copy and browsers remember."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get(TOKEN, "")
        if scope["method"] not in READS or not self._is_token(given):
            return refused("forbidden", "this address needs the token that `trainq-cli web` prints", 401)
        rest = urlencode([pair for pair in query if pair[0] != TOKEN])
        path = "/" + scope["path"].lstrip("/")  # two of them would lead to another host
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(COOKIE, given, httponly=True, samesite="strict", max_age=30 * 86_400)
        return answer


def cookie(headers: Headers) -> str:
    """Cookies are shared by all ports of a host: what others put there may be malformed, and ours is found still."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def host_of(value: str) -> str:
    """Without its port."""
    host, _, port = value.rpartition(":")
    return (host if host and port.isdecimal() else value).lower()


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _same(origin: str, headers: Headers) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False
