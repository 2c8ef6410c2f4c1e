"""Connections that cannot be opened: no socket is left, so the database keeps no session for nobody."""

import asyncio
import gc
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gaia_server import connection
from gaia_server.connection import PromptlyClosed


@pytest.fixture
def without_collection() -> Iterator[None]:
    """No garbage collection, which would close what is left."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("without_collection")
def test_an_attempt_that_times_out_leaves_no_socket() -> None:
    """A database that accepts connections and answers nothing reads the end of the attempt at once."""

    async def attempt(dsn: str) -> None:
        with pytest.raises(psycopg.OperationalError):
            await PromptlyClosed.connect(dsn, **connection.arguments())

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(Path(folder) / ".s.PGSQL.5432"))
        frozen.listen()
        asyncio.run(attempt(f"postgresql://gaia@/gaia?host={folder}"))
        accepted, _ = frozen.accept()
        with accepted:
            accepted.settimeout(5)
            while accepted.recv(4096):
                pass
