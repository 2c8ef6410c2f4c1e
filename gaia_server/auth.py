"""Access to the admin routes. Pure: time is an argument.

With an admin token, admin routes require it: as a bearer token, or as the session cookie that a login sets.
Without one they answer loopback clients only, and only under a loopback Host name: a page of another site whose
name was made to resolve to this machine (DNS rebinding) sends its own name as Host. A request that a local proxy
forwards for a remote client, or for one that it does not name, is not local.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from gaia_server.limiting import address, forwarding
from gaia_server.problem import Problem
from gaia_server.settings import Network

COOKIE = "gaia_session"
SESSION_S = 12 * 3600

_PORTS = {"http": 80, "https": 443}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules for admin routes."""

    token: str | None = field(repr=False)
    trusted_proxies: tuple[Network, ...] = ()

    def is_admin(self, connection: HTTPConnection, now: float) -> bool:
        """Whether the request carries the admin token or a valid session. `now` is in seconds since the epoch."""
        if self.token is None:
            return False
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.matches(given.strip()):
            return True
        return self._is_session(connection.cookies.get(COOKIE, ""), now)

    def matches(self, given: str) -> bool:
        """Whether `given` is the admin token."""
        token = given.encode("utf-8", "surrogatepass")  # JSON may contain half of a surrogate pair
        return self.token is not None and hmac.compare_digest(token, self.token.encode())

    def session(self, now: float) -> str:
        """Return the value of a session cookie that is valid for SESSION_S from `now`.

        It is signed, not stored: every server process with the same token accepts it.
        """
        payload = f"{int(now) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{payload}.{self._signature(payload)}"

    def refusal(self, connection: HTTPConnection, now: float) -> Problem | None:
        """Return why an admin route refuses the request, None if it does not."""
        if cross_origin := self.cross_origin_refusal(connection):
            return cross_origin
        if self.token is None:
            return (
                None if _is_local(connection) else Problem(403, "only loopback clients are allowed without ADMIN_TOKEN")
            )
        if self.is_admin(connection, now):
            return None
        return Problem(401, "the admin token is required", headers={"WWW-Authenticate": 'Bearer realm="gaia_server"'})

    def cross_origin_refusal(self, connection: HTTPConnection) -> Problem | None:
        """Return the refusal of a cross-origin request; None if the request is not cross-origin."""
        origin = connection.headers.get("origin")
        if origin is None or connection.scope.get("method") in _SAFE_METHODS:  # a WebSocket has no method
            return None
        host = forwarding.host(self._verified(connection)) or connection.headers.get("host", "")
        return None if _is_same_host(origin, host) else Problem(403, "cross-origin request refused")

    def is_encrypted(self, connection: HTTPConnection) -> bool:
        """Whether the client uses TLS, to this server or to a trusted proxy."""
        return "https" in (connection.scope.get("scheme"), forwarding.scheme(self._verified(connection)))

    def _verified(self, connection: HTTPConnection) -> dict[str, str]:
        """Return the forwarding headers if a trusted proxy sent them."""
        peer = address.parse(connection.client.host) if connection.client else None
        trusted = forwarding.is_trusted(peer, self.trusted_proxies)
        return forwarding.claims(connection.scope["headers"]) if trusted else {}

    def _is_session(self, cookie: str, now: float) -> bool:
        payload, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            return False
        return int(payload.partition(".")[0]) > now

    def _signature(self, payload: str) -> str:
        key = hashlib.sha256(b"gaia_session:" + (self.token or "").encode()).digest()
        return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, None if it is invalid."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError as well
    except ValueError:
        return None
    return parts


def _is_same_host(origin: str, host: str) -> bool:
    """Whether a page's origin is on `host`; either may name its scheme's own port or not."""
    site = _split(origin)
    named = _split(f"{site.scheme}://{host}") if site else None
    if site is None or named is None or "@" in site.netloc or not site.hostname:
        return False
    port = _PORTS.get(site.scheme)
    return (site.hostname, site.port or port) == (named.hostname, named.port or port)


def _is_local(connection: HTTPConnection) -> bool:
    peer = connection.client.host if connection.client else None
    named_local = _is_local_name(connection.headers.get("host", ""))
    return named_local and address.is_loopback(peer) and not _is_forwarded(connection)


def _is_local_name(host: str) -> bool:
    named = _split(f"//{host}")
    name = named.hostname if named and "@" not in host else None
    return name == "localhost" or address.is_loopback(name)


def _is_forwarded(connection: HTTPConnection) -> bool:
    """Whether a proxy forwards the request for a client that is not, or may not be, on this machine."""
    claims = forwarding.claims(connection.scope["headers"])
    if not claims:
        return False
    clients, host = forwarding.nodes(claims), forwarding.host(claims)
    on_this_machine = bool(clients) and all(client is not None and client.is_loopback for client in clients)
    return "via" in claims or not on_this_machine or not (host is None or _is_local_name(host))
