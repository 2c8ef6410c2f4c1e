"""Checks of a request's head, made before the application receives it. Pure."""

import re
from collections.abc import Iterator, Sequence

from gaia_server.problem import Problem

Headers = Sequence[tuple[bytes, bytes]]

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]*)(:[0-9]{0,5})?")
"""A host and an optional port: no user, no list, nothing that another parser may read differently."""

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)


def refusal(method: str, version: str, headers: Headers) -> Problem | None:
    """Return why a request is refused whatever its path, None if it is not."""
    if method == "CONNECT":
        return Problem(405, "this server is not a proxy", headers={"Allow": "DELETE, GET, HEAD, POST, PUT"})
    hosts = list(_values(headers, b"host"))
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        return Problem(400, f"a request has exactly one Host header, this one has {len(hosts)}")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return Problem(400, "the Host header is not a host with an optional port")
    codings = [value.lower() for value in _values(headers, b"transfer-encoding")]
    if codings not in ([], [b"chunked"]):  # where such a body ends, only its coding says (RFC 9112 section 6.3)
        return Problem(400, "the only transfer coding that this server reads is chunked")
    return None


def origin_form(target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Return path and query of an absolute target, and the headers with its host (RFC 9112 section 3.2.2)."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, headers
    rest = absolute["rest"] if absolute["rest"].startswith(b"/") else b"/" + absolute["rest"]
    others = [(name, value) for name, value in headers if name != b"host"]
    return rest, [(b"host", absolute["authority"]), *others]


def opens_websocket(method: str, version: str, headers: Headers) -> bool:
    """Whether the request opens a WebSocket (RFC 6455 section 4.1): a GET without a body, and no other upgrade."""
    framed = any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)
    upgrades = [value.lower() for value in _values(headers, b"upgrade")]
    return method == "GET" and version == "1.1" and not framed and upgrades == [b"websocket"]


def without_upgrade(method: str, target: bytes, version: str, headers: Headers) -> bytes:
    """Return the head of the same request without its upgrade, which a server may ignore (RFC 9110 section 7.8)."""
    lines = [f"{method} ".encode() + target + f" HTTP/{version}".encode()]
    lines += [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])


def _values(headers: Headers, wanted: bytes) -> Iterator[bytes]:
    return (value.strip() for name, value in headers if name == wanted)
