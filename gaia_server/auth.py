"""Who may see and change what. Pure but for the clock, which is an argument.

With an admin token, admin routes need it: as a bearer token, or as the session cookie that a login gives.
Without one they answer this machine only, and only under a loopback name: a page of another site whose name
was made to point here (DNS rebinding) sends its own name as Host. What a proxy on this machine forwards for
somebody else is not from this machine.
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
    """What is needed to be let in."""

    token: str | None = field(repr=False)

    def is_admin(self, connection: HTTPConnection, now: float) -> bool:
        """Whether the request proves to know the admin token. `now` is in seconds since the epoch."""
        if self.token is None:
            return False
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.matches(given.strip()):
            return True
        return self._is_session(connection.cookies.get(COOKIE, ""), now)

    def matches(self, given: str) -> bool:
        """Whether `given` is the admin token."""
        said = given.encode("utf-8", "surrogatepass")  # JSON may hold half a character
        return self.token is not None and hmac.compare_digest(said, self.token.encode())

    def session(self, now: float) -> str:
        """Return the value of a session cookie that holds for SESSION_S from `now`.

        It is signed, not stored: every server process with the same token accepts it.
        """
        stated = f"{int(now) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{stated}.{self._signature(stated)}"

    def refusal(self, connection: HTTPConnection, now: float) -> Problem | None:
        """Return why an admin route is not answered, None if it is."""
        if foreign := self.foreign_origin(connection):
            return foreign
        if self.token is None:
            return None if _is_local(connection) else Problem(403, "without ADMIN_TOKEN only loopback may ask")
        if self.is_admin(connection, now):
            return None
        return Problem(401, "the admin token is needed", headers={"WWW-Authenticate": 'Bearer realm="gaia_server"'})

    def foreign_origin(self, connection: HTTPConnection) -> Problem | None:
        """Return why a page of another site is refused; None if the request is from none."""
        origin = connection.headers.get("origin")
        if origin is None or connection.scope.get("method") in _SAFE_METHODS:  # a WebSocket has no method
            return None
        site = _split(origin)
        if site and site.netloc.lower() == connection.headers.get("host", "").lower():
            return None
        return Problem(403, "a page of another site may not ask")

    def _is_session(self, cookie: str, now: float) -> bool:
        stated, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(stated).encode()):
            return False
        return int(stated.partition(".")[0]) > now

    def _signature(self, stated: str) -> str:
        key = hashlib.sha256(b"gaia_session:" + (self.token or "").encode()).digest()
        return hmac.new(key, stated.encode(), hashlib.sha256).hexdigest()


def _split(url: str) -> SplitResult | None:
    """Return the parts of what a client calls a URL, None if it is none."""
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
    """Whether a proxy says, or may say, that somebody beyond this machine asks."""
    claimed = [text for name in _FORWARDING for text in connection.headers.getlist(name)]
    return not all(address.is_loopback(part.strip()) for text in claimed for part in text.split(","))
