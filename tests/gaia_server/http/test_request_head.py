"""Heads that two parsers may read differently: upgrades, hosts and request targets, on raw sockets."""

import itertools

import pytest

from gaia_server.http import request_head
from tests.gaia_server.conftest import Running, Start
from tests.gaia_server.http.test_bounded_protocol import HOST, talk

BODY = b'{"token":"wrong"}' + b"\r\n" * 9
LAST = b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "h2c-lines": b"Connection: HTTP2-Settings\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
    "tls": b"Connection: upgrade\r\nUpgrade: TLS/1.3\r\n",
    "list": b"Connection: upgrade\r\nUpgrade: h2c, websocket\r\n" + KEY,
    "websocket": b"Connection: upgrade\r\nUpgrade: websocket\r\n" + KEY,
    "websocket-twice": b"Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n" + KEY,
}
FRAMED = {
    "length": (b"Content-Length: %d\r\n" % len(BODY), BODY),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
}


def authorized(server: Running) -> bytes:
    """Return the header lines of an administrator whom no rule limits."""
    return "".join(f"{name}: {value}\r\n" for name, value in server.headers.items()).encode()


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize(("framing", "body"), FRAMED.values(), ids=FRAMED)
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_an_upgrade_does_not_hide_a_body(
    server: Running, method: bytes, framing: bytes, body: bytes, upgrade: bytes
) -> None:
    """The framed body of a request with an upgrade is its body, never the next request, however it is fragmented."""
    path = b" /api/admin/quotas/config" if method == b"POST" else b" /livez"
    key = authorized(server) + b"Content-Type: application/json\r\n"
    head = method + path + b" HTTP/1.1\r\n" + key + HOST + framing + upgrade + b"\r\n"
    expected = [422 if method == b"POST" else 200, 200]  # 422: the body has been read
    for parts in ([head + body + LAST], [head, body, LAST], [head + body[:9], body[9:-3], body[-3:] + LAST]):
        answers = talk(server, *parts)
        assert [answer.status for answer in answers] == expected
        assert answers[-1].body == {"status": "alive"}


def test_no_forged_name_behind_an_upgrade(start: Start) -> None:
    """A body that a proxy forwarded does not run as a request under another user's name."""
    server = start(TRUSTED_PROXIES="127.0.0.1")
    server.rule(scope="user", scope_value="mallory", limit_value=0)
    body = b"GET /api/admin/quotas/usage HTTP/1.1\r\n" + HOST + b"X-User-ID: mallory\r\n\r\n"
    framing = b"Content-Length: %d\r\n" % len(body)
    head = b"POST /admin/login HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST + framing + UPGRADES["h2c"]
    assert [answer.status for answer in talk(server, head + b"\r\n", body, LAST)] == [400, 200]


def test_many_upgrades_are_ignored(server: Running) -> None:
    """Pipelined requests with an upgrade are all answered, in HTTP/1.0 the first one."""
    one = b"GET /livez HTTP/1.1\r\n" + HOST + UPGRADES["h2c"] + b"\r\n"
    assert [answer.status for answer in talk(server, one * 300 + LAST)] == [200] * 301
    old = one.replace(b"HTTP/1.1", b"HTTP/1.0").replace(UPGRADES["h2c"], UPGRADES["websocket"])
    assert [answer.status for answer in talk(server, old)] == [200]


def websocket(path: bytes = b"/ws/admin/quotas", *, without: bytes = b"", more: bytes = b"") -> bytes:
    """Return a handshake."""
    head = b"GET " + path + b" HTTP/1.1\r\n" + HOST + UPGRADES["websocket"] + more + b"\r\n"
    return head.replace(without, b"") if without else head


HANDSHAKES = [
    (websocket(b"/livez"), [403]),
    (websocket(without=b"Sec-WebSocket-Version: 13\r\n"), [400]),
    (websocket(without=b"ZSBub25jZQ=="), [400]),
    (websocket(without=b"Connection: upgrade\r\n", more=b"Connection: close\r\n"), [404]),
    (websocket(more=b"Content-Length: 0\r\nConnection: close\r\n"), [404]),
    (websocket(more=b"X-A: 1\r\n" * 200), [431]),
    (websocket(b"/ws/admin/quotas?" + b"\xff\xc3\xa9"), [400]),
    (websocket() + LAST, [400]),
    (websocket() + b"\x89\x80\x00\x00\x00\x00", [400]),
    (LAST.replace(b"Connection: close\r\n", b"") + websocket() + LAST, [200, 404, 200]),
]


def test_unusable_handshakes(own: Running) -> None:
    """A handshake that opens no WebSocket is answered in HTTP, and responses keep the order of their requests."""
    for sent, statuses in HANDSHAKES:
        assert [answer.status for answer in talk(own, sent)] == statuses, sent
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


GOOD_HOSTS = [b"localhost", b"LOCALHOST:8080", b"127.0.0.1", b"[::1]:8080", b"a_b.example", b"", b"name:443"]
BAD_HOSTS = [
    b"evil@localhost",
    b"a, b",
    b"a/b",
    b"localhost:80:80",
    b"localhost:x",
    b"[::1",
    b"::1",
    b"a b",
    b"a\tb",
    b"a?b",
]


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        *(([host], 200) for host in GOOD_HOSTS),
        *(([host], 400) for host in BAD_HOSTS),
        ([b"localhost", b"localhost"], 400),
        ([b"evil.example", b"localhost"], 400),
        ([], 400),
    ],
)
def test_hosts(server: Running, hosts: list[bytes], status: int) -> None:
    """A request has exactly one Host, which is a host and an optional port; a handshake likewise."""
    lines = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    (answer,) = talk(server, LAST.replace(HOST, lines))
    assert answer.status == status
    if status == 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert [answer.status for answer in talk(server, websocket().replace(HOST, lines))] == [400]


def test_an_old_request_needs_no_host(server: Running) -> None:
    """HTTP/1.0 knows no Host."""
    assert [answer.status for answer in talk(server, b"GET /livez HTTP/1.0\r\n\r\n")] == [200]


@pytest.mark.parametrize(
    ("target", "origin", "status"),
    [
        (b"/", b"http://localhost", 404),
        (b"http://localhost/", b"http://localhost", 404),
        (b"HTTPS://127.0.0.1:8080/", b"https://127.0.0.1:8080", 404),
        (b"http://evil.example/", b"http://localhost", 403),  # the target's host counts, not the Host header
        (b"http://evil@localhost/", b"http://localhost", 400),
        (b"http:///", b"http://localhost", 403),
    ],
)
def test_absolute_targets(server: Running, target: bytes, origin: bytes, status: int) -> None:
    """An absolute target's host takes the place of the Host header (RFC 9112 section 3.2.2): 404 for its own pages."""
    path = target + b"api/admin/quotas/config/999999999"
    request = b"DELETE " + path + b" HTTP/1.1\r\nConnection: close\r\nOrigin: " + origin + b"\r\n" + authorized(server)
    assert [answer.status for answer in talk(server, request + HOST + b"\r\n")] == [status]


TARGETS = [
    (b"CONNECT localhost:80", 405),
    (b"CONNECT /livez", 405),
    (b"OPTIONS *", 404),
    (b"GET http://localhost", 404),
    (b"GET //evil.example/livez", 404),
    (b"GET *", 404),
    (b"GET livez", 400),
]


def test_other_targets(own: Running) -> None:
    """Other request targets are refused without an error in the log."""
    for line, status in TARGETS:
        (answer,) = talk(own, line + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        assert answer.status == status, line
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_origin_form() -> None:
    """Path and query of an absolute target stay as they are."""
    headers = [(b"accept", b"*/*"), (b"host", b"a")]
    found = request_head.origin_form(b"http://b:1?x=//y", headers)
    assert found == (b"/?x=//y", [(b"host", b"b:1"), (b"accept", b"*/*")])
    for target, host in itertools.product((b"/a?b=http://c/", b"*"), (b"a", b"b")):
        assert request_head.origin_form(target, [(b"host", host)]) == (target, [(b"host", host)])
