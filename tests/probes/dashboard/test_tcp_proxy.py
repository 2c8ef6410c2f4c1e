"""The TCP proxy: it forwards everything, and nothing while it is cut."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.probes.dashboard import tcp_proxy

LARGE = bytes(range(256)) * 20_000  # larger than any buffer on the way


class Echo(socketserver.BaseRequestHandler):
    """Echoes until the end of the stream, then closes."""

    def handle(self) -> None:
        """Serve one connection."""
        with suppress(ConnectionError):
            while heard := self.request.recv(65_536):
                self.request.sendall(heard)


@pytest.fixture(params=["127.0.0.1", "::1"])
def line(request: pytest.FixtureRequest) -> Iterator[tcp_proxy.TcpProxy]:
    """A proxy to an echo server, over IPv4 and IPv6."""
    kind = type("Server", (socketserver.ThreadingTCPServer,), {
        "address_family": socket.AF_INET6 if ":" in request.param else socket.AF_INET,
        "daemon_threads": True,
    })  # fmt: skip
    with kind((request.param, 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tcp_proxy.line(request.param, server.server_address[1]) as line:
            yield line
        server.shutdown()


def connect(line: tcp_proxy.TcpProxy) -> socket.socket:
    """Connect through the proxy."""
    return socket.create_connection(("127.0.0.1", line.port), timeout=5)


def echoed(connection: socket.socket, sent: bytes) -> bytes:
    """Send, and return as much of what comes back."""
    threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
    heard = b""
    while len(heard) < len(sent):
        heard += connection.recv(65_536)
    return heard


def is_over(connection: socket.socket) -> bool:
    """Whether the other side has closed."""
    with suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_carries_every_byte(line: tcp_proxy.TcpProxy) -> None:
    """Several connections carry much data, in order and complete."""
    with closing(connect(line)) as one, closing(connect(line)) as other:
        assert echoed(one, LARGE) == LARGE
        assert echoed(other, b"hello") == b"hello"


def test_a_cut_ends_every_connection_and_lets_nobody_through(line: tcp_proxy.TcpProxy) -> None:
    """A cut closes all connections until the proxy forwards again."""
    with closing(connect(line)) as one, closing(connect(line)) as other:
        assert echoed(one, b"hello") + echoed(other, b"hello") == b"hellohello"
        line.cut()
        assert is_over(one)
        assert is_over(other)
    with closing(connect(line)) as meanwhile:
        assert is_over(meanwhile)
    line.restore()
    with closing(connect(line)) as after:
        assert echoed(after, b"hello") == b"hello"


def test_the_far_side_sees_a_client_that_left() -> None:
    """The server sees a cut as a closed connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(5)
        with tcp_proxy.line("127.0.0.1", server.getsockname()[1]) as line, closing(connect(line)) as near:
            far, _ = server.accept()
            far.settimeout(5)
            with closing(far):
                near.sendall(b"x")
                assert far.recv(1) == b"x"
                line.cut()
                assert is_over(far)


def test_the_end_leaves_nobody_connected(line: tcp_proxy.TcpProxy) -> None:
    """At the end the proxy closes its connections and its port."""
    with tcp_proxy.line("127.0.0.1", line.port) as outer:
        connection = connect(outer)
        assert echoed(connection, b"hello") == b"hello"
    with closing(connection):
        assert is_over(connection)
    with pytest.raises(ConnectionRefusedError):
        connect(outer)


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    """A client of an unreachable server is disconnected at once, and the proxy continues."""
    with tcp_proxy.line("127.0.0.1", free_port()) as line:
        for _ in range(2):
            with closing(connect(line)) as connection:
                assert is_over(connection)
