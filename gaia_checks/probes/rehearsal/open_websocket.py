"""A WebSocket to the server of a rehearsal copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, websocket_headers, websocket_url
from gaia_checks.target.ws_messages import PATH


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[ClientConnection]:
    """Yield a connection that sends no pings of its own. Raises Inconclusive without one."""
    try:
        connecting = connect(
            websocket_url(target, PATH),
            additional_headers=websocket_headers(target),
            open_timeout=CONNECT_S,
            close_timeout=CONNECT_S,
            ping_interval=None,
            proxy=None,
        )
        connection = await connecting
    except (InvalidHandshake, OSError, EOFError) as error:
        raise Inconclusive(f"{PATH}: the handshake failed: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close()
