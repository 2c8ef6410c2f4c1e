"""Access to the admin routes."""

import ipaddress
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from gaia_server.auth import COOKIE, SESSION_S, Access

TOKEN = "canary-admin-token"
NOW = 1_750_000_000.0


def connection(
    *, kind: str = "http", method: str = "GET", peer: str = "127.0.0.1", host: str = "localhost:80", **headers: str
) -> HTTPConnection:
    """A request; header names are written with underscores."""
    scope: dict[str, Any] = {
        "type": kind,
        "client": (peer, 1),
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in {"host": host, **headers}.items()
        ],
    }
    return HTTPConnection({**scope, "method": method} if kind == "http" else scope)


def refusal_status(access: Access, request: HTTPConnection, now: float = NOW) -> int | None:
    """The status of the refusal, None if there is none."""
    problem = access.refusal(request, access.credential(request, "192.0.2.7", now), 1)
    return problem.status if problem else None


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN} ", None),
        (f"Basic {TOKEN}", 401),
        ("Bearer wrong", 401),
        ("Bearer \u00e9", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_token(authorization: str, status: int | None) -> None:
    """With a token set, only the token grants access, from any address."""
    assert refusal_status(Access(TOKEN), connection(authorization=authorization)) == status


def test_half_a_character_is_not_the_token() -> None:
    """Half of a surrogate pair, which JSON can contain, is not the token."""
    assert not Access(TOKEN).matches("\ud800")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "192.0.2.7"])
def test_without_token(peer: str) -> None:
    """Without a token nobody has access: an address proves nothing."""
    assert refusal_status(Access(None), connection(peer=peer, host="localhost")) == 403
    forged = f"{COOKIE}={Access('').session(NOW)}"
    assert refusal_status(Access(None), connection(peer=peer, cookie=forged)) == 403


def test_session() -> None:
    """A session cookie grants access until it expires, on any process with the same token."""
    cookie = f"{COOKIE}={Access(TOKEN).session(NOW)}"
    assert refusal_status(Access(TOKEN), connection(cookie=cookie)) is None
    assert refusal_status(Access(TOKEN), connection(cookie=cookie), NOW + SESSION_S) == 401
    assert refusal_status(Access("another-canary-token"), connection(cookie=cookie)) == 401
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    "forge", [lambda c: "9" + c, lambda c: c[:-1] + "x", lambda _: "", lambda _: "..", lambda _: "\u00e9."]
)
def test_forged_session(forge: Any) -> None:
    """A forged cookie grants no access."""
    cookie = f"{COOKIE}={forge(Access(TOKEN).session(NOW))}"
    assert refusal_status(Access(TOKEN), connection(cookie=cookie)) == 401


@pytest.mark.parametrize(
    ("kind", "method", "origin", "status"),
    [
        ("http", "POST", "http://localhost:80", None),
        ("http", "POST", "https://evil.example", 403),
        ("http", "POST", "null", 403),
        ("http", "POST", "http://[", 403),
        ("websocket", "", "http://[", 403),
        ("http", "GET", "https://evil.example", None),  # the browser does not let it read the response
        ("websocket", "", "https://evil.example", 403),
        ("websocket", "", "http://localhost:80", None),
    ],
)
def test_origin(kind: str, method: str, origin: str, status: int | None) -> None:
    """A page of another site can change nothing and open no WebSocket, even with valid credentials."""
    request = connection(kind=kind, method=method, origin=origin, authorization=f"Bearer {TOKEN}")
    assert refusal_status(Access(TOKEN), request) == status


PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("origin", "headers", "status"),
    [
        ("https://gaia.example", {"x_forwarded_host": "gaia.example"}, None),
        ("https://gaia.example", {"forwarded": "for=192.0.2.7;host=gaia.example;proto=https"}, None),
        ("https://gaia.example:8443", {"forwarded": 'host="gaia.example:8443"'}, None),
        ("https://gaia.example", {"host": "gaia.example:443"}, None),
        ("http://gaia.example:80", {"host": "GAIA.example"}, None),
        ("https://gaia.example:444", {"host": "gaia.example:443"}, 403),
        ("https://gaia.example:x", {"host": "gaia.example"}, 403),
        ("https://evil@gaia.example", {"host": "gaia.example"}, 403),
        ("https://", {"host": ""}, 403),
        ("https://evil.example", {"x_forwarded_host": "gaia.example"}, 403),
        ("http://localhost:80", {"x_forwarded_host": "gaia.example"}, 403),
    ],
)
def test_origin_behind_a_proxy(origin: str, headers: dict[str, str], status: int | None) -> None:
    """Behind a trusted proxy a page's origin is compared with the host that the client addressed, else with Host."""
    access, bearer = Access(TOKEN, PROXIES), {"authorization": f"Bearer {TOKEN}"}
    assert (
        refusal_status(access, connection(method="POST", peer="10.0.0.7", origin=origin, **headers, **bearer)) == status
    )
    if "host" not in headers:
        forged = connection(method="POST", peer="192.0.2.7", origin="https://gaia.example", **headers, **bearer)
        assert refusal_status(access, forged) == 403


@pytest.mark.parametrize(
    ("headers", "encrypted"),
    [
        ({"x_forwarded_proto": "https"}, True),
        ({"x_forwarded_proto": "HTTPS, http"}, True),
        ({"forwarded": "for=192.0.2.7;proto=https"}, True),
        ({"forwarded": "for=192.0.2.7, for=10.0.0.8;proto=https"}, True),
        ({"x_forwarded_proto": "http"}, False),
        ({"x_forwarded_for": "192.0.2.7"}, False),
        ({}, False),
    ],
)
def test_encrypted(headers: dict[str, str], *, encrypted: bool) -> None:
    """TLS that ends at a trusted proxy counts; what anybody else claims does not."""
    access = Access(TOKEN, PROXIES)
    assert access.is_encrypted(connection(peer="10.0.0.7", **headers)) is encrypted
    assert not access.is_encrypted(connection(peer="192.0.2.7", **headers))
