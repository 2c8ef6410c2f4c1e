"""Through a PgBouncer: transaction mode is refused before anything happens, session mode works."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres.database_connection import connect, reach
from gaia_checks.deploy.reporting import doctor
from gaia_checks.deploy.steps import preflight
from gaia_checks.errors import ConfigurationError
from tests.deploy.conftest import make_stage
from tests.support import pgbouncer

REFUSED = r"leads through a pooler in transaction mode, .*; connect to PostgreSQL directly, or .*pool_mode=session"


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Write one migration."""
    (tmp_path / "order.txt").write_text("001_items.sql\n")
    (tmp_path / "001_items.sql").write_text("CREATE TABLE items (id int);\n")
    return tmp_path


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("settings", [{}, {"server_round_robin": 1, "min_pool_size": 3}, {"default_pool_size": 1}])
def test_a_pooler_that_mixes_up_sessions_is_refused(
    mode: str, settings: dict[str, Any], database: str, migrations: Path
) -> None:
    """However it distributes its backends, no migration starts."""
    with pgbouncer.before(database, mode=mode, settings=settings) as dsn:
        for _ in range(3):
            with pytest.raises(ConfigurationError, match=REFUSED):
                reach(dsn)
        with pytest.raises(ConfigurationError, match=REFUSED):
            runner.up(dsn, migrations)


def test_preflight_and_doctor_say_what_is_needed(database: str, migrations: Path) -> None:
    """A deployment is refused before it creates anything, and the doctor names the cause."""
    with pgbouncer.before(database, mode="transaction") as dsn, make_stage("external", DATABASE_URL=dsn) as stage:
        with pytest.raises(ConfigurationError, match=REFUSED):
            preflight.validate(stage.environment, artifact=None, migrations=migrations, worktree=True)
        found = {finding.check: finding for finding in doctor.examine(stage.environment)}["database connection"]
    assert found.state == "wrong"
    assert "pool_mode=session" in found.finding
    assert found.fix == "export DATABASE_URL=postgresql://user:password@host:5432/name"


def test_a_session_that_a_pooler_keeps_has_no_lock(database: str, migrations: Path) -> None:
    """The lock is released before the session ends: a pooler may keep it, here without a reset."""
    with pgbouncer.before(database, mode="session", settings={"server_reset_query": ""}) as dsn:
        assert runner.up(dsn, migrations) == ("001_items",)
        with psycopg.connect(database) as direct:
            assert direct.execute("SELECT pg_try_advisory_lock(%s)", (runner.LOCK_KEY,)).fetchone() == (True,)


def test_a_pooler_with_one_session_delays_nobody_for_long(database: str) -> None:
    """Where there is no second session to compare with, the pooler pools sessions: the connection works."""
    with (
        pgbouncer.before(database, mode="session", settings={"default_pool_size": 1}) as dsn,
        connect(dsn) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_deployment_through_a_pooler_of_sessions_serves(database: str) -> None:
    """Database, scratch database, dump and server: everything works in session mode."""
    with pgbouncer.before(database, mode="session") as dsn, make_stage("external", DATABASE_URL=dsn) as stage:
        assert stage.deploy().state == "running"
        (stage.migrations / "order.txt").write_text("001_items.sql\n002_more.sql\n")
        (stage.migrations / "002_more.sql").write_text("CREATE TABLE more (id int PRIMARY KEY);\n")
        assert stage.deploy("2").state == "running"
