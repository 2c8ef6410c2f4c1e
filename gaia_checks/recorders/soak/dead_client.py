"""One more client, which connects and then neither reads nor answers a ping, as a laptop that sleeps."""

import asyncio
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from gaia_checks.model import NOT_CHECKED, Target
from gaia_checks.target.websocket_client import connecting

DEAD_S = 48.0
"""How long it does not read. It is closed within 40 s: a ping is sent every 20 s, and answered within 20 s."""

_CLOSED_WITHIN_S = 5.0  # the close is there when the client reads again; without one it would read for ever


@dataclass(frozen=True, slots=True)
class DeadClient:
    """Whether the server has closed the connection; n = 0 when that was not tried, and why."""

    closed: bool
    n: int
    notes: tuple[str, ...] = ()


def not_tried(why: str) -> DeadClient:
    """Return that it was not tried, and why."""
    return DeadClient(closed=False, n=0, notes=(f"{NOT_CHECKED}{why}",))


NOT_YET = not_tried(f"the soak was over before the client was dead for {DEAD_S:g} s")


async def left_alone(target: Target, window_s: float) -> DeadClient:
    """Connect, read nothing for DEAD_S, then look for the close."""
    if target.translated:
        return not_tried("a server of other names has a protocol of its own")
    if window_s < DEAD_S + _CLOSED_WITHIN_S:
        return NOT_YET
    try:
        async with connecting(target) as connection:
            connection.transport.pause_reading()
            await asyncio.sleep(DEAD_S)
            connection.transport.resume_reading()
            return await _closed(connection)
    except (InvalidHandshake, OSError, EOFError, TimeoutError) as error:
        return not_tried(f"the handshake failed: {error or type(error).__name__}")


async def _closed(connection: ClientConnection) -> DeadClient:
    """Read until the connection closes, or certainly does not."""
    try:
        async with asyncio.timeout(_CLOSED_WITHIN_S):
            while True:
                await connection.recv()
    except ConnectionClosed as closed:
        return DeadClient(closed=True, n=1, notes=(str(closed),))
    except TimeoutError:
        return DeadClient(closed=False, n=1, notes=(f"still open to a client that answered nothing for {DEAD_S:g} s",))
