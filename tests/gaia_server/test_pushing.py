"""What one server process pushes, from the first reading of the stored messages on."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import psycopg

from gaia_server import pushing, settings
from gaia_server.alerting.evaluation import Evaluator
from gaia_server.app_state import Server
from gaia_server.limiting.decision import Standing
from tests.gaia_server.storage.test_alert_history import refuse


def test_what_was_refused_before_the_first_reading_is_pushed(schema: str) -> None:
    """A client that connected while the database was away receives the first refusal after it came back."""
    at = datetime.now(UTC)
    standing = Standing(1, "any", "ip", "requests_per_hour", 0, "ip:192.0.2.7", False, 0, 0, at)

    async def first_push() -> list[dict[str, Any]]:
        server = Server(settings.read({"DATABASE_URL": schema}), None)
        await server.store.open()
        client = server.hub.join()
        assert client
        server.pending.add(standing, "other")
        try:
            for _ in range(2):
                await pushing.push(server, Evaluator(server).evaluate)
        finally:
            await server.store.close()
        return [json.loads(text) for text in client.take()]

    with psycopg.connect(schema, autocommit=True) as connection:
        refuse(connection, 1)
        connection.execute("UPDATE rate_limit_violations SET occurred_at = date_trunc('second', %s)", (at,))
    (message,) = asyncio.run(first_push())
    assert (message["type"], message["data"]["key"], message["data"]["hits"]) == ("violation", "ip:192.0.2.7", 1)
