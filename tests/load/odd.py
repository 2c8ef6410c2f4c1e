"""A server that answers oddly, in a way for each path `/NAME`: real ones do, under load, behind proxies, or broken."""

import contextlib
import gzip
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

BODY = b'{"a": 1}'
NO_REPLY = "no reply within"
CLOSED, RESET = "the server closed the connection before the response was complete", "Connection reset by peer"

Connection = socket.socket
Way = Callable[[Connection], bool]
"""Answer one request; return whether the connection is used again."""


def response(body: bytes = BODY, *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """Return a response with a right length."""
    lines = [f"HTTP/{version} {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


GOOD = response()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE, CHUNK = b"X: " + b"x" * 990 + b"\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"
WHOLE = b"8\r\n" + BODY + b"\r\n0\r\n\r\n"
BOMB = gzip.compress(bytes(40_000_000))


def says(*pieces: bytes) -> Way:
    """Send pieces and keep the connection."""

    def way(connection: Connection) -> bool:
        for piece in pieces:
            connection.sendall(piece)
        return True

    return way


def ends(*pieces: bytes) -> Way:
    """Send pieces and close the connection."""
    return lambda connection: says(*pieces)(connection) and False


def endless(start: bytes, piece: bytes) -> Way:
    """Send a piece again and again until the client has enough."""

    def way(connection: Connection) -> bool:
        for each in itertools.chain([start], itertools.repeat(piece * 100)):
            connection.sendall(each)
        return False

    return way


def resets(connection: Connection) -> bool:
    """Send a part and reset the connection."""
    connection.sendall(GOOD[:-4])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def waits(connection: Connection) -> bool:
    """Send nothing until the client leaves."""
    return bool(connection.recv(1))


@dataclass(frozen=True)
class Odd:
    """One way to answer, and what a load makes of it."""

    way: Way
    problem: str = ""  # a part of it; empty: the request is served
    alternatively: str = ""  # where a race decides, or the engine's own words


ODD: Mapping[str, Odd] = {
    "closes at once": Odd(ends(), CLOSED, RESET),
    "stops in the head": Odd(ends(GOOD[:20]), CLOSED),
    "stops in the body": Odd(ends(GOOD[:-1]), CLOSED),
    "resets in the middle": Odd(resets, CLOSED, RESET),
    "never answers": Odd(waits, NO_REPLY),
    "one byte at a time": Odd(says(*(GOOD[at : at + 1] for at in range(len(GOOD))))),
    "a length too short": Odd(says(GOOD.replace(b": 8", b": 7")), "the body is not JSON"),
    "a length too long": Odd(ends(GOOD.replace(b": 8", b": 9")), CLOSED),
    "two lengths": Odd(says(response(BODY, "Content-Length: 7")), "is not HTTP"),
    "a length below zero": Odd(says(GOOD.replace(b": 8", b": -8")), "is not HTTP"),
    "a length and chunks": Odd(says(CHUNKED[:-2] + b"Content-Length: 8\r\n\r\n" + WHOLE), "is not HTTP"),
    "endless headers": Odd(endless(b"HTTP/1.1 200 OK\r\n", LINE), "longer than 32 MB", NO_REPLY),
    "an endless body": Odd(endless(CHUNKED, CHUNK), "longer than 32 MB", NO_REPLY),
    "chunks of garbage": Odd(says(CHUNKED + b"ZZ\r\nodd\r\n"), "is not HTTP"),
    "chunks without an end": Odd(ends(CHUNKED + b"8\r\n" + BODY + b"\r\n"), CLOSED),
    "HTTP/1.0 without a length": Odd(ends(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)),
    "HTTP/1.0 with one": Odd(ends(response(version="1.0"))),
    "HTTP/0.9": Odd(ends(BODY), "is not HTTP"),
    "a redirect to itself": Odd(says(response(b"", "Location: /", status="302 Found")), "status 302 instead of 200"),
    "100 Continue before": Odd(says(b"HTTP/1.1 100 Continue\r\n\r\n", GOOD)),
    "103 Early Hints before": Odd(says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + GOOD)),
    "100 Continue and no more": Odd(ends(b"HTTP/1.1 100 Continue\r\n\r\n"), CLOSED),
    "another protocol": Odd(says(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\n"), "is not HTTP"),
    "keep-alive, but closes": Odd(ends(response(BODY, "Connection: keep-alive", "Keep-Alive: timeout=60"))),
    "close, but stays": Odd(says(response(BODY, "Connection: close"))),
    "a gzip bomb": Odd(says(response(BOMB, "Content-Encoding: gzip")), "longer than 32 MB without gzip"),
    "gzip that is none": Odd(says(response(BODY, "Content-Encoding: gzip")), "the body is not gzip"),
    "half of a gzip": Odd(says(response(gzip.compress(BODY)[:-9], "Content-Encoding: gzip")), "the body is not gzip"),
    "204 with a body": Odd(says(response(status="204 No Content")), "status 204 instead of 200"),
    "two answers": Odd(says(GOOD + GOOD)),
    "an answer to nobody": Odd(says(GOOD + response(b"nobody's"))),
    "a huge status line": Odd(says(response(status="200 " + "x" * 100_000))),
    "no status": Odd(says(GOOD.replace(b"200", b"odd")), "is not HTTP"),
    "a status of none": Odd(says(response(status="999 X")), "status 999 instead of 200"),
    "NUL in the head": Odd(says(response(BODY, "X-Odd: a\0b")), "is not HTTP"),
    "NUL in the body": Odd(says(response(b'{"a": \0}')), "the body is not JSON"),
    "deep JSON": Odd(says(response(b"[" * 100_000)), "the body is not JSON"),
    "TLS on a plain port": Odd(ends(b"\x15\x03\x01\x00\x02\x02\x46"), "is not HTTP"),
    "SSH": Odd(ends(b"SSH-2.0-OpenSSH_9.2\r\n"), "is not HTTP"),
}  # fmt: skip
"""Name -> how it answers."""

NAMES = dict(enumerate(ODD))


class OddServer:
    """Counts the requests for each name, and answers them."""

    def __init__(self, listening: socket.socket) -> None:
        self.received: Counter[str] = Counter()
        self.settled = threading.Event()  # the last request was answered, and its connection closed if it has to be
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._listening = listening

    def accept(self) -> None:
        """Serve each connection in a thread of its own until the listening socket is shut down."""
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with contextlib.suppress(OSError):
            self._answer(connection)
        self.settled.set()

    def _answer(self, connection: Connection) -> None:
        with connection:
            connection.settimeout(30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := connection.recv(65_536):
                name = NAMES[int(head.split(b" ")[1].strip(b"/"))]
                self.settled.clear()
                self.received[name] += 1
                if not ODD[name].way(connection):
                    return
                self.settled.set()


@contextmanager
def serving() -> Iterator[OddServer]:
    """Run the server in this process."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        server = OddServer(listening)
        thread = threading.Thread(target=server.accept)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
