"""Notifications as JSON by HTTP POST. The text of a failure names no URL: it may contain a secret."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from gaia_server import __version__
from gaia_server.encoding import encode

TIMEOUT_S = 10.0
"""How long a receiver may take in all, from the look-up of its name to the head of its answer."""

_READ = 16 * 1024
"""The bytes that are read at once, and within which the head of the answer must end."""

_TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


def message(alert: Mapping[str, Any]) -> bytes:
    """Return the body for an alert's state: `title`, `body` and `type` as the Apprise API takes them, and the alert."""
    firing = alert["state"] == "firing"
    title = f"{alert['severity']}: {alert['name']}" if firing else f"resolved: {alert['name']}"
    body = f"{alert['says']} (value {alert['value']}, threshold {alert['threshold']})"
    kind = _TYPES.get(alert["severity"], "warning") if firing else "success"
    return encode({"title": title, "body": body, "type": kind, "alert": dict(alert)}).encode()


async def post(url: str, body: bytes) -> str | None:
    """Send `body` to an http or https URL; return why it was not accepted, None if it was. A redirect is refused."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status = await _status(urlsplit(url), body)
    except (OSError, UnicodeError, h11.RemoteProtocolError) as error:
        return f"not delivered: {_cause(error)}"
    return None if 200 <= status < 300 else f"refused with status {status}"


async def _status(url: SplitResult, body: bytes) -> int:
    encrypted = url.scheme == "https"
    port = url.port or (443 if encrypted else 80)
    reader, writer = await asyncio.open_connection(url.hostname, port, ssl=_tls() if encrypted else None)
    try:
        http = h11.Connection(h11.CLIENT)
        for part in (_request(url, len(body)), h11.Data(body), h11.EndOfMessage()):
            writer.write(http.send(part) or b"")
        received = 0
        while not isinstance(event := http.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                if received >= _READ:  # interim answers without end would keep the event loop busy
                    raise h11.RemoteProtocolError("the head of the answer is too large")
                http.receive_data(data := await reader.read(_READ))
                received += len(data)
        return event.status_code
    finally:
        writer.transport.abort()  # the rest of the answer does not matter


def _request(url: SplitResult, length: int) -> h11.Request:
    headers = [
        ("Host", url.netloc.rpartition("@")[2]),
        ("Content-Type", "application/json"),
        ("Content-Length", str(length)),
        ("User-Agent", f"gaia_server/{__version__}"),
        ("Connection", "close"),
    ]
    if url.username is not None:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(login).decode()}"))
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return h11.Request(method="POST", target=target, headers=headers)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _cause(error: Exception) -> str:
    """Return the kind of a failure: the error's own text may name the host."""
    match error:
        case TimeoutError():
            return f"no answer within {TIMEOUT_S:g} s"
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case ssl.SSLError():
            return "it does not speak TLS"
        case socket.gaierror() | UnicodeError():
            return "its name is not known"
        case h11.RemoteProtocolError():
            return "it does not speak HTTP"
        case ConnectionRefusedError():
            return "connection refused"
        case _:
            return "the connection failed"
