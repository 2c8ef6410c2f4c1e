"""The limiter without group commit: one atomic SQL call per request, over the pool's connections."""

from psycopg import sql

from gaia_server.limiter import Decision, Principal, Standing
from gaia_server.store import Store


def replace() -> None:
    """Let this process decide so."""
    Store.check = check  # type: ignore[method-assign]


async def check(self: Store, principal: Principal, resource_type: str) -> Decision:
    """Decide one request as `Store.check` does."""
    query = sql.SQL(
        "SELECT rule_id, rule_name, scope, limit_type, limit_value, key, admitted, remaining, reset_at, checked_at"
        " FROM rate_limit_check(%s, %s, %s)"
    )
    async with self._pool.connection() as connection:
        cursor = await connection.execute(query, (principal.scope, principal.value, resource_type))
        return Decision([Standing(**row) for row in await cursor.fetchall()])
