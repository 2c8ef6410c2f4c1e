"""Access to the admin routes. Pure: time is an argument.

Admin routes require the admin token: as a bearer token, or as the session cookie that a login sets. Without a token
nobody is an administrator. An address proves nothing: a proxy on the same machine connects from loopback for everybody,
and need not send a header that says so.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from gaia_server.guesses import Guesses
from gaia_server.limiting import forwarding
from gaia_server.limiting.address import parse
from gaia_server.problem import Problem
from gaia_server.settings import Network

COOKIE = "gaia_session"
SESSION_S = 12 * 3600

_PORTS = {"http": 80, "https": 443}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Credential(Enum):
    """What a request carries of the admin token."""

    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"  # or a session that has expired
    NOT_COMPARED = "not compared"  # its address has sent too many wrong ones


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules for admin routes."""

    token: str | None = field(repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    guesses: Guesses = field(default_factory=Guesses, kw_only=True)

    def credential(self, connection: HTTPConnection, address: str, now: float) -> Credential:
        """Compare the request's token or session, once per request. `now` is in seconds since the epoch."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        token = given.strip() if scheme.lower() == "bearer" else ""
        cookie = connection.cookies.get(COOKIE, "")
        if self.token is None or not (token or cookie):
            return Credential.MISSING
        return self._compared(address, lambda: self.matches(token) or self._is_session(cookie, now), now)

    def login(self, token: str, address: str, now: float) -> Credential:
        """Compare the token of a login."""
        return self._compared(address, lambda: self.matches(token), now)

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

    def refusal(self, connection: HTTPConnection, credential: Credential, retry_s: int) -> Problem | None:
        """Return why an admin route refuses the request, None if it does not."""
        if cross_origin := self.cross_origin_refusal(connection):
            return cross_origin
        if self.token is None:
            return Problem(403, "without ADMIN_TOKEN nobody is an administrator; start the server with one")
        match credential:
            case Credential.RIGHT:
                return None
            case Credential.NOT_COMPARED:
                return too_many(retry_s)
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
        peer = parse(connection.client.host) if connection.client else None
        trusted = forwarding.is_trusted(peer, self.trusted_proxies)
        return forwarding.claims(connection.scope["headers"]) if trusted else {}

    def _compared(self, address: str, matches: Callable[[], bool], now: float) -> Credential:
        found = self.guesses.compare(address, matches, now)
        return {True: Credential.RIGHT, False: Credential.WRONG, None: Credential.NOT_COMPARED}[found]

    def _is_session(self, cookie: str, now: float) -> bool:
        payload, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            return False
        return int(payload.partition(".")[0]) > now

    def _signature(self, payload: str) -> str:
        key = hashlib.sha256(b"gaia_session:" + (self.token or "").encode()).digest()
        return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def too_many(retry_s: int) -> Problem:
    """Return the refusal of an address that has sent too many wrong tokens."""
    return Problem(429, "too many wrong admin tokens from this address", headers={"Retry-After": str(retry_s)})


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
