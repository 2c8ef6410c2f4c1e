"""The limiter's SQL call: many requests decided and counted in one transaction, on one connection."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection

from gaia_server import connection
from gaia_server.connection import TRIES, UNDONE, Unavailable
from gaia_server.limiting.decision import Decision, Standing
from gaia_server.limiting.group_commit import Rejected
from gaia_server.limiting.principals import Principal

CHECK = (
    "SELECT checked_at, rule_ids, rule_names, rule_scopes, limit_types, free_at, blocked_at,"
    " requests, counters, admitted, limits, remaining"
    " FROM rate_limit_check(%b::text[], %b::text[], %b::text[], %s)"
)
"""The texts go in binary: as text, psycopg searches each for characters to quote."""

PLANS = (
    "SET plan_cache_mode = force_generic_plan; SET jit = off;"
    " SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)
"""Planner settings: plans are cached while tables may still be small, so every row must be looked up by its key.

Set on the connection, because a SET clause of the function would run at every call."""

MICROSECOND = timedelta(microseconds=1)


class Question(NamedTuple):
    """One request to decide."""

    principal: Principal
    resource_type: str


class LimiterConnection:
    """Calls the database: one batch at a time, on a dedicated connection that is opened on demand."""

    def __init__(self, dsn: str, *, learning: bool) -> None:
        self._dsn = dsn
        self._learning = learning  # whether reputation changes users' limits
        self._connection: AsyncConnection[Any] | None = None

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """Decide and count requests in their order, as if each came alone.

        Raises Rejected when nothing was counted because of an invalid request. Raises Unavailable when the database
        does not answer: the requests may have been counted then, so they are never retried.
        """
        arguments = (
            [question.principal.scope for question in questions],
            [question.principal.value for question in questions],
            [question.resource_type for question in questions],
            self._learning,
        )
        try:
            return decisions(questions, await connection.in_time(self._with_retries(arguments)))
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            await self.close()
            raise Unavailable(f"the database does not answer ({type(error).__name__})") from error
        except psycopg.Error as error:
            raise Rejected(type(error).__name__) from error

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _with_retries(self, arguments: tuple[list[str], list[str], list[str], bool]) -> tuple[Any, ...]:
        for _ in range(TRIES - 1):
            try:
                return await self._once(arguments)
            except UNDONE:
                continue  # nothing was counted
        return await self._once(arguments)

    async def _once(self, arguments: tuple[list[str], list[str], list[str], bool]) -> tuple[Any, ...]:
        if self._connection is None or not connection.is_alive(self._connection):
            await self.close()
            self._connection = await connection.connect(self._dsn, configure)
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(CHECK, arguments, prepare=True)
            row: tuple[Any, ...] = await cursor.fetchone() or ()
            return row


async def configure(one: AsyncConnection[Any]) -> None:
    """Prepare a connection for decisions. Raises TimeoutError."""
    await connection.configure(one)
    await connection.in_time(one.execute(PLANS))


def decisions(questions: Sequence[Question], row: Sequence[Any]) -> list[Decision]:
    """Convert a row of `rate_limit_check` to decisions. Pure."""
    checked_at, rule_ids, names, scopes, limit_types, free_at, blocked_at, *standings = row
    found: list[list[Standing]] = [[] for _ in questions]
    if rule_ids is None:  # no rule applies to any request
        return [Decision(standings) for standings in found]
    free_us = [(moment - checked_at) // MICROSECOND for moment in free_at]
    blocked_us = free_us
    if blocked_at is not None:
        blocked_us = [
            (moment - checked_at) // MICROSECOND if moment else free
            for moment, free in zip(blocked_at, free_us, strict=True)
        ]
    rules = list(zip(rule_ids, names, scopes, limit_types, free_us, blocked_us, strict=True))
    for request, counter, admits, limit, left in zip(*standings, strict=True):
        rule_id, name, scope, limit_type, free, blocked = rules[counter - 1]
        key = "global" if scope == "global" else questions[request - 1].principal.key
        reset_us = free if admits else blocked
        found[request - 1].append(
            Standing(rule_id, name, scope, limit_type, limit, key, admits, left, reset_us, checked_at)
        )
    return [Decision(standings) for standings in found]
