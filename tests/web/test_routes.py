"""Each route does what the contract says, and bad input is refused in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from gateway import API
from support import wait_until

from trainqueue.web import shapes, table

if TYPE_CHECKING:
    from gateway import Reply, Web

    from trainqueue.client import Client


def ended(web: Web, job: int) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found: dict[str, Any] = web.get(f"{API}/status/{job}").json
        return found

    wait_until(lambda: look()["ended_at"] is not None)
    return look()


@pytest.fixture
def paused(web: Web) -> Any:
    assert web.post(f"{API}/pause").json == {"paused": True, "draining": False}
    yield
    for job in web.get(f"{API}/queue").json["jobs"]:
        web.post(f"{API}/cancel/{job['job_id']}")
    web.post(f"{API}/resume", {})


@pytest.mark.usefixtures("paused")
def test_a_job_goes_in_is_seen_moved_held_and_cancelled(web: Web) -> None:
    spec = {"command": ["true"], "cwd": "/", "name": "a <b>"}
    reply = web.post(f"{API}/execute", spec, Idempotency_Key="once")
    assert reply.status == 202
    first = reply.json
    assert (first["status"], first["queue_position"]) == ("queued", 1)
    assert web.post(f"{API}/execute", spec, Idempotency_Key="once").json == first
    second = web.submit("true", name="second")
    queue = web.get(f"{API}/queue").json
    assert (queue["running"], queue["queued"]) == (0, 2)
    assert [(job["job_id"], job["position"]) for job in queue["jobs"]] == [(first["job_id"], 1), (second, 2)]
    msgspec.convert(queue, shapes.QueuePage)
    assert web.post(f"{API}/move/{second}", {"to": "front"}).json["job"]["position"] == 1
    [held] = web.post(f"{API}/hold/{first['job_id']}").json["jobs"]
    assert held["ok"]
    assert web.post(f"{API}/edit/{second}", {"set": {"name": "new"}}).json["job"]["name"] == "new"
    told = web.post(f"{API}/cancel", {"jobs": [second, 10**9]}).json["jobs"]
    assert [one["ok"] for one in told] == [True, False]
    msgspec.convert({"jobs": told}, shapes.Answers)
    assert web.post(f"{API}/cancel/{second}").code == "conflict"
    assert web.get(f"{API}/history?name=new").json["jobs"][0]["id"] == second


def test_a_log_is_bytes_in_ranges(web: Web) -> None:
    job = web.submit("sh", "-c", r"printf 'ab\377\000cd\n'; printf x")
    found = ended(web, job)
    msgspec.convert(found, shapes.Status)
    whole = b"ab\xff\0cd\nx"
    reply = web.get(f"{API}/logs/{job}")
    assert (reply.status, reply.data, reply.headers["content-type"]) == (200, whole, "text/plain; charset=utf-8")
    for asked, span, data in (
        ("bytes=2-4", "bytes 2-4/8", whole[2:5]),
        ("bytes=-3", "bytes 5-7/8", whole[-3:]),
        ("bytes=5-", "bytes 5-7/8", whole[5:]),
        ("bytes=0-99", "bytes 0-7/8", whole),
    ):
        reply = web.get(f"{API}/logs/{job}", Range=asked)
        assert (reply.status, reply.headers["content-range"], reply.data) == (206, span, data)
    assert web.get(f"{API}/logs/{job}", Range="bytes=8-").status == 416
    for odd in ("bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"):
        assert (web.get(f"{API}/logs/{job}", Range=odd).status, odd) == (200, odd)
    assert web.get(f"{API}/logs/{job}?offset=2&limit=2").data == whole[2:4]
    assert web.get(f"{API}/logs/{job}?offset=-2").data == whole[-2:]
    head = web.ask("HEAD", f"{API}/logs/{job}?download=1")
    assert (head.data, head.headers["content-length"]) == (b"", "8")
    assert "attachment" in head.headers["content-disposition"]
    assert web.get(f"{API}/logs/{job}?attempt=2").code == "not-found"


def test_a_log_that_was_cut_says_where_to_go_on(web: Web) -> None:
    """As its cap does it, the job makes a hole: 4 KiB, nothing up to 2 MiB, four bytes."""
    ends = 2**21 + 4
    job = web.submit("sh", "-c", "head -c 4096 /dev/zero | tr '\\0' h; truncate -s 2M /proc/self/fd/1; printf tail")
    ended(web, job)
    url, kept = f"{API}/logs/{job}", 4096 * b"h"
    for query, data, goes_on in (
        ("", kept + b"tail", ends),
        ("?offset=4000&limit=1000", kept[4000:], 5000),
        ("?offset=5000&limit=9000", b"", 14_000),
        (f"?offset={2**20 + 100}&limit={2**20}", b"tail", ends),
    ):
        reply = web.get(url + query)
        assert (reply.status, reply.data, reply.headers["x-next-offset"]) == (200, data, str(goes_on))
    for asked, span, data in (
        ("bytes=0-", f"bytes 0-4095/{ends}", kept),
        ("bytes=4000-9000", f"bytes 4000-4095/{ends}", kept[4000:]),
        ("bytes=9000-", f"bytes {ends - 4}-{ends - 1}/{ends}", b"tail"),
        ("bytes=-2", f"bytes {ends - 2}-{ends - 1}/{ends}", b"il"),
    ):
        for method, body in (("GET", data), ("HEAD", b"")):
            reply = web.ask(method, url, headers={"range": asked})
            assert (reply.status, reply.headers["content-range"], reply.data) == (206, span, body)
            assert reply.headers["content-length"] == str(len(data))
    assert web.get(url, Range="bytes=5000-9000").status == 416
    head = web.ask("HEAD", url)
    assert (head.status, head.headers["x-next-offset"], "content-length" in head.headers) == (200, str(ends), False)
    head = web.ask("HEAD", f"{url}?limit=9000")
    assert head.headers["content-length"] == "4096"


def test_answers_have_the_described_shapes(web: Web) -> None:
    job = web.submit("true")
    ended(web, job)
    for path, about in table.READS.items():
        if "/" not in about.answer:
            reply = web.get(API + path.replace("{job}", str(job)))
            assert (path, reply.status) == (path, 200), reply.data
            msgspec.convert(reply.json, getattr(shapes, about.answer))
    retried = web.post(f"{API}/retry/{job}").json
    msgspec.convert(retried, shapes.Answers)
    msgspec.convert(web.post(f"{API}/copy/{job}", {"set": {"name": "copy"}}).json, shapes.MadeJobs)
    assert "trainq_up 1.0" in web.get("/metrics").data.decode()
    assert 'trainq_jobs{state="completed"}' in web.get("/metrics").data.decode()


EXECUTE = {"command": ["true"], "cwd": "/"}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "$.command"),
        (b"[1]", "object"),
        (b"null", "object"),
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"a":' * 3000, "JSON"),
        (b'{"command":["\xff"]}', "not UTF-8"),
        (b'{"command":["\\ud800"]}', "half of a character"),
        (b'{"command":["\\udc00 \\ud83d\\ude00"]}', "half of a character"),
        ({"command": 1}, "$.command"),
        ({"command": ["a\0"], "cwd": "/"}, "$.command"),
        ({**EXECUTE, "gpus": -1}, "$.gpus"),
        ({**EXECUTE, "priority": 10**25}, "64 bits"),
        ({**EXECUTE, "self": 1}, "$.self"),
        ({**EXECUTE, "key": "a"}, "$.key"),
        ({**EXECUTE, "tags": {"a": 1}}, "$.tags"),
    ],
)
def test_a_bad_job_is_refused_with_the_field(web: Web, body: object, word: str) -> None:
    reply = web.post(f"{API}/execute", body)
    assert (reply.status, reply.code) == (400, "bad-request")
    assert word in reply.json["error"]["message"]


def test_every_change_refuses_what_it_does_not_know(web: Web, asks: Client) -> None:
    """Also the names of our own functions' arguments, and on each route."""
    before = sum(asks.stats()["counts"].values())
    for verb in table.EACH:
        for name in ("self", "timeout", "id"):
            reply = web.post(f"{API}/{verb}/1", {name: [1]})
            assert (verb, name, reply.status, reply.code) == (verb, name, 400, "bad-request")
        assert web.post(f"{API}/{verb}/0").code == "bad-request"
        assert web.post(f"{API}/{verb}/x").code == "bad-request"
        assert web.post(f"{API}/{verb}", {"jobs": []}).code == "bad-request"
        assert web.post(f"{API}/{verb}", {"jobs": ["x"]}).code == "bad-request"
        assert web.get(f"{API}/{verb}/1").status == 405
    for verb in table.WHOLE:
        assert web.post(f"{API}/{verb}", {"timeout": 1}).code == "bad-request"
    assert web.post(f"{API}/gpus/disable", {"gpus": ["nope"]}).code == "not-found"
    for verb in ("cancel", "hold", "retry"):
        assert web.post(f"{API}/{verb}/1000000").code == "not-found"
    assert sum(asks.stats()["counts"].values()) == before  # no new one


def test_bad_queries_and_paths(web: Web) -> None:
    for path in (
        "/history?limit=0",
        "/history?limit=x",
        "/history?limit=99999999",
        "/history?states=queued",
        "/history?tag=a",
        "/history?before=-1",
        "/queue?limit=0",
        "/queue?offset=-1",
        "/queue?limit=%D9%A3",
        "/status/0",
        "/status/%00",
        "/logs/1?attempt=x",
        "/logs/1?offset=--5",
        "/queue?limit=1&limit=2",
        "/history?tag=" + "&tag=".join(f"{at}=1" for at in range(21)),
        "/history?stats=failed",
        "/gpus?x",
        "/logs/1?tail=5",
        "/events?log=x",
        "/events?log=1&attempt=0",
    ):
        reply = web.get(API + path)
        assert (path, reply.status, reply.code) == (path, 400, "bad-request")
    for path in (
        f"{API}/nothing",
        f"{API}/status/99999",
        f"{API}/events?log=99999",
        "/etc",
        "/static/..%2fapp.py",
        "/static/%00",
        "//x.y/",
    ):
        reply = web.get(path)
        assert (path, reply.status, reply.code) == (path, 404, "not-found")
    reply = web.ask("DELETE", f"{API}/queue")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "bad-request", "GET, HEAD")


def test_a_slip_in_a_query_is_refused_with_what_there_is(web: Web) -> None:
    def words(reply: Reply) -> str:
        assert (reply.status, reply.code) == (400, "bad-request")
        return str(reply.json["error"]["message"])

    told = words(web.get(f"{API}/history?stats=failed"))
    assert told == (
        "stats: there is no such parameter; the parameters of this address are states, name, group, tag, limit, before"
    )
    assert "takes none" in words(web.get(f"{API}/lanes?x=1"))
    assert "in the body" in words(web.post(f"{API}/cancel/1?force=true", {}))
    assert "from 1 to 10000 is needed, not '-1'" in words(web.get(f"{API}/queue?limit=-1"))
    assert web.get(f"{API}/queue?token=x&limit=&offset=0").status == 200, (
        "a token where none is needed, and an empty one"
    )
    assert web.get(f"{API}/queue?_=1795638881").status == 200, "against caches"
    assert web.get("/?view=gpus&v=3").status == web.get("/static/app.js?v=3").status == 200
    for key in ("", "k" * 201):
        assert "Idempotency-Key: 1 to 200" in words(web.post(f"{API}/execute", EXECUTE, Idempotency_Key=key))


def test_what_is_no_http_is_refused_like_all_else(web: Web) -> None:
    with web.raw("GET / HTTP/1.1\r\n\r\n") as sock:
        head, _, body = sock.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert b"content-security-policy" in head
    assert json.loads(body)["error"]["code"] == "bad-request"
    assert "Host" in json.loads(body)["error"]["message"]


@pytest.mark.usefixtures("paused")
def test_a_job_that_could_not_start_is_taken_with_a_warning(web: Web) -> None:
    for fields, words in (
        ({"cwd": "/no/such"}, ["there is no folder /no/such"]),
        ({"command": ["no-such-program"]}, ["there is no program no-such-program on the PATH"]),
        ({"command": ["sh"], "env": {"PATH": "/no"}}, ["there is no program sh on the PATH"]),
        ({}, []),
    ):
        reply = web.post(f"{API}/execute", {**EXECUTE, **fields})
        assert reply.status == 202
        told = msgspec.convert(reply.json, shapes.Executed).warnings
        assert [one.partition(";")[0] for one in told] == words


def test_a_body_has_its_bounds_and_its_type(web: Web) -> None:
    assert web.post(f"{API}/execute", b" " * (16 * 2**20 + 1)).code == "too-large"
    reply = web.ask("POST", f"{API}/pause", b"a=b", {"content-type": "application/x-www-form-urlencoded"})
    assert (reply.status, reply.code) == (415, "bad-request")
    half = web.raw(f"POST {API}/execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
    half.sendall(b"content-length: 100\r\n\r\n{")
    half.close()  # nothing of it may be in what the server prints: looked at where it ends
    assert not web.get(f"{API}/queue").json["paused"]


def test_heads_files_and_packing(web: Web) -> None:
    head = web.ask("HEAD", f"{API}/queue")
    assert (head.status, head.data) == (200, b"")
    assert web.ask("HEAD", f"{API}/events").status == 200  # and does not stay open
    page = web.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert web.get("/", If_None_Match=page.headers["etag"]).status in {200, 304}
    script = web.get("/static/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert web.get("/static/app.js", If_None_Match=script.headers["etag"]).status == 304
    packed = web.get("/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"


def test_the_description_is_whole(web: Web) -> None:
    """Every route is in it, every reference leads somewhere, every parameter of a path is told."""
    told = web.get("/openapi.json").json
    schemas = told["components"]["schemas"]
    text = json.dumps(told)
    for part in text.split('"$ref": "')[1:]:
        assert part.partition('"')[0].removeprefix("#/components/schemas/") in schemas
    names: list[str] = []
    for path, methods in told["paths"].items():
        for method, about in methods.items():
            names.append(about.get("operationId", path))
            assert about["summary"]
            assert all(answer["description"] for answer in about["responses"].values())
            inside = {one["name"] for one in about.get("parameters", ()) if one["in"] == "path"}
            assert inside == ({"job"} if "{job}" in path else set())
            other = "GET" if method == "post" else "POST"
            reply = web.ask(other, path.replace("{job}", "1"))
            assert reply.status == 405 or path == f"{API}/gpus", (path, other)
    assert len(names) == len({*names})
    spec = {**told["paths"][f"{API}/execute"]["post"]["requestBody"]["content"]["application/json"]["example"]}
    assert web.post(f"{API}/execute", {**spec, "command": ["true"], "cwd": "/"}).status == 202
