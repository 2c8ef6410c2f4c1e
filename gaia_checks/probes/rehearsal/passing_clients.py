"""Clients that come and go in every way: answered, refused, broken off in the middle, with a WebSocket.

They write HTTP/1.1 themselves: the client of a library always ends properly.
"""

import asyncio
import base64
import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gaia_checks import contract
from gaia_checks.contract import USER_AGENT
from gaia_checks.contract.adapter import HttpRequest
from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import authorization, key, websocket_headers, websocket_url
from gaia_checks.target.responses import CONFIG, QUOTAS
from gaia_checks.target.samples import Score
from gaia_checks.target.ws_messages import PATH

AT_ONCE = 50
"""How many connections are open at the same time."""

_GROUP_S = 0.1  # at least: 500 clients a second show a leak by time as well
_ANSWER_S = 30.0  # a slow machine explains no more than this
_SILENT = 3  # unanswered clients, after which no more are sent
_SWITCHES = 101
_CLOSE_FRAME = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # code 1000, with a mask of zeros
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_LINGER_0 = struct.pack("ii", 1, 0)  # closing sends RST


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class ClientKind:
    """One way to come and go. A client connects, sends, waits for its answer if there is one, and leaves."""

    name: str  # in the plural
    sends: Callable[[int], bytes]  # what the n-th client sends
    waits: bool = True
    farewell: bytes = b""
    by_websocket: bool = False


@dataclass
class PassingClients:
    """Sends clients of each kind to one server, and counts those that got no answer."""

    target: Target
    deadline_s: float  # on the monotonic clock: later nothing is sent
    answers: Score = field(default_factory=Score)

    async def send(self, kind: ClientKind, number: int) -> int:
        """Send up to `number` clients, AT_ONCE at a time; return how many were sent."""
        sent = 0
        while sent < number and not self._is_over():
            group = range(sent, min(sent + AT_ONCE, number))
            here, _ = await asyncio.gather(self._come_all(kind, group), asyncio.sleep(_GROUP_S))
            await asyncio.gather(*(self._leave(kind, one, streams) for one, streams in zip(group, here, strict=True)))
            sent = group.stop
        return sent

    async def _come_all(self, kind: ClientKind, group: range) -> list[Streams | None]:
        return await asyncio.gather(*(self._come(kind, one) for one in group))

    def _is_over(self) -> bool:
        return time.monotonic() > self.deadline_s or len(self.answers.wrong) >= _SILENT

    async def _come(self, kind: ClientKind, number: int) -> Streams | None:
        address = urlsplit(self.target.base_url)
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(kind.sends(number))
                status = await _status(reader) if kind.waits else 0
        except (OSError, EOFError, TimeoutError) as error:
            self.answers.add(f"no answer to {kind.name}: {type(error).__name__} {error}".rstrip())
            return None
        if kind.waits:
            self.answers.add(None)
        if kind.waits and kind.by_websocket and status != _SWITCHES:
            raise Inconclusive(f"{PATH}: the handshake was answered {status} instead of {_SWITCHES}")
        return reader, writer

    async def _leave(self, kind: ClientKind, number: int, streams: Streams | None) -> None:
        """Close the connection; of clients that break off, every second one resets it."""
        if streams is None:
            return
        reader, writer = streams
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            if kind.farewell:
                writer.write(kind.farewell)
                async with asyncio.timeout(_ANSWER_S):
                    await reader.read()
            elif number % 2 and (kind.by_websocket or not kind.waits):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _status(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end, or a handshake's; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split()[1:2]
    if status != [b"101"]:
        await reader.read()
    return int(status[0]) if status and status[0].isdigit() else 0


def lasting(target: Target, path: str) -> bytes:
    """Return a request whose connection stays open."""
    return _request(target, "GET", path, connection="keep-alive")


async def repeat(target: Target, path: str, number: int, over: threading.Event, pause_s: float = 0.0) -> int:
    """Send `number` equal requests on some connections that stay open; return how many were answered.

    Each connection pauses after an answer. Raises Inconclusive when the gate is over before.
    """
    request = lasting(target, path)
    share, more = divmod(number, AT_ONCE)
    answered = await asyncio.gather(
        *(_repeat(target, request, share + (each < more), over, pause_s) for each in range(AT_ONCE))
    )
    return sum(answered)


async def _repeat(target: Target, request: bytes, number: int, over: threading.Event, pause_s: float) -> int:
    address, answered = urlsplit(target.base_url), 0
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        with contextlib.closing(writer):
            while answered < number:
                if over.is_set():
                    raise Inconclusive("the gate was over before all requests were answered")
                writer.write(request)
                async with asyncio.timeout(_ANSWER_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(content_length(head))
                answered += 1
                await asyncio.sleep(pause_s)
    return answered


def content_length(head: bytes) -> int:
    """Return the length of a body. Raises EOFError where the head does not say it."""
    found = _CONTENT_LENGTH.search(head)
    if found is None:
        raise EOFError("no Content-Length")
    return int(found[1])


def kinds(target: Target, refused_key: str) -> tuple[ClientKind, ...]:
    """Return all kinds; a rule refuses what carries `refused_key`."""
    admitted = _request(target, "GET", f"{CONFIG}?limit=1")
    refused = _request(target, "GET", f"{CONFIG}?limit=1", {"X-API-Key": refused_key})
    post = _request(target, "POST", CONFIG, body={"rule_name": "x" * 1000})
    handshake = _handshake(target)
    errors = _errors(target)
    login = [_login(target, token) for token in (target.admin_token, "wrong")]
    broken_off = (admitted[: len(admitted) // 2], post[:-500], admitted)
    return (
        ClientKind("admitted requests", lambda _: admitted),
        ClientKind("refused requests", lambda _: refused),
        ClientKind("faulty requests", lambda number: errors[number % len(errors)]),
        ClientKind("logins", lambda number: login[number % len(login)]),
        ClientKind("requests broken off", lambda number: broken_off[number % len(broken_off)], waits=False),
        ClientKind("connections without a request", lambda _: b"", waits=False),
        ClientKind("closed WebSockets", lambda _: handshake, farewell=_CLOSE_FRAME, by_websocket=True),
        ClientKind("abandoned WebSockets", lambda _: handshake, by_websocket=True),
        ClientKind("handshakes broken off", lambda _: handshake[:-2], waits=False, by_websocket=True),
        ClientKind("handshakes not awaited", lambda _: handshake, waits=False, by_websocket=True),
    )


def _errors(target: Target) -> list[bytes]:
    """Return requests that must be refused: not found, of another method, taken, invalid, without a token, no HTTP."""
    requests = [
        _request(target, "GET", f"{CONFIG}/999999999"),
        _request(target, "GET", f"{QUOTAS}/gaia-resources"),
        _request(target, "PATCH", CONFIG),
        _request(target, "POST", CONFIG, body=rules.for_one_key(key(target), "requests_per_second", 1000)),
        _request(target, "POST", CONFIG, body={"rule_name": ""}),
        _request(target, "POST", CONFIG, content=b"{"),
        _request(target, "GET", CONFIG, {"Authorization": ""}),
        _request(target, "GET", CONFIG, {"Authorization": "Bearer wrong"}),
    ]
    return [*requests, b"this is not HTTP\r\n\r\n"]


def _login(target: Target, token: str | None) -> bytes:
    return _request(target, "POST", "/admin/login", {"Authorization": ""}, body={"token": token})


def _request(
    target: Target,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    body: Any = None,
    content: bytes = b"",
    connection: str = "close",
) -> bytes:
    """Return a request in the target's names; by default its connection closes after it."""
    own = {"X-API-Key": key(target), **authorization(target), **(headers or {})}
    theirs = contract.outgoing(
        target.names, HttpRequest(method, path, {name: value for name, value in own.items() if value}, body)
    )
    content = json.dumps(theirs.body).encode() if theirs.body is not None else content
    sized = {"Content-Type": "application/json", "Content-Length": str(len(content))} if content else {}
    return _head(target, theirs.method, theirs.path, {**theirs.headers, **sized, "Connection": connection}) + content


def _handshake(target: Target) -> bytes:
    path = urlsplit(websocket_url(target, PATH)).path
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Extensions": "permessage-deflate",
    }
    return _head(target, "GET", path, {**websocket_headers(target), **upgrade})


def _head(target: Target, method: str, path: str, headers: Mapping[str, str]) -> bytes:
    fields = {"Host": urlsplit(target.base_url).netloc, "User-Agent": USER_AGENT, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()
