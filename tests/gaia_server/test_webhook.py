"""Notifications by HTTP: what is sent, and what a failure says."""

import base64
import json
import socket
from collections.abc import Iterator

import pytest

from gaia_server import webhook
from tests.gaia_server.webhooks import Receiver, receiver

ALERT = {"state": "firing", "name": "a", "severity": "critical", "says": "it burns", "value": 9, "threshold": 5}


@pytest.fixture
def received() -> Iterator[Receiver]:
    """A server that receives."""
    with receiver() as found:
        yield found


def test_message() -> None:
    """The title names the severity, and the type that the Apprise API knows; a resolved alert is good news."""
    firing = json.loads(webhook.message(ALERT))
    assert firing == {
        "title": "critical: a",
        "body": "it burns (value 9, threshold 5)",
        "type": "failure",
        "alert": ALERT,
    }
    resolved = json.loads(webhook.message({**ALERT, "state": "resolved"}))
    assert (resolved["title"], resolved["type"]) == ("resolved: a", "success")


def test_post(received: Receiver) -> None:
    """The body arrives with the URL's path, query and credentials."""
    url = received.url.replace("//", "//ada:p%40ss@")
    assert webhook.post(f"{url}/hook?a=1", webhook.message(ALERT)) is None
    assert received.paths == ["/hook?a=1"]
    assert received.bodies[0]["alert"] == ALERT
    (headers,) = received.headers
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"ada:p@ss").decode()
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_refused(received: Receiver, status: int) -> None:
    """Only a status of 200 to 299 accepts; a redirect is not followed."""
    received.statuses = [status]
    assert webhook.post(f"{received.url}/secret", b"{}") == f"refused with status {status}"
    assert len(received.bodies) == 1


def test_a_failure_names_no_url() -> None:
    """An unreachable server, one that is no server, and one that does not exist: the text has no part of the URL."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    for url in (f"http://ada:canary@127.0.0.1:{port}/canary", "http://canary.invalid/", "https://127.0.0.1:1/canary"):
        failure = webhook.post(url, b"{}")
        assert failure
        assert failure.startswith("not delivered: ")
        assert "canary" not in failure
