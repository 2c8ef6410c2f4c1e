"""Input on raw sockets: too long, too slow, or not HTTP."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from gaia_server.http import bounded_protocol, request_parsing
from tests.gaia_server.conftest import TOKEN, Running, Start
from tests.support import plain_http

HOST = b"Host: localhost\r\n"


@dataclass(frozen=True)
class Answer:
    """One response before the connection closed."""

    status: int
    headers: dict[str, str]
    body: Any


def talk(server: Running, *parts: bytes) -> list[Answer]:
    """Send all parts, regardless of responses; return the responses until the server closes the connection."""
    address = urlsplit(server.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        received = bytearray()
        while data := connection.recv(65536):
            received += data
    return list(parsed(bytes(received)))


def parsed(received: bytes) -> Iterator[Answer]:
    """Yield the responses of a stream."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0"))
        yield Answer(int(status.split()[1]), headers, json.loads(rest[:length] or b"null"))
        received = rest[length:]


TOO_MUCH = [
    ([b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"], 414),
    ([b"GET /" + b"a" * 1_000_000], 414),
    ([b"GET /x?" + b"a" * 9000], 414),
    ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n"], 431),
    ([b"GET /livez HTTP/1.1\r\n" + HOST, *[b"X-A: " + b"a" * 1000 + b"\r\n"] * 40], 431),
    ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: ", *[b"a" * 10_000] * 60], 431),
    ([b"GET /livez HTTP/1.1\r\n" + HOST, b"a" * 500_000], 431),
]


@pytest.mark.parametrize(("parts", "status"), TOO_MUCH, ids=[f"{status}-{n}" for n, (_, status) in enumerate(TOO_MUCH)])
def test_heads_are_bounded(server: Running, parts: list[bytes], status: int) -> None:
    """A head that is too long is refused with problem details that reach the client, in any fragmentation."""
    (answer,) = talk(server, *parts)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"HELLO\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\r\n \r\n",
]


@pytest.mark.parametrize("sent", NO_HTTP)
def test_what_is_not_http_is_a_problem(server: Running, sent: bytes) -> None:
    """An error below the application has the same format as one of the application."""
    (answer,) = talk(server, sent)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.body["title"] == "Bad Request"


def test_a_bound_is_per_request(server: Running) -> None:
    """Many pipelined requests within the bound are all answered; the bound applies to each head separately."""
    one = b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 3000 + b"\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    assert [answer.status for answer in talk(server, one * 30 + last)] == [200] * 31


def post(*chunks: bytes) -> list[bytes]:
    """Return a chunked request with a body, in parts."""
    head = b"POST /admin/login HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n" + HOST
    return [head + b"\r\n", *(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)]


def test_bodies_are_bounded(own: Running) -> None:
    """A chunked body beyond the limit is refused, whether it ends or not, and the client receives the response."""
    end = b"0\r\n\r\nGET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    answers = talk(own, *post(*[b" " * 10_000] * 8), end)
    assert [answer.status for answer in answers] == [413, 200]
    full = [b" " * 32 * 1024] * (request_parsing.READ_ON // 32 // 1024)
    (answer,) = talk(own, *post(*full, b" "))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_requests_before_a_refusal_are_answered(own: Running) -> None:
    """Garbage after good requests in one packet closes the connection, but only after their responses."""
    for count in (1, 3):
        answers = talk(own, (b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n") * count + b"\x01garbage")
        assert [answer.status for answer in answers] == [200] * count
        assert answers[-1].headers["connection"] == "close"
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_trailers_are_bounded(own: Running) -> None:
    """Trailers that are too long close the connection; the request may be answered before."""
    chunked = b"GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n0\r\n"
    answers = talk(own, chunked + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n")
    assert (answers[0].status, answers[-1].headers["connection"]) == (200, "close")
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()
LAST_WITH = (
    b"GET /api/admin/quotas/usage HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n" + BEARER + HOST
)


def test_trailers_are_no_headers(start: Start) -> None:
    """Trailers do not identify the client, even from a trusted proxy."""
    server = start(TRUSTED_PROXIES="127.0.0.1")
    server.rule(scope="user", scope_value="mallory", limit_value=0)
    claim = b"X-User-ID: mallory\r\n"
    assert [answer.status for answer in talk(server, LAST_WITH + claim + b"\r\n0\r\n\r\n")] == [429]
    assert [answer.status for answer in talk(server, LAST_WITH + b"\r\n0\r\n" + claim + b"\r\n")] == [200]


def test_slow_heads_and_bodies_time_out(own: Running) -> None:
    """A connection with nothing, half a head or half a body is closed after a time; others are served meanwhile."""
    address = urlsplit(own.base_url)
    half = (b"", b"GET /livez HTTP/1.1\r\nX-A: ", post(b" ")[0])
    connections = [socket.create_connection((address.hostname, address.port), timeout=30) for _ in half]
    started = time.monotonic()
    for connection, sent in zip(connections, half, strict=True):
        connection.sendall(sent)
    assert plain_http.get(f"{own.base_url}/livez").status_code == 200
    found = []
    for connection in connections:
        with connection:
            received = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
            found.append([answer.status for answer in parsed(received)])
    assert found == [[], [408], [408]]
    assert time.monotonic() - started > bounded_protocol.HEAD_S - 1


HOSTILE = ('\r\n{"level": "error"}', "\x1b[31m", "\u2028", "\x00", "\x9b")


def test_nothing_a_client_sends_begins_a_line_of_the_log(own: Running) -> None:
    """Control characters in paths, names, values and bodies do not break the log: one object per line."""
    for text in HOSTILE:
        raw = text.encode()
        quoted = "".join(f"%{byte:02x}" for byte in raw).encode()
        body = json.dumps({"rule_name": text, "scope": text}).encode()
        length = f"Content-Length: {len(body)}\r\n".encode()
        own_head = b"Content-Type: application/json\r\nConnection: close\r\n" + HOST
        for sent in (
            b"GET /api/admin/quotas/" + quoted + b"?" + quoted + b"=" + quoted + b" HTTP/1.1\r\n" + own_head + b"\r\n",
            b"GET /" + raw + b" HTTP/1.1\r\n" + own_head + b"\r\n",
            b"GET /api/x HTTP/1.1\r\nX-User-ID: a" + raw + b"\r\nX-API-Key: " + raw + b"\r\n" + own_head + b"\r\n",
            b"GET /api/x HTTP/1.1\r\nX-" + raw + b": a\r\n" + own_head + b"\r\n",
            b"POST /api/admin/quotas/config HTTP/1.1\r\n" + length + own_head + b"\r\n" + body,
            b"PUT /api/admin/quotas/users/" + quoted + b" HTTP/1.1\r\n" + length + own_head + b"\r\n" + body,
        ):
            (answer,) = talk(own, sent)
            assert 400 <= answer.status < 500 or answer.status == 200
    text = own.log.read_text()
    assert all(line.isprintable() for line in text.split("\n"))
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}
