"""Access to the admin routes. Pure: time is an argument.

With an admin token, admin routes require it: as a bearer token, or as the session cookie that a login sets.
Without one they answer loopback clients only, and only under a loopback Host name: a page of another site whose
name was made to resolve to this machine (DNS rebinding) sends its own name as Host. A request that a local proxy
forwards for a remote client is not local.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from gaia_server.limiting import address
from gaia_server.problem import Problem

COOKIE = "gaia_session"
SESSION_S = 12 * 3600

_FORWARDING = ("forwarded", "x-forwarded-for", "x-real-ip")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules for admin routes."""

    token: str | None = field(repr=False)

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
        site = _split(origin)
        if site and site.netloc.lower() == connection.headers.get("host", "").lower():
            return None
        return Problem(403, "cross-origin request refused")

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
        return urlsplit(url)
    except ValueError:
        return None


def _is_local(connection: HTTPConnection) -> bool:
    peer = connection.client.host if connection.client else None
    named = _split(f"//{connection.headers.get('host', '')}")
    host = named.hostname if named else None
    named_local = host == "localhost" or address.is_loopback(host)
    return named_local and address.is_loopback(peer) and not _is_forwarded(connection)


def _is_forwarded(connection: HTTPConnection) -> bool:
    """Whether forwarding headers name, or may name, a client that is not on this machine."""
    claimed = [text for name in _FORWARDING for text in connection.headers.getlist(name)]
    return not all(address.is_loopback(part.strip()) for text in claimed for part in text.split(","))
