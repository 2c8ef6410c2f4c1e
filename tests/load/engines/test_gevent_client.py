"""The HTTP client: whose fault an error is, and that no request meets a dead connection."""

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
from gaia_checks.load.engines.gevent_client import Client, NoReply
from gaia_checks.load.http.response_parser import Answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def talking(*conversations: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection after the other and let each conversation have one, in a real thread."""
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


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answer one request after the other with these bytes, then hang up."""

    def converse(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(65_536)
            connection.sendall(answer)

    return converse


@contextmanager
def two_at_once(answer: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer two requests on two connections when both are there; tell when one of them was hung up."""
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
    """Take a request and wait until the client hangs up."""
    while connection.recv(65_536):
        pass


def ask(url: str, limit_s: float = 5) -> Answer:
    """Send one request."""
    client = Client(url, {"X-API-Key": "k"}, limit_s)
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
    """By length, in chunks, until the end of the connection, behind an interim answer, or empty."""
    with talking(saying(answer)) as url:
        reply = ask(url)
    assert (reply.status, reply.body) == (200, body)


def test_headers_are_found_in_any_case() -> None:
    """Names in any case mean the same."""
    with talking(saying(b'HTTP/1.1 429 X\r\nRateLimit: "r";r=0\r\nContent-Length: 0\r\n\r\n')) as url:
        assert ask(url).header("ratelimit") == '"r";r=0'


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        (saying(b""), "the server closed the connection before the response was complete"),
        (saying(ANSWER[:-1]), "the server closed the connection before the response was complete"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "the response is not HTTP: "),
        (silent, "no reply within 0.3 s"),
    ],
    ids=["hangs up", "stops half-way", "speaks something else", "is silent"],
)
def test_what_the_server_does_is_its_own_failure(conversation: Callable[[socket.socket], None], text: str) -> None:
    """No whole HTTP answer in time is NoReply, whatever the reason, and is never asked again."""
    with talking(conversation) as url, pytest.raises(NoReply, match=text):
        ask(url, limit_s=0.3)


def test_running_out_of_descriptors_is_our_own_failure() -> None:
    """It comes as the OSError that it is, so that nobody blames the server."""
    with talking(saying(ANSWER)) as url:
        ask(url)  # whatever gevent opens once is open now
        client = Client(url, {}, 5)
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


def test_a_connection_is_used_again_while_it_lives() -> None:
    """Two requests, one connection."""
    with talking(saying(ANSWER, ANSWER)) as url:
        client = Client(url, {}, 5)
        assert [client.exchange("GET", "/").status for _ in range(2)] == [200, 200]
        client.close()
    assert client.retried == 0


def test_a_connection_that_only_a_stall_had_needed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the end of the load: the server would hold hundreds open for nothing."""
    monkeypatch.setattr(gevent_client, "_IDLE_LIMIT_S", 0.0)
    with two_at_once(ANSWER) as (url, hung_up), gevent.Timeout(5):
        client = Client(url, {}, 5)
        gevent.joinall([gevent.spawn(client.exchange, "GET", "/") for _ in range(2)], raise_error=True)
        while not hung_up.is_set():
            gevent.sleep(0.01)
        client.close()


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    """The second request goes over a new connection and is counted as having done so."""
    closed = threading.Event()

    def once(connection: socket.socket) -> None:
        saying(ANSWER)(connection)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with talking(once, saying(ANSWER)) as url:
        client = Client(url, {}, 5)
        client.exchange("GET", "/")
        assert closed.wait(5)
        assert client.exchange("GET", "/").status == 200
        client.close()
    assert client.retried == 1
