"""Connections that cannot be opened: no socket is left, so the database keeps no session for nobody."""

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from gaia_server import connection
from gaia_server.connection import PromptlyClosed

DEADLINE_S = 5.0


async def timed_out(dsn: str) -> BaseException:
    """Let an attempt time out, and keep its error."""
    with pytest.raises(psycopg.OperationalError) as caught:
        await PromptlyClosed.connect(dsn, **connection.arguments())
    return caught.value


async def cancelled(dsn: str) -> BaseException:
    """Cancel an attempt that waits for the database, and keep its error."""
    attempt = asyncio.create_task(PromptlyClosed.connect(dsn, **connection.arguments()))
    await asyncio.wait({attempt}, timeout=0.1)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await attempt
    return caught.value


@pytest.mark.parametrize("attempt", [timed_out, cancelled])
def test_a_failed_attempt_leaves_no_socket(attempt: Callable[[str], Awaitable[BaseException]]) -> None:
    """A database that accepts connections and answers nothing reads the end at once, though the error is kept."""

    async def closed(frozen: socket.socket, dsn: str) -> bool:
        kept = await attempt(dsn)
        accepted, _ = frozen.accept()
        with accepted:
            accepted.settimeout(DEADLINE_S)
            while accepted.recv(4096):
                pass
        return kept is not None

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(Path(folder) / ".s.PGSQL.5432"))
        frozen.listen()
        assert asyncio.run(closed(frozen, f"postgresql://gaia@/gaia?host={folder}"))
