"""WebSocket handshakes that must be refused: by an HTTP status, or by closing before any message."""

from collections.abc import Mapping
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from gaia_checks import contract
from gaia_checks.contract.adapter import HttpRequest
from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, OWN, websocket_url
from gaia_checks.target.ws_messages import PATH

_STATUSES = (401, 403, 429)
_CODES = (4401, 4403, 1013, 1008)  # no token, not from here, too many wrong tokens; RFC 6455's policy violation
_PATIENCE_S = 2.0


def accepted(target: Target, what: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Open a WebSocket; return how it was accepted, None if it was refused."""
    url = websocket_url(target, PATH) + (f"?{urlencode(query)}" if query else "")
    try:
        with connect(
            url, additional_headers=_sent(target, headers), open_timeout=CONNECT_S, close_timeout=CONNECT_S, proxy=None
        ) as connection:
            connection.recv(timeout=_PATIENCE_S)
    except InvalidStatus as refused:
        status = refused.response.status_code
        return None if status in _STATUSES else f"{PATH} {what}: status {status}, should be refused"
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else None
        return None if code in _CODES else f"{PATH} {what}: closed with {code}, should be {_CODES[0]} or {_CODES[1]}"
    except TimeoutError:
        return f"{PATH} {what}: the connection stays open"
    except (InvalidHandshake, OSError, EOFError) as error:
        return f"{PATH} {what}: no answer ({type(error).__name__})"
    return f"{PATH} {what}: it was sent a message"


def _sent(target: Target, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers in the target's words: otherwise a server of other words refuses a right token as none."""
    own = {name: value for name, value in headers.items() if name in OWN}
    others = {name: value for name, value in headers.items() if name not in own}
    return {**others, **contract.outgoing(target.names, HttpRequest("GET", PATH, own)).headers}
