"""Who may read the page: anybody on this machine's loopback, elsewhere whoever has the token. Pure."""

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from gaia_checks.environment.environment import is_loopback
from gaia_checks.errors import ConfigurationError

SHORTEST = 16
"""Characters of a token."""

COOKIE = "gaia_serve"


class PageAccess:
    """The rules for one address. Raises ConfigurationError for a token that is missing or unfit."""

    def __init__(self, host: str, token: str | None, *, loopback: bool) -> None:
        if token is None and not loopback:
            raise ConfigurationError(
                f"serve: {host} is reachable from other machines; export GAIA_SERVE_TOKEN, {SHORTEST} characters or "
                "more, or leave out --host"
            )
        if token is not None and not (len(token) >= SHORTEST and token.isascii() and token.isprintable()):
            raise ConfigurationError(
                f"serve: GAIA_SERVE_TOKEN is not {SHORTEST} or more printable ASCII characters; make one with: "
                "openssl rand -hex 16"
            )
        self._token = token
        self._loopback = loopback

    def right_host(self, hosts: Sequence[str]) -> bool:
        """Whether the Host headers name this server. On loopback another name is a page of others that was rebound."""
        return not self._loopback or (len(hosts) == 1 and _names_this_machine(hosts[0]))

    def admits(self, authorization: str, cookies: str) -> bool:
        """Whether the two headers of a request contain the token, or the cookie that it led to."""
        if self._token is None:
            return True
        kind, _, given = authorization.partition(" ")
        pairs = (one.strip().partition("=") for one in cookies.split(";"))
        return (kind.lower() == "bearer" and self.is_token(given.strip())) or any(
            name == COOKIE and _equal(value, self.session()) for name, _, value in pairs
        )

    def is_token(self, given: str) -> bool:
        """Whether a text is the token."""
        return self._token is not None and _equal(given, self._token)

    def session(self) -> str:
        """Return the cookie's value: it opens this page, and does not give the token away."""
        return hmac.new((self._token or "").encode(), COOKIE.encode(), hashlib.sha256).hexdigest()


def _names_this_machine(host: str) -> bool:
    """Whether a Host header names this machine; the port may be that of a tunnel."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback(name)


def _equal(given: str, right: str) -> bool:
    """Compare in a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())
