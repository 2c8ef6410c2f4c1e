"""Direct calls of the limiter's SQL function, at the database's time or at a given time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg

from gaia_server.limiting import decide
from gaia_server.limiting.decide import Question
from gaia_server.limiting.decision import Decision

Connection = psycopg.Connection[Any]


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """Connect to a database and disable its default rules."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE rate_limit_configs SET enabled = false")
        yield connection


def decide_batch(
    connection: Connection, questions: Sequence[Question], at: datetime | None = None, *, learning: bool = False
) -> list[Decision]:
    """Decide a batch."""
    arguments = (
        [question.principal.scope for question in questions],
        [question.principal.value for question in questions],
        [question.resource_type for question in questions],
        learning,
        at,
    )
    row = connection.execute(decide.CHECK.removesuffix(")") + ", %s)", arguments).fetchone()
    return decide.decisions(questions, row or ())


def rule(
    connection: Connection,
    kind: str,
    limit: int,
    *,
    scope: str = "user",
    value: str | None = None,
    resource: str | None = None,
) -> int:
    """Create a rule and return its id."""
    row = connection.execute(
        "INSERT INTO rate_limit_configs (rule_name, scope, scope_value, limit_type, limit_value, resource_type)"
        " VALUES ('r' || gen_random_uuid(), %s, %s, %s, %s, %s) RETURNING id",
        (scope, value, kind, limit, resource),
    ).fetchone()
    assert row
    return int(row[0])


def advance_time(connection: Connection, rule_id: int, seconds: float) -> None:
    """Let `seconds` pass for a rule."""
    connection.execute(
        "UPDATE rate_limit_admissions SET admitted_at = admitted_at - make_interval(secs => %s) WHERE rule_id = %s",
        (seconds, rule_id),
    )
