"""Notifications by HTTP: what is sent, and what a failure says."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gaia_server.alerting import webhook
from tests.gaia_server.webhooks import Receiver, receiver

ALERT = {"state": "firing", "name": "a", "severity": "critical", "says": "it burns", "value": 9, "threshold": 5}


@pytest.fixture
def received() -> Iterator[Receiver]:
    """A server that receives."""
    with receiver() as found:
        yield found


def post(url: str, body: bytes = b"{}") -> str | None:
    """Send a body."""
    return asyncio.run(webhook.post(url, body))


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
    assert post(f"{url}/hook?a=1", webhook.message(ALERT)) is None
    assert received.paths == ["/hook?a=1"]
    assert received.bodies[0]["alert"] == ALERT
    (headers,) = received.headers
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"ada:p@ss").decode()
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_refused(received: Receiver, status: int) -> None:
    """Only a status of 200 to 299 accepts; a redirect is not followed."""
    received.statuses = [status]
    assert post(f"{received.url}/secret") == f"refused with status {status}"
    assert len(received.bodies) == 1


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://ada:canary@127.0.0.1:{free}/canary", "connection refused"),
        ("http://canary.invalid/", "its name is not known"),
        (f"http://canary{'x' * 64}.invalid/", "its name is not known"),
        ("https://127.0.0.1:{plain}/canary", "it does not speak TLS"),
        ("http://127.0.0.1:{strange}/canary", "it does not speak HTTP"),
    ],
)
def test_a_failure_names_no_url(received: Receiver, url: str, cause: str) -> None:
    """The text of a failure is its kind, and no part of the URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with answering(b"SSH-2.0-canary\r\n") as strange:
        plain = received.url.rpartition(":")[2]
        assert post(url.format(free=port, plain=plain, strange=strange)) == f"not delivered: {cause}"


def test_a_receiver_that_answers_bit_by_bit_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole request, not of each read."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.5)
    with answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, every_s=0.1) as port:
        assert post(f"http://127.0.0.1:{port}/") == "not delivered: no answer within 0.5 s"


def test_a_receiver_that_never_comes_to_its_answer_is_given_up() -> None:
    """Interim answers without end would keep the server from everything else."""
    with answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000 + b"HTTP/1.1 204 No Content\r\n\r\n") as port:
        assert post(f"http://127.0.0.1:{port}/") == "not delivered: it does not speak HTTP"


@contextmanager
def answering(answer: bytes, every_s: float = 0.0) -> Iterator[int]:
    """Answer one connection, line by line; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):  # the client has left, or there was none
                connection, _ = listening.accept()
                with connection:
                    for line in answer.splitlines(keepends=True):
                        connection.sendall(line)
                        time.sleep(every_s)  # the receiver is a slow one
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closing before would reset the connection
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
