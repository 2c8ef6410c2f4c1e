"""Tests of the HTTP client: attribution of errors, and no request on a closed connection."""

import errno
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest

from gaia_checks.load.engines import gevent_client
from gaia_checks.load.engines.gevent_client import GeventClient, NoReply
from gaia_checks.load.http.response_parser import HttpResponse

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def serving(*conversations: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection per conversation, one after the other, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for conversation in conversations:
            connection, _ = listening.accept()
            with connection:
                conversation(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        thread.join(5)


def replying(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answer successive requests with these bytes, then close the connection."""

    def converse(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(65_536)
            connection.sendall(answer)

    return converse


@contextmanager
def two_at_once(answer: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer two concurrent requests on two connections; set the event when the client closes one of them."""
    hung_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as one, listening.accept()[0] as other:
                for connection in (one, other):
                    connection.recv(65_536)
                for connection in (one, other):
                    connection.sendall(answer)
                over, _, _ = select.select([one, other], [], [], 10)
                if over and not over[0].recv(1):
                    hung_up.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", hung_up
        thread.join(5)


def silent(connection: socket.socket) -> None:
    """Read a request and wait until the client closes the connection."""
    while connection.recv(65_536):
        pass


def send_one(url: str, limit_s: float = 5) -> HttpResponse:
    """Send one request."""
    client = GeventClient(url, {"X-API-Key": "k"}, limit_s)
    try:
        return client.exchange("GET", "/health")
    finally:
        client.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (ANSWER, b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, b"{}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_every_framing_of_a_body_is_understood(answer: bytes, body: bytes) -> None:
    """The client reads bodies with a length, chunked, until the end of the connection, after a 1xx, and empty."""
    with serving(replying(answer)) as url:
        reply = send_one(url)
    assert (reply.status, reply.body) == (200, body)


def test_headers_are_found_in_any_case() -> None:
    """Header names are case-insensitive."""
    with serving(replying(b'HTTP/1.1 429 X\r\nRateLimit: "r";r=0\r\nContent-Length: 0\r\n\r\n')) as url:
        assert send_one(url).header("ratelimit") == '"r";r=0'


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        (replying(b""), "the server closed the connection before the response was complete"),
        (replying(ANSWER[:-1]), "the server closed the connection before the response was complete"),
        (replying(b"SSH-2.0-OpenSSH_9.2\r\n"), "the response is not HTTP: "),
        (silent, "no reply within 0.3 s"),
    ],
    ids=["hangs up", "stops half-way", "speaks something else", "is silent"],
)
def test_faults_of_the_server_are_attributed_to_it(conversation: Callable[[socket.socket], None], text: str) -> None:
    """A request without a complete HTTP response in time raises NoReply, whatever the reason, and is not retried."""
    with serving(conversation) as url, pytest.raises(NoReply, match=text):
        send_one(url, limit_s=0.3)


def test_running_out_of_descriptors_is_attributed_to_the_generator() -> None:
    """It raises OSError and is not attributed to the server."""
    with serving(replying(ANSWER)) as url:
        send_one(url)  # gevent opens its own descriptors on first use
        client = GeventClient(url, {}, 5)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as free:
            lowest = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            with pytest.raises(OSError, match="Too many open files") as failed:
                client.exchange("GET", "/")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failed.value.errno == errno.EMFILE


def test_a_live_connection_is_reused() -> None:
    """Two requests use one connection."""
    with serving(replying(ANSWER, ANSWER)) as url:
        client = GeventClient(url, {}, 5)
        assert [client.exchange("GET", "/").status for _ in range(2)] == [200, 200]
        client.close()
    assert client.retried == 0


def test_a_connection_that_only_a_stall_had_needed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client closes surplus connections during the load; the server would otherwise keep hundreds open."""
    monkeypatch.setattr(gevent_client, "_IDLE_LIMIT_S", 0.0)
    with two_at_once(ANSWER) as (url, hung_up), gevent.Timeout(5):
        client = GeventClient(url, {}, 5)
        gevent.joinall([gevent.spawn(client.exchange, "GET", "/") for _ in range(2)], raise_error=True)
        while not hung_up.is_set():
            gevent.sleep(0.01)
        client.close()


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    """The second request uses a new connection and counts as retried."""
    closed = threading.Event()

    def once(connection: socket.socket) -> None:
        replying(ANSWER)(connection)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serving(once, replying(ANSWER)) as url:
        client = GeventClient(url, {}, 5)
        client.exchange("GET", "/")
        assert closed.wait(5)
        assert client.exchange("GET", "/").status == 200
        client.close()
    assert client.retried == 1
