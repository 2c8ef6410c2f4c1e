"""Headers of every request, and hosts that never receive them."""

import asyncio
import re
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from gaia_checks.model import Names
from gaia_checks.target import client
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import RUN, serving, target


async def echo(request: Request) -> Response:
    """Answer with the request's headers."""
    return JSONResponse(dict(request.headers))


def test_a_request_carries_run_and_token() -> None:
    """A keyed client sends the run's API key and the token."""
    with serving(Route("/", echo)) as url, client.client(target(url, admin_token="t0ken")) as http:
        headers = http.get("/").json()
    assert headers["x-api-key"] == target("http://x").key
    assert headers["authorization"] == "Bearer t0ken"


def test_without_a_key_it_is_nobody() -> None:
    """An unkeyed client without a token carries neither."""
    with serving(Route("/", echo)) as url, client.client(target(url), keyed=False) as http:
        headers = http.get("/").json()
    assert "x-api-key" not in headers
    assert "authorization" not in headers


def test_no_redirect_is_followed() -> None:
    """Redirects are not followed, so the token goes to no other host."""

    async def away(_: Request) -> Response:
        return RedirectResponse("/elsewhere")

    with serving(Route("/", away), Route("/elsewhere", echo)) as url, client.client(target(url)) as http:
        assert http.get("/").status_code == 307


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables of the environment are ignored."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(Route("/", echo)) as url, client.client(target(url)) as http:
        assert http.get("/").status_code == 200


def test_a_websocket_carries_the_token() -> None:
    """The token is in the handshake's headers, never in the URL."""
    assert client.websocket_headers(target("http://x", admin_token="t")) == {"Authorization": "Bearer t"}
    assert client.websocket_headers(target("http://x")) == {}


# a server that calls things otherwise ------------------------------------------------------------------

NAMES = Names(
    paths={"/api/admin/quotas/config": "/limits", "/metrics": "/prom"},
    fields={"rule_name": "name", "limit": "page_size"},
    metrics={"gaia_database_pool_max": "pool_max"},
)


async def create(request: Request) -> Response:
    """Echo the request, as a server that knows only its own names."""
    received = {"path": request.url.path, "query": request.url.query, "sent": await request.json()}
    location = str(request.url.replace(query="")) + "/7"
    return JSONResponse(
        {"name": "x", "length": request.headers["Content-Length"], **received}, 201, {"Location": location}
    )


async def metrics(_: Request) -> Response:
    """Answer with metrics."""
    return PlainTextResponse("pool_max 10\n")


SERVER = Mount("/gaia", routes=[Route("/limits", create, methods=["POST"]), Route("/prom", metrics)])

EXPECTED = {
    "rule_name": "x",
    "name": "x",
    "path": "/gaia/limits",
    "query": "page_size=5",
    "sent": {"rule_name": "n", "name": "n", "nested": [{"rule_name": 1, "name": 1}]},
}


def test_requests_and_answers_are_put_into_each_others_words() -> None:
    """Paths below the address, parameters, bodies and where a rule was created; the framing fits the new body."""
    with serving(SERVER) as url, client.client(target(f"{url}/gaia", names=NAMES)) as http:
        response = http.post(CONFIG, params={"limit": 5}, json={"rule_name": "n", "nested": [{"rule_name": 1}]})
        metrics = http.get("/metrics")
    body = response.json()
    assert int(body.pop("length")) == len('{"name": "n", "nested": [{"name": 1}]}')
    assert (response.status_code, body) == (201, EXPECTED)
    assert response.headers["Location"] == f"{url}/gaia{CONFIG}/7"
    assert response.request.url.path == f"/gaia{CONFIG}"
    assert metrics.text == "gaia_database_pool_max 10\n"


def test_looks_that_do_many_things_at_once_speak_the_same_words() -> None:
    """The same client for asyncio, with run and token."""

    async def ask(url: str) -> httpx.Response:
        async with client.async_client(target(f"{url}/gaia", names=NAMES, admin_token="t0ken")) as http:
            assert http.headers["X-API-Key"] == target("http://x").key
            assert http.headers["Authorization"] == "Bearer t0ken"
            return await http.post(CONFIG, params={"limit": 5}, json={"rule_name": "n", "nested": [{"rule_name": 1}]})

    with serving(SERVER) as url:
        assert asyncio.run(ask(url)).json().items() >= EXPECTED.items()


def test_what_is_no_json_is_sent_as_it_is() -> None:
    """Invalid input is translated without being repaired."""

    async def back(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    with serving(Route("/limits", back, methods=["POST"])) as url, client.client(target(url, names=NAMES)) as http:
        assert http.post(CONFIG, content=b'{"rule_name": ').content == b'{"rule_name": '


def test_a_websocket_is_where_the_server_has_it_and_says_our_words() -> None:
    """WebSocket paths are below the target's address; binary frames are not translated."""
    there = target("https://qa/gaia", names=Names({"/ws/admin/quotas": "/live"}, {"seq": "number"}))
    assert client.websocket_url(there, "/ws/admin/quotas") == "wss://qa/gaia/live"
    assert client.message(there, '{"number": 1}') == '{"seq": 1}'
    assert client.message(there, b'{"number": 1}') == b'{"number": 1}'


def test_a_runs_key_says_nothing_about_the_gate() -> None:
    """Neither the run id nor a word of ours; the same run has the same key, and the file may shape it."""
    known = target("http://x")
    assert re.fullmatch(r"client-[0-9a-f]{12}", known.key)
    assert known.key == target("http://y").key
    assert known.key != replace(known, run="20260226T100000Z-3fa9c2").key
    assert re.fullmatch(r"tenant:[0-9a-f]{12}:eu", replace(known, client_names="tenant:{}:eu").key)
    with client.client(target("http://127.0.0.1:9")) as http:
        assert not [value for value in http.headers.values() if "gaia" in value.lower() or RUN in value]
