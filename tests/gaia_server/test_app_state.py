"""The state of a server process: it reads the rules before it decides."""

import asyncio
import contextlib

from starlette.requests import HTTPConnection

from gaia_server import settings
from gaia_server.app_state import Server
from tests.gaia_server import sql_limiter


def test_no_request_is_decided_before_the_rules_were_read(schema: str) -> None:
    """Even the first requests with an API key that a rule names count by that key, not by their address."""
    with sql_limiter.connect(schema) as connection:
        connection.execute(
            "INSERT INTO rate_limit_configs (rule_name, scope, scope_value, limit_type, limit_value)"
            " VALUES ('named', 'api_key', 'ada', 'requests_per_hour', 0)"
        )
    scope = {"type": "http", "headers": [(b"x-api-key", b"ada")], "client": ("192.0.2.7", 4711)}

    async def first_decisions() -> list[tuple[bool, list[str]]]:
        server = Server(settings.read({"DATABASE_URL": schema}), None)
        await server.store.open()
        deciding = asyncio.create_task(server.batcher.run())  # without the task that listens for rule changes
        try:
            async with asyncio.timeout(20):
                found = await asyncio.gather(*(server.decide(HTTPConnection(scope), "config") for _ in range(3)))
        finally:
            deciding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await deciding
            await server.limiter.close()
            await server.store.close()
        return [(decision.admitted, [s.key for s in decision.standings]) for decision in found]

    assert asyncio.run(first_decisions()) == [(False, ["api_key:ada"])] * 3
