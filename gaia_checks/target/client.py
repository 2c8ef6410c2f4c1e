"""HTTP and WebSocket access to the target: time limits, identity, the admin token and the target's own names.

Callers use the contract's names. Where the target's names differ, outgoing requests are translated into its names,
and incoming answers and messages into the contract's.
"""

import ipaddress
import json
import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx

from gaia_checks import contract
from gaia_checks.contract import USER_AGENT
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.target import ws_messages

CONNECT_S = 5.0
READ_S = 10.0

_FRAMING = ("content-length", "content-encoding", "transfer-encoding")
"""Headers about the body's framing, which a translated body changes."""

OWN = ("X-API-Key", "Authorization")
"""Headers of the gate, which an adapter may translate."""


def key(target: Target) -> str:
    """Return the API key under which the server counts this run's requests."""
    return target.key


def client(target: Target, *, keyed: bool = True) -> httpx.Client:
    """Return a client for paths below the target's address; with `keyed`, it counts as this run.

    It follows no redirect and uses no proxy: only the target may answer, and receive the token.
    Raises TargetUnreachable when the host name cannot be resolved in time.
    """
    resolve(target.base_url)
    return _Client(target, keyed=keyed)


def async_client(target: Target, *, keyed: bool = True) -> httpx.AsyncClient:
    """Return the same as `client`, for concurrent requests. The host name is not resolved first."""
    return _AsyncClient(target, keyed=keyed)


def websocket_url(target: Target, path: str) -> str:
    """Return the target's URL of a WebSocket of the contract."""
    return target.websocket_url + contract.outgoing(target.names, HttpRequest("GET", path)).path


def message(target: Target, frame: str | bytes) -> str | bytes:
    """Return a WebSocket frame, translated into the contract's names."""
    if isinstance(frame, str):
        return contract.our_message(target.names, frame)
    return frame


def reply(target: Target, frame: str | bytes) -> str | None:
    """Return what a client of the target must send after a WebSocket frame, None for nothing."""
    return contract.reply(target.names, frame)


def authorities() -> ssl.SSLContext:
    """Return what every client of the gate trusts: the system's authorities, or those of SSL_CERT_FILE."""
    return ssl.create_default_context()


def trust(base_url: str) -> ssl.SSLContext | bool:
    """Return the trusted authorities; False without TLS."""
    return base_url.startswith("https") and authorities()


def websocket_headers(target: Target) -> dict[str, str]:
    """Return the headers of a WebSocket handshake; the token travels here, never in the URL."""
    request = HttpRequest("GET", ws_messages.PATH, authorization(target))
    return dict(contract.outgoing(target.names, request).headers)


def resolve(base_url: str) -> None:
    """Resolve the host name with a time limit, which the system's own resolver lacks.

    Raises TargetUnreachable when it does not resolve in time.
    """
    host = httpx.URL(base_url).host
    failed: list[OSError | None] = []
    lookup = threading.Thread(target=lambda: failed.append(_lookup_error(host)), daemon=True)
    if _is_address(host):
        return
    lookup.start()
    lookup.join(CONNECT_S)
    if not failed:
        raise TargetUnreachable(
            f"{base_url}: the host name did not resolve within {CONNECT_S:.0f} s; check the name server"
        )
    if failed[0]:
        raise TargetUnreachable(f"{base_url}: the host name does not resolve: {failed[0]}; check base_url") from failed[
            0
        ]


class _Client(httpx.Client):
    def __init__(self, target: Target, *, keyed: bool) -> None:
        super().__init__(**_options(target, keyed=keyed))
        self._target = target

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request in the target's names and return the answer in the contract's."""
        response = super().send(_outgoing(self._target, request), **options)
        return _incoming(self._target, request, response)


class _AsyncClient(httpx.AsyncClient):
    def __init__(self, target: Target, *, keyed: bool) -> None:
        super().__init__(**_options(target, keyed=keyed))
        self._target = target

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request in the target's names and return the answer in the contract's."""
        response = await super().send(_outgoing(self._target, request), **options)
        return _incoming(self._target, request, response)


def _options(target: Target, *, keyed: bool) -> dict[str, Any]:
    return {
        "base_url": target.base_url,
        "headers": {
            "User-Agent": USER_AGENT,
            **({"X-API-Key": key(target)} if keyed else {}),
            **authorization(target),
        },
        "timeout": httpx.Timeout(READ_S, connect=CONNECT_S),
        "follow_redirects": False,
        "trust_env": False,
        "verify": trust(target.base_url),
    }


def _outgoing(target: Target, request: httpx.Request) -> httpx.Request:
    """Return the request in the target's names; unchanged without differing names."""
    if not target.translated:
        return request
    prefix, _ = _split(target, request.url.raw_path.decode("ascii"))
    ours = _plain(target, request)
    theirs = contract.outgoing(target.names, ours)
    others = [
        (name, value) for name, value in request.headers.multi_items() if name not in (*_FRAMING, *map(str.lower, OWN))
    ]
    return httpx.Request(
        theirs.method,
        request.url.copy_with(raw_path=(prefix + theirs.path).encode("ascii")),
        headers=[
            (name.encode("ascii"), value.encode(request.headers.encoding))  # not every value is ASCII
            for name, value in (*others, *theirs.headers.items())
        ],
        content=(request.content if theirs.body is None else json.dumps(theirs.body)) or None,
        extensions=request.extensions,
    )


def _plain(target: Target, request: httpx.Request) -> HttpRequest:
    """Return a request of the contract as adapters know it."""
    headers = {name: request.headers[name] for name in OWN if name in request.headers}
    _, path = _split(target, request.url.raw_path.decode("ascii"))
    return HttpRequest(request.method, path, headers, _json(request.content))


def _incoming(target: Target, sent: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Return the answer in the contract's names; unchanged without differing names."""
    if not target.translated:
        return response
    headers = _without_framing(response.headers)
    if location := headers.get("Location"):
        url = urlsplit(location)
        prefix, theirs = _split(target, url.path)
        headers["Location"] = url._replace(path=prefix + contract.our_path(target.names, theirs)).geturl()
    is_json = "json" in response.headers.get("Content-Type", "")
    answer = HttpAnswer(response.status_code, headers, _json(response.content) if is_json else None)
    ours = contract.incoming(target.names, _plain(target, sent), answer)
    return httpx.Response(ours.status, headers=ours.headers, content=_body(target, ours, response), request=sent)


def _body(target: Target, ours: HttpAnswer, response: httpx.Response) -> bytes:
    if ours.status == 204:  # it has none
        return b""
    if ours.body is not None:
        return json.dumps(ours.body).encode()
    if "text/plain" in response.headers.get("Content-Type", ""):
        return contract.our_metrics(target.names, response.text).encode()
    return response.content


def _json(content: bytes) -> Any:
    """Return the JSON value in a body; None for anything else."""
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _split(target: Target, path: str) -> tuple[str, str]:
    """Return the part of a path that belongs to the target's address, and the rest."""
    prefix = urlsplit(target.base_url).path
    return (prefix, path.removeprefix(prefix)) if path.startswith(f"{prefix}/") else ("", path)


def _without_framing(headers: httpx.Headers) -> httpx.Headers:
    return httpx.Headers([(name, value) for name, value in headers.multi_items() if name not in _FRAMING])


def authorization(target: Target) -> dict[str, str]:
    """Return the header with the admin token, if there is one, in the contract's words."""
    return {"Authorization": f"Bearer {target.admin_token}"} if target.admin_token else {}


def _lookup_error(host: str) -> OSError | None:
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return error
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
