"""Lets requests wait for a rehearsal copy's database: what the contract's view shows is locked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from gaia_checks.model import Target
from gaia_checks.probes.rehearsal import moved_admissions

_LOCK = "LOCK TABLE rate_limit_admissions IN ACCESS EXCLUSIVE MODE"
_WAITING = """
    SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND wait_event_type = 'Lock'
"""
_UNDER_WAY = "SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND state <> 'idle'"


@dataclass(frozen=True)
class Locked:
    """A lock, and the session that looks who waits for it."""

    _holding: psycopg.Connection
    _looking: psycopg.Connection  # within the transaction that holds the lock, pg_stat_activity would not change

    def waiting(self) -> set[int]:
        """Return the server's sessions that wait for a lock. Raises psycopg.Error."""
        return {pid for (pid,) in self._looking.execute(_WAITING).fetchall()}

    def under_way(self) -> set[int]:
        """Return the server's sessions that have not finished a statement or a transaction. Raises psycopg.Error."""
        return {pid for (pid,) in self._looking.execute(_UNDER_WAY).fetchall()}

    def release(self) -> None:
        """Let them go on. Raises psycopg.Error."""
        self._holding.rollback()


@contextmanager
def locked(target: Target) -> Iterator[Locked]:
    """Hold the lock for the duration of the block, or until it is released. Raises Inconclusive without the view."""
    with (
        moved_admissions.session_of(target) as looking,
        moved_admissions.session_of(target, autocommit=False) as holding,
    ):
        holding.execute(_LOCK)
        yield Locked(holding, looking)
