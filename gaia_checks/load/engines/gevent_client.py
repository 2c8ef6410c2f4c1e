"""An HTTP/1.1 keep-alive client for load generation, over gevent sockets.

It differs from a general client in two ways. It never writes to a connection that the server may have closed: it first
drops connections that were idle for longer than servers allow, or that have become readable. And every error has an
owner: `NoReply` is the server's fault, anything else is the generator's.
"""

import errno
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import monkey, socket

from gaia_checks.load.http import request_bytes
from gaia_checks.load.http.response_parser import HttpResponse, NotHttp, Parser, Plain

_IDLE_LIMIT_S = 2.0  # uvicorn and Node close after 5 s; a request must not race with that
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_BLOCK = 65_536
_POLLIN = 1

_poll = monkey.get_original("select", "poll")  # locust replaces it with one that yields to other greenlets


class NoReply(Exception):
    """The server did not answer: it refused or closed the connection, timed out, or did not speak HTTP."""


@dataclass(slots=True)
class _Connection:
    sock: Any
    poll: Any  # reports whether data is readable
    used_s: float = 0.0  # when it last became idle

    @property
    def readable(self) -> bool:
        """Whether an idle connection has data to read: its end, or an unsolicited response."""
        return bool(self.poll.poll(0))


class GeventClient:
    """Sends requests to one server. Every request in flight uses a connection of its own."""

    def __init__(self, base_url: str, headers: Mapping[str, str], limit_s: float) -> None:
        """Resolve the host once. Every request carries `headers` and has a time limit of `limit_s`.

        Raises OSError when the name is unknown.
        """
        url = urlsplit(base_url)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._host = url.hostname or ""
        port = url.port or (443 if self._tls else 80)
        self._family, _, _, _, self._address = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)[0]
        self._headers = request_bytes.common_headers(base_url, headers)
        self._limit_s = limit_s
        self._prefix = request_bytes.prefix(base_url)
        self._idle: deque[_Connection] = deque()  # most recently used last
        self._plain = Plain()
        self.retried = 0  # requests moved to another connection because theirs was closed before a byte was written

    def render(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the bytes of a request to this server."""
        return request_bytes.render(
            method, self._prefix + path, request_bytes.merged(self._headers, headers or {}), body
        )

    def exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> HttpResponse:
        """Send one request and return the complete response. Raises NoReply; OSError for a local fault."""
        return self.send(method, self.render(method, path, body))

    def send(self, method: str, data: bytes) -> HttpResponse:
        """Send the bytes from `render`. Raises as `exchange` does."""
        try:
            with gevent.Timeout(self._limit_s):
                return self._exchange(method, data)
        except gevent.Timeout:
            raise NoReply(f"no reply within {self._limit_s:g} s") from None
        except NotHttp as error:
            raise NoReply(f"the response is not HTTP: {error}") from error
        except OSError as error:
            if error.errno in _OURS:
                raise
            raise NoReply(f"the connection failed: {error.strerror or error}") from error

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().sock.close()

    def _exchange(self, method: str, data: bytes) -> HttpResponse:
        connection = self._begin(data)
        try:
            answer = self._receive(connection.sock, method)
        except BaseException:  # also gevent's time limit: a partial response must not stay in a pooled connection
            connection.sock.close()
            raise
        if answer.keep:
            self._keep(connection)
        else:
            connection.sock.close()
        return answer

    def _keep(self, connection: _Connection) -> None:
        """Return a connection to the pool, and close those that only a stall had needed."""
        connection.used_s = time.monotonic()
        self._idle.append(connection)
        while connection.used_s - self._idle[0].used_s > _IDLE_LIMIT_S:
            self._idle.popleft().sock.close()

    def _begin(self, data: bytes) -> _Connection:
        """Write `data` to a connection and return it."""
        while (connection := self._pooled()) is not None:
            try:
                sent = connection.sock.send(data)
            except OSError:  # closed before a byte was written: the server has not received the request
                connection.sock.close()
                self.retried += 1
                continue
            return _write_rest(connection, data[sent:])
        return _write_rest(self._connect(), data)

    def _connect(self) -> _Connection:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(self._address)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:  # also gevent's time limit
            sock.close()
            raise
        poll = _poll()
        poll.register(sock.fileno(), _POLLIN)
        return _Connection(sock, poll)

    def _pooled(self) -> _Connection | None:
        """Return the most recently used connection that the server cannot have closed."""
        while self._idle:
            connection = self._idle.pop()
            if time.monotonic() - connection.used_s > _IDLE_LIMIT_S:
                connection.sock.close()
                self.close()  # the others were idle for longer
            elif connection.readable:
                connection.sock.close()
                self.retried += 1
            else:
                return connection
        return None

    def _receive(self, sock: Any, method: str) -> HttpResponse:
        data = sock.recv(_BLOCK)
        if (answer := self._plain.read(method, data)) is not None:
            return answer
        parser = Parser(method)
        while data:
            if (answer := parser.feed(data)) is not None:
                return answer
            data = sock.recv(_BLOCK)
        if (answer := parser.end()) is not None:
            return answer
        raise NoReply("the server closed the connection before the response was complete")


def _write_rest(connection: _Connection, data: bytes) -> _Connection:
    try:
        if data:
            connection.sock.sendall(data)
    except BaseException:  # also gevent's time limit
        connection.sock.close()
        raise
    return connection
