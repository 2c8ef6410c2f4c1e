"""One more client of the target's WebSocket, among others in one event loop."""

from websockets.asyncio.client import connect

from gaia_checks.model import Target
from gaia_checks.target.client import READ_S, websocket_headers, websocket_url
from gaia_checks.target.ws_messages import PATH

_CLOSE_S = 2.0


def connecting(target: Target) -> connect:
    """Return one more client. It neither pings nor reconnects: a server that needs that drops the connection."""
    return connect(
        websocket_url(target, PATH),
        additional_headers=websocket_headers(target),
        compression=None,
        ping_interval=None,
        open_timeout=READ_S,
        close_timeout=_CLOSE_S,
        proxy=None,
    )
