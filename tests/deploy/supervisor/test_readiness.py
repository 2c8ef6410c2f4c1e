"""What a starting server answers, in words: real sockets that answer anything."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gaia_checks.deploy.supervisor import readiness
from gaia_checks.deploy.supervisor.spawn import free_port, listen

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Answer each connection with the next of `answers`, and close it; yield the port."""
    with listen("127.0.0.1", 0) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def ask(port: int, *paths: str) -> readiness.ReadinessAnswer:
    """Ask once, for at most half a second."""

    async def once() -> readiness.ReadinessAnswer:
        async with readiness.client(port) as http:
            return await readiness.ask(http, paths, 0.5)

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "GET /ready answered 200"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, "GET /ready answered 204"),
        (b"HTTP/1.0 500 No\r\n\r\n\r\n no database \r\nmore", 500, "GET /ready answered 500: no database"),
        (
            b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwait\n\r\n0\r\n\r\n",
            503,
            "GET /ready answered 503: wait",
        ),
        (b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, "GET /ready answered 302"),
        (b"", 0, "GET /ready: Server disconnected without sending a response."),
    ],
    ids=["ready", "no body", "first line", "chunks", "redirected", "hung up"],
)
def test_an_answer_is_said_with_its_status_and_first_line(answer: bytes, status: int, message: str) -> None:
    """Whatever the server answers, in one line."""
    with answering(answer) as port:
        assert ask(port, "/ready") == readiness.ReadinessAnswer(status, message)


def test_no_http_is_no_answer() -> None:
    """A server of another protocol."""
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        answer = ask(port, "/ready")
    assert answer.status == 0
    assert answer.message.startswith("GET /ready: ")


def test_a_refused_connection_and_silence_are_distinguished() -> None:
    """Nobody listens; somebody listens and never answers."""
    assert ask(free_port(), "/ready") == readiness.ReadinessAnswer(0, "GET /ready: connection refused")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ask(silent.getsockname()[1], "/ready").message == "GET /ready: no answer within 0.5 s"


def test_without_a_readiness_path_health_decides() -> None:
    """The contract's /readyz, else /health."""
    with answering(NOT_FOUND, b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nsick") as port:
        assert ask(port) == readiness.ReadinessAnswer(500, "GET /health answered 500: sick")
