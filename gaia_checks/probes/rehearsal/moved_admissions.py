"""Moves the stored admissions of a rehearsal copy in time, by the contract's view, and waits for the retention.

What is moved into the past is old at once; what the retention then does to it shows without waiting for a day.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, Counting
from gaia_checks.target.client import CONNECT_S
from gaia_checks.target.postgres_session import APPLICATION_NAME

RETENTION = {"RETENTION_INTERVAL_S": "1"}
"""The variable with which a server deletes every second what is old."""

_IDLE = timedelta(hours=2)  # of an hour's window: it is empty for longer than any grace
_PATIENCE_S = 8.0  # until a run of the retention; a server that does not know the variable shows none
_POLL_S = 0.1
_MOVE = """
    UPDATE rate_limit_admissions SET admitted_at = coalesce(%(to)s::timestamptz, admitted_at - %(back)s::interval)
    WHERE rule_id = %(rule)s AND key = %(key)s
"""
_LEFT = "SELECT count(*) FROM rate_limit_admissions WHERE rule_id = %(rule)s AND key = %(key)s"


def move(target: Target, rule: CountedRule, *, to: datetime | None = None, back: timedelta = timedelta()) -> None:
    """Move a rule's stored admissions. Raises Inconclusive without the view."""
    with session_of(target) as session:
        rows = session.execute(_MOVE, {"to": to, "back": back, **_of(rule)}).rowcount
    if not rows:
        raise Inconclusive(f"rate_limit_admissions lists nothing of the rule {rule.name} (docs/contract.md, Database)")


def retention_ran(target: Target, counts: Counting, idle: CountedRule) -> bool:
    """Wait until the retention has deleted an admission that is old; False when it does not.

    `idle` is a rule of an hour's window that nothing else uses. All that was old before is then deleted, too.
    """
    counts.send(idle, 1)
    move(target, idle, back=_IDLE)
    deadline = time.monotonic() + _PATIENCE_S
    with session_of(target) as session:
        while time.monotonic() < deadline:
            if session.execute(_LEFT, _of(idle)).fetchone() == (0,):
                return True
            time.sleep(_POLL_S)  # the server announces no run
    return False


def _of(rule: CountedRule) -> dict[str, object]:
    return {"rule": rule.id, "key": f"api_key:{rule.key}"}


@contextmanager
def session_of(target: Target, *, autocommit: bool = True) -> Iterator[psycopg.Connection]:
    """Connect to the database of a rehearsal copy. Raises Inconclusive, also for what fails in the block."""
    if target.database_url is None:
        raise Inconclusive(f"{target.environment}: the rehearsal copy has no database")
    try:
        with psycopg.connect(
            target.database_url,
            autocommit=autocommit,
            connect_timeout=int(CONNECT_S),
            application_name=APPLICATION_NAME,
        ) as session:
            yield session
    except psycopg.Error as error:
        raise Inconclusive(
            f"rate_limit_admissions: {' '.join(str(error).split())} (docs/contract.md, Database)"
        ) from error
