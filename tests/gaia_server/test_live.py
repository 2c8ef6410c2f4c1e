"""The WebSocket over a real connection."""

import json
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.gaia_server.conftest import TOKEN, Running, Start
from tests.support import plain_http


def receive(websocket: ClientConnection, kind: str, *, within_s: float = 11.0) -> dict[str, Any]:
    """Return the next message of a type."""
    deadline = time.monotonic() + within_s
    while True:
        message: dict[str, Any] = json.loads(websocket.recv(timeout=max(deadline - time.monotonic(), 0)))
        if message["type"] == kind:
            return message


def refuse(server: Running, count: int, key: str = "refused") -> dict[str, Any]:
    """Create a rule and let it refuse `count` requests; return the rule."""
    rule = server.rule(scope_value=key, limit_value=0)
    for _ in range(count):
        assert server.get(f"{server.home}/usage", headers={"X-API-Key": key}).status_code == 429
    return rule


def test_message_intervals(server: Running) -> None:
    """Stats come at once and every 5 s, a heartbeat within 10 s, without a gap; messages of clients are ignored."""
    with connect(server.websocket_url, additional_headers=server.bearer) as websocket:
        for text in ("ping", b"\x00", "{"):
            websocket.send(text)
        started = time.monotonic()
        types: list[str] = []
        sequence: list[int] = []
        while "heartbeat" not in types or types.count("stats") < 2:
            message = json.loads(websocket.recv(timeout=6))
            types.append(message["type"])
            sequence.append(message["seq"])
            assert set(message) == {"type", "timestamp", "seq", "data"}
        assert time.monotonic() - started < 12
        assert types[0] == "stats"
        assert sequence == list(range(1, len(sequence) + 1))


def test_violations_and_alerts_are_pushed(start: Start) -> None:
    """Refusals arrive within a second from every process; more than 100 a minute raise one alert."""
    here, there = start(), start()
    bearer = here.bearer
    with (
        connect(here.websocket_url, additional_headers=bearer) as near,
        connect(there.websocket_url, additional_headers=bearer) as far,
    ):
        rule = refuse(here, 5)
        for websocket in (near, far):
            violation = receive(websocket, "violation", within_s=1)["data"]
            assert (violation["rule_id"], violation["rule_name"], violation["key"]) == (
                rule["id"],
                rule["rule_name"],
                "api_key:refused",
            )
            assert violation["hits"] >= 1
        refuse(here, 100, "more")
        for websocket in (near, far):
            alert = receive(websocket, "alert", within_s=1)["data"]
            assert (alert["name"], alert["state"], alert["threshold"]) == ("violations_per_minute", "firing", 100)
            assert alert["value"] > 100
            alerts = receive(websocket, "stats")["data"]["alerts"]
            assert alerts["firing"] == [alert]
            assert [(rule["name"], rule["threshold"]) for rule in alerts["watched"]] == [("violations_per_minute", 100)]
    (stored,) = here.get(f"{here.home}/alerts").json()["items"]
    assert (stored["state"], stored["fired_at"], stored["resolved_at"]) == ("firing", alert["since"], None)
    assert [line["msg"] for one in (here, there) for line in one.lines()].count("alert firing") == 1


def test_many_clients(server: Running) -> None:
    """Fifty clients all receive the same violation."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(server.websocket_url, additional_headers=server.bearer)) for _ in range(50)
        ]
        refuse(server, 1)
        assert {receive(client, "violation")["data"]["key"] for client in clients} == {"api_key:refused"}


def closed(url: str, **headers: str) -> int:
    """Return the close code of a connection that the server closes at once."""
    with connect(url, additional_headers=headers) as websocket, pytest.raises(ConnectionClosed) as caught:
        websocket.recv(timeout=5)
    assert caught.value.rcvd
    return caught.value.rcvd.code


def test_access(start: Start) -> None:
    """Only clients with the token connect, and never a page of another site."""
    server = start()
    bearer = server.bearer
    assert closed(server.websocket_url) == 4401
    assert closed(server.websocket_url, **bearer, Origin="https://evil.example") == 4403
    cookie = (
        plain_http.post(f"{server.base_url}/admin/login", json={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    )
    for headers in (bearer, {"Cookie": cookie}, {**bearer, "Origin": server.base_url}):
        with connect(server.websocket_url, additional_headers=headers) as websocket:
            assert receive(websocket, "stats")["seq"] == 1


def test_guesses(start: Start) -> None:
    """Wrong tokens are soon not compared; fifty clients with the right one, of the same address, are not affected."""
    server = start()
    wrong = {"Authorization": "Bearer not-the-admin-token"}
    with ExitStack() as stack:

        def soak(clients: int) -> list[ClientConnection]:
            headers = server.bearer
            return [
                stack.enter_context(connect(server.websocket_url, additional_headers=headers)) for _ in range(clients)
            ]

        early = soak(25)
        codes = [closed(server.websocket_url, **wrong) for _ in range(60)]
        assert codes == [4401] * 10 + [1013] * 50
        for client in (*early, *soak(25)):
            assert receive(client, "stats")["seq"] == 1


def test_without_a_token_nobody_connects(start: Start) -> None:
    """Without ADMIN_TOKEN a client on loopback under a loopback Host is refused as well."""
    assert closed(start(ADMIN_TOKEN="").websocket_url) == 4403


def test_names_full_of_quotes_reach_every_process(start: Start) -> None:
    """Violations that do not fit into one database notification reach the other processes, too."""
    here, there = start(TRUSTED_PROXIES="127.0.0.1"), start()
    here.rule(scope="session", limit_value=0)
    names = {f"{number:02}" + '"' * 198 for number in range(15)}
    with (
        connect(there.websocket_url, additional_headers=there.bearer) as far,
        httpx.Client(headers=here.bearer) as client,
    ):
        for _ in range(5):
            for name in names:
                assert client.get(f"{here.home}/usage", headers={"X-Session-ID": name}).status_code == 429
        assert {receive(far, "violation")["data"]["key"] for _ in names} <= {f"session:{name}" for name in names}
    assert {line["level"] for line in here.lines()} <= {"info", "warning"}
