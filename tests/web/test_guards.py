"""Who gets in: foreign names, foreign pages, other users of the machine, other machines."""

from __future__ import annotations

import socket
import stat
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from gateway import API, Reply, Web, another_user

from trainqueue.web import serve

if TYPE_CHECKING:
    from support import Daemon


def test_only_our_names_are_answered(web: Web) -> None:
    for host in ("localhost", f"localhost:{web.port}", "127.0.0.1", "[::1]", "[::1]:80", "LOCALHOST"):
        assert (web.get(f"{API}/stats", Host=host).status, host) == (200, host)
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", "10.0.0.1", "", "a" * 3000, "127.0.0.1:x"):
        reply = web.get("/", Host=host)
        assert (reply.status, reply.code) == (403, "forbidden")
    with web.raw("GET / HTTP/1.0\r\n\r\n") as sock:
        assert b" 403 " in sock.recv(1000)


def test_an_address_of_ipv6_is_asked_for_in_brackets() -> None:
    with serve.listening("::ffff:127.0.0.2", 0) as sock:
        hosts = serve.rules(sock, "::ffff:127.0.0.2", "token", ["FD00::1", "[fd00::2]", "name"]).hosts
    assert {"[::ffff:127.0.0.2]", "[fd00::1]", "[fd00::2]", "name"} <= hosts


def test_a_foreign_page_changes_nothing(web: Web) -> None:
    ours = f"http://127.0.0.1:{web.port}"
    for origin in ("null", "http://evil.example", "http://127.0.0.1:1", "http://[", ours + ".evil.example", ""):
        reply = web.post(f"{API}/pause", Origin=origin)
        assert (origin, reply.status, reply.code) == (origin, 403, "forbidden")
    for site in ("cross-site", "same-site", "x"):
        assert web.post(f"{API}/pause", Sec_Fetch_Site=site).code == "forbidden"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert web.ask("POST", f"{API}/pause", b"{}", {"content-type": kind}).status == 415
    assert not web.get(f"{API}/queue").json["paused"]
    assert web.post(f"{API}/resume", Origin=ours, Sec_Fetch_Site="same-origin").status == 200
    assert web.ask("POST", f"{API}/resume", b"{}", {"content-type": "Application/JSON; charset=utf-8"}).status == 200


def test_every_answer_carries_the_policy(web: Web) -> None:
    for reply in (web.get("/"), web.get("/static/app.js"), web.get("/no"), web.get("/", Host="x"), web.get("/metrics")):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in reply.headers
        assert "server" not in reply.headers


def test_another_user_of_the_machine_does_not_get_in(web: Web) -> None:
    """Also not with a header that names a connection of ours, which anybody reads in the kernel's table."""
    with web.raw("") as known:
        theirs = known.getsockname()[1]
        for headers in ({}, {"x-forwarded-for": "127.0.0.1"}, {"x-forwarded-for": f"127.0.0.1:{theirs}"}):
            with another_user():
                reply = web.get(f"{API}/queue", **headers)
            assert (reply.status, reply.code) == (403, "forbidden")
    assert web.get(f"{API}/queue", x_forwarded_for="garbage").status == 200


def test_any_other_address_needs_the_token(served: Daemon) -> None:
    with Web(Cli(served), "--host", "0.0.0.0") as web:  # noqa: S104  (what is tried)
        token = web.place["token"]
        path = served.home.path / "web.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text(encoding="ascii").strip() == token
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": token}, {"Cookie": "trainq_token=x"}):
            for reply in (web.get("/", **headers), web.get("/metrics", **headers), web.post(f"{API}/pause", **headers)):
                assert (reply.status, reply.code) == (401, "forbidden")
        assert web.get(f"{API}/queue", Authorization=f"Bearer {token}").status == 200
        assert web.get("/?token=wrong").status == 401
        entry = web.get(f"//evil.example/?view=gpus&token={token}")
        assert (entry.status, entry.headers["location"]) == (303, "/evil.example/?view=gpus")
        cookie = entry.headers["set-cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        pair = cookie.partition(";")[0]
        assert web.get("/", Cookie=pair).status == 200
        assert web.get("/", Cookie=f'a[b]="{{1; c d; {pair}').status == 200  # others' cookies of the same host
        assert web.post(f"{API}/pause", Cookie=pair, Origin="http://evil.example").code == "forbidden"
        assert web.post(f"{API}/pause?token={token}").status == 401
        assert own_address(web, token).status == 200
        assert web.get("/", Host="evil.example", Authorization=f"Bearer {token}").code == "forbidden"
        assert token not in web.stop()[2].partition("\n")[2]


def own_address(web: Web, token: str) -> Reply:
    """As from another machine: by the address of a card, where there is one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("no network")
        address = probe.getsockname()[0]
    connection = HTTPConnection(address, web.port, timeout=20)
    try:
        connection.request("GET", f"{API}/queue", headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return Reply(answer.status, {}, answer.read())
    finally:
        connection.close()


def test_a_port_that_is_taken(web: Web, served: Daemon) -> None:
    said = Cli(served)("web", "--port", str(web.port))
    assert said.returncode
    assert "--port" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("host", ["no-such-name.invalid", "192.0.2.1", "a" * 300, "a..b"])
def test_a_host_that_is_none_of_ours(served: Daemon, host: str) -> None:
    said = Cli(served)("web", "--host", host, "--port", "0")
    assert said.returncode
    assert "--host takes an address" in said.stderr
    assert "Traceback" not in said.stderr
