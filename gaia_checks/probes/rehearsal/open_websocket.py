"""A WebSocket to the server of a rehearsal copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.target.websocket_client import connecting
from gaia_checks.target.ws_messages import PATH


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[ClientConnection]:
    """Yield a connection, as of any other client. Raises Inconclusive without one."""
    try:
        connection = await connecting(target)
    except (InvalidHandshake, OSError, EOFError) as error:
        raise Inconclusive(f"{PATH}: the handshake failed: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close()
