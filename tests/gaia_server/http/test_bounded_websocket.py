"""WebSocket clients that flood or do not read, on raw sockets."""

import contextlib
import socket
import struct

import psutil
import pytest
from websockets.sync.client import connect

from gaia_server.http.bounded_websocket import MAX_FRAMES
from tests.gaia_server.conftest import Running
from tests.gaia_server.http.test_request_head import authorized, websocket
from tests.support import plain_http

FIN, RSV1, CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x40, 0, 1, 2, 8, 9, 10


def frame(first: int, payload: bytes = b"") -> bytes:
    """Return a masked frame; the mask is zero."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack("!H", size)
    return bytes([first]) + length + bytes(4) + payload


def handshake(server: Running) -> socket.socket:
    """Open a WebSocket; read nothing behind the response's head."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(websocket(more=authorized(server)))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return connection


def rest(connection: socket.socket) -> bytes:
    """Return what the server sends until the connection ends."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


FLOODS = {
    "ping": frame(FIN | PING, b"x" * 125),
    "empty-ping": frame(FIN | PING),
    "pong": frame(FIN | PONG),
    "text": frame(FIN | TEXT, b"{}"),
    "empty-text": frame(FIN | TEXT),
    "binary": frame(FIN | BINARY, bytes(4096)),
    "message-of-pieces": frame(TEXT, b"a") + frame(CONTINUATION, b"b") + frame(FIN | CONTINUATION),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_closed(server: Running, flood: bytes) -> None:
    """A client that sends frames without end and never reads is closed; memory stays, others are answered."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with handshake(server) as connection, contextlib.suppress(ConnectionError):
        for _ in range(64):
            connection.sendall(flood * (1024 * 1024 // len(flood)))
        pytest.fail("the server took everything")
    assert plain_http.get(f"{server.base_url}/livez").status_code == 200
    assert process.memory_info().rss - before < 16 * 1024 * 1024


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_the_reason_is_sent(server: Running, flood: bytes) -> None:
    """The close frame of a flooded connection says why."""
    with handshake(server) as connection:
        connection.sendall(flood * (MAX_FRAMES + 1))
        assert b"\x03\xf0more than 200 frames within 10 s" in rest(connection)


REFUSED = {
    "endless message": (frame(TEXT) + frame(CONTINUATION) * (MAX_FRAMES + 1), 1008),
    "compressed": (frame(FIN | RSV1 | TEXT, b"\xaa" * 10), 1002),
    "too long": (frame(FIN | TEXT, bytes(4097)), 1009),
    "too long in pieces": (frame(TEXT, bytes(4000)) + frame(CONTINUATION, bytes(97)), 1009),
    "claims a terabyte": (bytes([FIN | BINARY, 0xFF]) + struct.pack("!Q", 2**40), 1009),
    "not masked": (bytes([FIN | TEXT, 1]) + b"a", 1002),
    "unknown opcode": (frame(FIN | 3), 1002),
    "long ping": (frame(FIN | PING, bytes(126)), 1002),
    "ping in pieces": (frame(PING), 1002),
    "continues nothing": (frame(FIN | CONTINUATION), 1002),
    "not text": (frame(FIN | TEXT, b"\xff"), 1007),
    "close code": (frame(FIN | CLOSE, struct.pack("!H", 1005)), 1002),
    "close within a message": (frame(TEXT) + frame(FIN | CLOSE), 1002),
    "close of one byte": (frame(FIN | CLOSE, b"\x03"), 1002),
    "close": (frame(FIN | CLOSE, struct.pack("!H", 1000)) + frame(FIN | PING) * 300, 1000),
}


def test_invalid_frames_are_closed(own: Running) -> None:
    """A frame that breaks the protocol, or that only a compression would allow, ends with a close frame."""
    for name, (sent, code) in REFUSED.items():
        with handshake(own) as connection:
            connection.sendall(sent)
            assert struct.pack("!H", code) in rest(connection), name
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_pings_are_answered(server: Running) -> None:
    """A client may ping, even often."""
    with connect(server.websocket_url, compression="deflate", additional_headers=server.bearer) as client:
        assert all(client.ping().wait(5) for _ in range(MAX_FRAMES // 2))
