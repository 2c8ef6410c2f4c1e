"""What travels with every request, and where it does not go."""

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gaia_checks.probes import client
from tests.probes.servers import RUN, serving, target


async def echo(request: Request) -> Response:
    """Answer with the request's headers."""
    return JSONResponse(dict(request.headers))


def test_a_request_carries_run_and_token() -> None:
    """The server counts it as this run, and knows who asks."""
    with serving(Route("/", echo)) as url, client.client(target(url, admin_token="t0ken")) as http:
        headers = http.get("/").json()
    assert headers["x-api-key"] == f"gaia-run-{RUN}"
    assert headers["authorization"] == "Bearer t0ken"


def test_without_a_key_it_is_nobody() -> None:
    """An unkeyed client without a token carries neither."""
    with serving(Route("/", echo)) as url, client.client(target(url), keyed=False) as http:
        headers = http.get("/").json()
    assert "x-api-key" not in headers
    assert "authorization" not in headers


def test_no_redirect_is_followed() -> None:
    """What answers is the target; the token goes nowhere else."""

    async def away(_: Request) -> Response:
        return RedirectResponse("/elsewhere")

    with serving(Route("/", away), Route("/elsewhere", echo)) as url, client.client(target(url)) as http:
        assert http.get("/").status_code == 307


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment must not stand between us and the target."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(Route("/", echo)) as url, client.client(target(url)) as http:
        assert http.get("/").status_code == 200


def test_a_websocket_carries_the_token() -> None:
    """In the handshake's headers, never in the address."""
    assert client.websocket_headers(target("http://x", admin_token="t")) == {"Authorization": "Bearer t"}
    assert client.websocket_headers(target("http://x")) == {}
