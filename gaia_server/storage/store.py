"""All SQL but the limiter's (`limiting.decide`). Every method is one statement: one transaction and one round trip.

Methods raise two errors only: `Unavailable` when the database does not answer, `DuplicateName` for a taken name.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from gaia_server import connection
from gaia_server.connection import TIMEOUT_S, TRIES, UNDONE, Unavailable
from gaia_server.limiting.rules import Rule, RuleFields
from gaia_server.storage.queries import ANALYTICS, MAX_COUNTED, PERIOD, Listing

POOL_SIZE = 10
MAX_WAITING = 1000
RECONNECT_S = 2.0
"""After so long the pool gives up a lost connection; the next request reconnects without a growing back-off."""

RULES_CHANNEL = "gaia_rules"

_RULE = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(Rule))
FIELDS = tuple(field.name for field in fields(RuleFields))
_RULES = sql.SQL("SELECT {} FROM rate_limit_configs").format(_RULE)
ALL_RULES = _RULES + sql.SQL(" ORDER BY id")

# Counters are locked before their rule, as in the limiter: the owner of a counter's lock may be about to insert a
# violation, which waits for the rule by its foreign key.
DELETE_RULES = (
    "WITH gone AS (SELECT id FROM rate_limit_configs WHERE {} FOR NO KEY UPDATE), buckets AS MATERIALIZED ("
    "SELECT FROM rate_limit_buckets WHERE rule_id = ANY (ARRAY(SELECT id FROM gone)) ORDER BY key, rule_id FOR UPDATE"
    "), quotas AS MATERIALIZED ("
    "SELECT FROM resource_quotas WHERE rule_id = ANY (ARRAY(SELECT id FROM gone)) ORDER BY key, rule_id FOR UPDATE)"
    " DELETE FROM rate_limit_configs WHERE id IN (SELECT id FROM gone)"
    " AND (SELECT count(*) FROM buckets) >= 0 AND (SELECT count(*) FROM quotas) >= 0 RETURNING id"
)

_UNCHANGED: LiteralString = (
    "id = %(id)s AND (%(expected)s::timestamptz IS NULL OR updated_at = %(expected)s::timestamptz)"
)

Query = LiteralString | sql.Composed
Rows = list[DictRow]
Run = Callable[..., Awaitable[Rows]]
_Result = TypeVar("_Result")


class DuplicateName(Exception):
    """Another rule has that name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and the length of the whole list; MAX_COUNTED or more is a minimum."""

    items: Sequence[Mapping[str, Any]]
    total: int


@dataclass(frozen=True, slots=True)
class PoolUse:
    """The current use of the pool's connections."""

    size: int
    in_use: int
    waiting: int
    maximum: int


class Store:
    """The server's database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool = AsyncConnectionPool(
            dsn,
            connection_class=connection.PromptlyClosed,
            kwargs=connection.arguments() | {"row_factory": dict_row},
            configure=connection.configure,
            check=connection.check,
            min_size=2,
            max_size=POOL_SIZE,
            max_waiting=MAX_WAITING,
            timeout=TIMEOUT_S,
            reconnect_timeout=RECONNECT_S,
            open=False,
            name="gaia_server",
        )

    async def open(self) -> None:
        """Start to connect without waiting, so that the server can report an unavailable database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close(timeout=2)

    @property
    def pool_use(self) -> PoolUse:
        """The current use of the pool's connections."""
        found = self._pool.get_stats()
        size = found.get("pool_size", 0)
        return PoolUse(size, size - found.get("pool_available", 0), found.get("requests_waiting", 0), POOL_SIZE)

    # Rules

    async def rules(self) -> list[Rule]:
        """Return all rules by id. Raises Unavailable."""
        return [Rule(**row) for row in await self.rows(ALL_RULES)]

    async def rule(self, rule_id: int) -> Rule | None:
        """Return one rule, None if it does not exist. Raises Unavailable."""
        rows = await self.rows(_RULES + sql.SQL(" WHERE id = %s"), (rule_id,))
        return Rule(**rows[0]) if rows else None

    async def create_rule(self, rule: RuleFields) -> Rule:
        """Store a new rule. Raises DuplicateName, Unavailable."""
        query = sql.SQL("INSERT INTO rate_limit_configs ({}) VALUES ({}) RETURNING {}").format(
            sql.SQL(", ").join(map(sql.Identifier, FIELDS)),
            sql.SQL(", ").join(map(sql.Placeholder, FIELDS)),
            _RULE,
        )
        (row,) = await self.named(query, asdict(rule), rule.rule_name)
        return Rule(**row)

    async def replace_rule(self, rule_id: int, rule: RuleFields, expected: datetime | None = None) -> Rule | None:
        """Overwrite a rule; None if there is none, or none that was last changed at `expected`.

        Raises DuplicateName, Unavailable.
        """
        query = sql.SQL("UPDATE rate_limit_configs SET {} WHERE {} RETURNING {}").format(
            sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in FIELDS),
            sql.SQL(_UNCHANGED),
            _RULE,
        )
        arguments = {**asdict(rule), "id": rule_id, "expected": expected}
        rows = await self.named(query, arguments, rule.rule_name)
        return Rule(**rows[0]) if rows else None

    async def delete_rule(self, rule_id: int, expected: datetime | None = None) -> bool:
        """Delete a rule with its buckets, quotas and violations; False like `replace_rule`. Raises Unavailable."""
        return await self.delete_rules(_UNCHANGED, {"id": rule_id, "expected": expected})

    async def delete_rules(self, condition: LiteralString, arguments: Mapping[str, Any]) -> bool:
        """Delete the rules that match `condition`, likewise; False if there are none. Raises Unavailable."""
        return bool(await self.rows(sql.SQL(DELETE_RULES).format(sql.SQL(condition)), arguments))

    # Reports

    async def analytics(self, minutes: int, per: str, until: datetime | None = None) -> dict[str, Rows]:
        """Return the rows behind `analytics.summary`, of the `minutes` until a time or now. Raises Unavailable."""
        (period,) = await self.rows(PERIOD, {"minutes": minutes, "until": until})
        return {name: await self.rows(query, {**period, "per": per}) for name, query in ANALYTICS.items()}

    # Statistics

    async def add_stats(self, counts: Mapping[tuple[str, str, bool], int]) -> None:
        """Add decisions, counted by (scope, resource_type, admitted), to the current minute. Raises Unavailable."""
        keys = sorted({(scope, resource) for scope, resource, _ in counts})
        await self.rows(
            "INSERT INTO rate_limit_stats AS s (minute, scope, resource_type, admitted, denied)"
            " SELECT date_trunc('minute', clock_timestamp()), * FROM unnest(%s::text[], %s::text[], %s::bigint[],"
            " %s::bigint[]) ON CONFLICT (minute, scope, resource_type)"
            " DO UPDATE SET admitted = s.admitted + excluded.admitted, denied = s.denied + excluded.denied",
            (
                [scope for scope, _ in keys],
                [resource for _, resource in keys],
                [counts.get((*key, True), 0) for key in keys],
                [counts.get((*key, False), 0) for key in keys],
            ),
        )

    async def add_load(self, sample: Mapping[str, Any]) -> None:
        """Store a sample of this process's load. Raises Unavailable."""
        await self.rows(
            "INSERT INTO system_load_history (instance, cpu_percent, memory_bytes, requests_per_second,"
            " websocket_clients, pool_in_use) VALUES (%(instance)s, %(cpu_percent)s, %(memory_bytes)s,"
            " %(requests_per_second)s, %(websocket_clients)s, %(pool_in_use)s)",
            sample,
        )

    # Health, and notifications of changed rules

    async def ping(self) -> None:
        """Run an empty statement. Raises Unavailable."""
        await self.rows("SELECT 1")

    async def rule_changes(self, every_s: float) -> AsyncIterator[None]:
        """Yield after each change of rules, when listening starts and after each `every_s` without any.

        Raises psycopg.OperationalError when the connection is lost, Unavailable when listening could not start.
        """
        async with await connection.connect(self._dsn) as listening:
            with _translated_errors():
                await connection.in_time(listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(RULES_CHANNEL))))
            while True:
                yield
                async for _ in listening.notifies(timeout=every_s):
                    yield

    # Statements

    async def page(
        self, listing: Listing, filters: Mapping[str, Any], *, limit: int, offset: int, **given: Any
    ) -> Page:
        """Return a part of a list, and its length up to MAX_COUNTED; `given` is for its join. Raises Unavailable.

        The filter `sort` is one of the list's `sort_names`.
        """
        conditions = [sql.SQL(listing.condition(name)) for name in filters if name != "sort"]
        order = listing.ordered(filters.get("sort"))
        listed = sql.SQL("SELECT {} FROM ({}) AS listed WHERE {} {}").format(
            sql.SQL(listing.columns),
            sql.SQL(listing.query),
            sql.SQL(" AND ").join(conditions or [sql.SQL("true")]),
            sql.SQL(listing.group),
        )
        part = sql.SQL("{} FROM ({} ORDER BY {} LIMIT %(limit)s OFFSET %(offset)s) AS page {} ORDER BY {}").format(
            sql.SQL(listing.select), listed, sql.SQL(", ".join(order)), sql.SQL(listing.join), _of_page(order)
        )
        counted = sql.SQL("SELECT count(*) AS total FROM ({} LIMIT {}) AS counted").format(listed, MAX_COUNTED)
        (count,) = await self.rows(counted, filters)
        items = await self.rows(part, {**filters, **given, "limit": limit, "offset": offset})
        return Page(items, max(count["total"], offset + len(items) if items else 0))

    async def named(self, query: Query, arguments: Mapping[str, Any], name: str) -> Rows:
        """Run a statement that gives a rule a name. Raises DuplicateName with `name`, Unavailable."""
        try:
            return await self.rows(query, arguments)
        except psycopg.errors.UniqueViolation as error:
            raise DuplicateName(name) from error

    async def rows(self, query: Query, arguments: Any = ()) -> Rows:
        """Run one statement and return its rows; retry it if it had no effect. Raises Unavailable."""
        with _translated_errors():
            return await connection.in_time(self._rows(query, arguments))

    async def transaction(self, work: Callable[[Run], Awaitable[_Result]]) -> _Result:
        """Do `work` in one transaction; retry it if it had no effect. Raises Unavailable."""
        with _translated_errors():
            for _ in range(TRIES - 1):
                with suppress(*UNDONE):
                    return await connection.in_time(self._transaction(work))
            return await connection.in_time(self._transaction(work))

    async def _transaction(self, work: Callable[[Run], Awaitable[_Result]]) -> _Result:
        async with self._pool.connection() as pooled, pooled.transaction():
            return await work(partial(_fetched, pooled))

    @asynccontextmanager
    async def advisory_lock(self, lock: int) -> AsyncIterator[Run | None]:
        """Yield a function that runs statements on the connection that owns the lock; None if another session owns it.

        Raises Unavailable. A lost connection releases its lock.
        """
        with _translated_errors():
            pooled = await self._pool.getconn()
        run = partial(_run, pooled)
        try:
            (row,) = await run("SELECT pg_try_advisory_lock(%s) AS got", (lock,))
            yield run if row["got"] else None
            if row["got"]:
                await run("SELECT pg_advisory_unlock(%s)", (lock,))
        except BaseException:
            await pooled.close()  # closing the session releases the lock, whatever it was doing
            raise
        finally:
            await self._pool.putconn(pooled)

    async def _rows(self, query: Query, arguments: Any) -> Rows:
        for _ in range(TRIES - 1):
            with suppress(*UNDONE):
                return await self._once(query, arguments)
        return await self._once(query, arguments)

    async def _once(self, query: Query, arguments: Any) -> Rows:
        async with self._pool.connection() as pooled:
            return await _fetched(pooled, query, arguments)


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise Unavailable for every error that means that the database does not answer."""
    try:
        yield
    except (TimeoutError, PoolTimeout, TooManyRequests, psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"the database does not answer ({type(error).__name__})") from error


async def _run(pooled: AsyncConnection[DictRow], query: Query, arguments: Any = ()) -> Rows:
    with _translated_errors():
        return await connection.in_time(_fetched(pooled, query, arguments))


async def _fetched(pooled: AsyncConnection[DictRow], query: Query, arguments: Any = ()) -> Rows:
    cursor = await pooled.execute(query, arguments)
    return await cursor.fetchall() if cursor.description else []


def _of_page(order: Sequence[LiteralString]) -> sql.SQL:
    prefix: LiteralString = "page."
    return sql.SQL(", ".join(prefix + column for column in order))
