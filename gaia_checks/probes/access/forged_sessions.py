"""Session cookies: those that a server must refuse (altered, shortened, expired), and those that others take. Pure."""

import hashlib
import hmac
import re

_REFERENCE = re.compile(r"(\d+)\.([0-9a-f]+)\.([0-9a-f]{64})")
"""The reference server's: when it expires, a random part, the signature of both (docs/contract.md, Access)."""

_LASTS_S = 12 * 3600
_CUT = 8  # characters


def altered(session: str) -> str:
    """Return a session with another first character: as if its owner had moved its end."""
    return ("8" if session[:1] == "9" else "9") + session[1:]


def shortened(session: str) -> dict[str, str]:
    """Return sessions with less of a signature, by what they lack: a comparison of what was sent accepts them."""
    return {
        "a session without its signature": f"{session.rpartition('.')[0]}.",
        "a session with a part of its signature": session[:-_CUT],
    }


def expired(session: str, token: str) -> str | None:
    """Return a session that expired a minute ago, rightly signed; None where sessions are made otherwise.

    It is counted from the end of a new session, on the server's clock.
    """
    found = _REFERENCE.fullmatch(session)
    if found is None or _signature(token, f"{found[1]}.{found[2]}") != found[3]:
        return None
    payload = f"{int(found[1]) - _LASTS_S - 60}.{found[2]}"
    return f"{payload}.{_signature(token, payload)}"


def stealable(set_cookie: str) -> str | None:
    """Return how scripts or other sites get at the cookie that a login sets; None where neither does."""
    attributes = {each.strip().lower() for each in set_cookie.split(";")[1:]}
    if "httponly" not in attributes:
        return "the login's cookie is not HttpOnly: scripts of a page can read it"
    if attributes.isdisjoint({"samesite=strict", "samesite=lax"}):
        return "the login's cookie is neither SameSite=Strict nor Lax: other sites make a browser send it"
    return None


def _signature(token: str, payload: str) -> str:
    key = hashlib.sha256(b"gaia_session:" + token.encode()).digest()
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()
