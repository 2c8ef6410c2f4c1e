"""The previous release and the target's beside each other: two bare copies, each with a database in one PostgreSQL."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gaia_checks.deploy.postgres import database_connection, owner
from gaia_checks.deploy.rehearsal import bare_copy, rehearsal_copy
from gaia_checks.deploy.rehearsal.bare_copy import BareCopy
from gaia_checks.deploy.release import rollback_target
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import DeployError, GaiaError, Inconclusive
from gaia_checks.model import Target

_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
_EXIT_S = 10.0
_POLL_S = 0.02


@dataclass(frozen=True)
class ReleasePair:
    """Two copies, and what PostgreSQL says about them. All raise DeployError."""

    previous: BareCopy
    new: BareCopy

    def sessions(self) -> tuple[list[int], list[int]]:
        """Return the processes of the sessions of the previous and of the new release's servers."""
        with self._administrator() as admin:
            previous, new = (
                [int(pid) for (pid,) in admin.execute(_SESSIONS, (copy.database,))]
                for copy in (self.previous, self.new)
            )
        return previous, new

    def transactions(self) -> tuple[int, int]:
        """Return all transactions in the databases of both so far.

        A session reports its last ones when it exits, so this waits until none is left.
        """
        deadline = time.monotonic() + _EXIT_S
        while any(self.sessions()):
            if time.monotonic() > deadline:
                raise DeployError(f"{self.new.environment.name}: sessions of stopped servers do not exit")
            time.sleep(_POLL_S)  # PostgreSQL announces no session's exit
        with self._administrator() as admin:
            previous, new = (
                int(row[0]) if (row := admin.execute(_TRANSACTIONS, (copy.database,)).fetchone()) else 0
                for copy in (self.previous, self.new)
            )
        return previous, new

    @contextmanager
    def _administrator(self) -> Iterator[psycopg.Connection]:
        """Yield a session in another database, which counts in neither."""
        address = self.new.cluster.dsn("postgres", account=owner.SUPERUSER)
        try:
            with psycopg.connect(address, autocommit=True, connect_timeout=10) as admin:
                yield admin
        except psycopg.Error as error:
            raise DeployError(f"{self.new.environment.name}: {database_connection.message(error)}") from error


@contextmanager
def beside(target: Target, environment: Environment, purpose: str) -> Iterator[ReleasePair]:
    """Yield both releases beside `target`; stop and remove them afterwards. Raises GaiaError where that is impossible.

    A previous release that is damaged, or whose migrations fail, is Inconclusive.
    """
    with rehearsal_copy.room(target, environment, purpose) as (own, current):
        try:
            previous = rollback_target.find(environment, None)
        except GaiaError as error:
            raise _incomparable(error) from error
        with opened(own, target.run, previous, current) as pair:
            yield pair


@contextmanager
def opened(own: Environment, run: str, previous: Path, new: Path) -> Iterator[ReleasePair]:
    """Yield both releases in the environment `own`."""
    with bare_copy.opened(own, run, new) as newer, _previous(own, run, previous) as older:
        yield ReleasePair(older, newer)


@contextmanager
def _previous(own: Environment, run: str, release: Path) -> Iterator[BareCopy]:
    with ExitStack() as stack:
        try:
            older = stack.enter_context(bare_copy.opened(own, run, release, "gaia_previous"))
        except GaiaError as error:
            raise _incomparable(error) from error
        yield older


def _incomparable(error: GaiaError) -> Inconclusive:
    return Inconclusive(f"the previous release cannot be compared: {error}")
