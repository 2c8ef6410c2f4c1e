"""Migrations on a real PostgreSQL: in order, once, and atomically."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gaia_checks.deploy.migrations import file_transaction, migration_files
from gaia_checks.deploy.migrations import runner as migration_runner
from gaia_checks.deploy.migrations.migration_files import read
from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.postgres.database_connection import connect, connect_maintenance, ensure_exists, reach
from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError, MigrationError
from tests.deploy.stage import eventually

UP = (
    "import sys; from pathlib import Path; from gaia_checks.deploy.migrations import runner;"
    "print(','.join(runner.up(sys.argv[1], Path(sys.argv[2]))))"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create two migrations with rollback files; the second needs the first, against the order of their names."""
    (tmp_path / "rollback").mkdir()
    write(tmp_path, "010_b", "CREATE TABLE b (id int);", "DROP TABLE b;")
    write(tmp_path, "010_a", "CREATE TABLE a AS SELECT id FROM b;", "DROP TABLE a;")
    (tmp_path / "order.txt").write_text("# why\n010_b.sql\n\n010_a.sql  # needs b\n")
    return tmp_path


def write(folder: Path, stem: str, sql: str, rollback: str | None = None) -> None:
    """Write one migration."""
    (folder / f"{stem}.sql").write_text(sql)
    if rollback is not None:
        (folder / "rollback" / f"{stem}.sql").write_text(rollback)


def add(folder: Path, stem: str, sql: str) -> None:
    """Write one migration and append it to the order."""
    write(folder, stem, sql)
    with (folder / "order.txt").open("a") as order:
        order.write(f"{stem}.sql\n")


def tables(dsn: str) -> set[str]:
    """Return the tables of the public schema, without the runner's own."""
    with connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows} - {"schema_migrations"}


def test_up_applies_in_order_and_once(database: str, folder: Path) -> None:
    """`up` applies migrations in the order of order.txt; a second run applies none."""
    assert migration_runner.up(database, folder, git_sha="c0ffee") == ("010_b", "010_a")
    assert migration_runner.up(database, folder) == ()
    assert tables(database) == {"a", "b"}
    with connect(database) as connection:
        row = connection.execute(
            "SELECT checksum, rollback_checksum, applied_by, duration_ms >= 0, git_sha, applied_at <= now()"
            " FROM schema_migrations WHERE version = '010_b'"
        ).fetchone()
    first = read(folder)[0]
    assert row is not None
    assert (row[0], row[1], row[3:]) == (first.checksum, first.rollback_checksum, (True, "c0ffee", True))
    assert "@" in row[2]


def test_status_and_verify_report_missing_migrations(database: str, folder: Path) -> None:
    """`status` and `verify` report all migrations as pending before `up`, and none afterwards."""
    assert migration_runner.status(database, folder) == (("010_b", False), ("010_a", False))
    with pytest.raises(MigrationError, match="not applied: 010_b, 010_a; run: gaia migrate ENV up"):
        migration_runner.verify(database, folder)
    migration_runner.up(database, folder)
    migration_runner.verify(database, folder)


def test_down_reverts_the_newest_first(database: str, folder: Path) -> None:
    """`down` reverts one migration, or as many as requested; `up` then works again."""
    migration_runner.up(database, folder)
    assert migration_runner.down(database, folder) == ("010_a",)
    assert tables(database) == {"b"}
    migration_runner.up(database, folder)
    assert migration_runner.down(database, folder, count=5) == ("010_a", "010_b")
    assert tables(database) == set()


def test_a_failing_file_is_rolled_back(database: str, folder: Path) -> None:
    """Earlier migrations stay applied, the failed one leaves no table and no row; a syntax error's line is named."""
    add(folder, "020_bad", "CREATE TABLE c (id int);\nSELEKT 1;")
    with pytest.raises(MigrationError, match=r'020_bad.sql:2: syntax error at or near "SELEKT"; nothing of this file'):
        migration_runner.up(database, folder)
    assert tables(database) == {"a", "b"}
    assert migration_runner.status(database, folder)[-1] == ("020_bad", False)


def test_a_missing_rollback_file_is_reported(database: str, folder: Path) -> None:
    """`down` refuses a migration without a rollback file and leaves it applied."""
    add(folder, "020_c", "CREATE TABLE c (id int);")
    migration_runner.up(database, folder)
    with pytest.raises(MigrationError, match=r"020_c has no rollback/020_c.sql"):
        migration_runner.down(database, folder)
    migration_runner.verify(database, folder)


CONTRADICTIONS: dict[str, dict[str, str | None]] = {
    "010_a.sql was edited after it was applied; restore it": {"010_a.sql": "SELECT 1;"},
    "rollback/010_a.sql was edited after 010_a was applied": {"rollback/010_a.sql": "--"},
    "010_a is applied, but missing from this release": {"order.txt": "010_b.sql", "010_a.sql": None},
    "005 is listed before 010_b, which is already applied": {"005.sql": "--", "order.txt": "005\n010_b\n010_a"},
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_between_rows_and_files_is_refused(database: str, folder: Path, message: str) -> None:
    """Edited, unknown or misordered migrations fail every command."""
    migration_runner.up(database, folder)
    for name, text in CONTRADICTIONS[message].items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    for command in (migration_runner.up, migration_runner.down, migration_runner.verify):
        with pytest.raises(MigrationError, match=message):
            command(database, folder)
    assert tables(database) == {"a", "b"}


def test_transaction_control_is_refused_before_anything_runs(database: str, folder: Path) -> None:
    """A file with COMMIT is refused, because its tables would stay although the file fails."""
    add(folder, "020_leak", "CREATE TABLE c (id int);\nCOMMIT;\nSELEKT 1;")
    with pytest.raises(MigrationError, match=r"020_leak\.sql:2: COMMIT: remove it"):
        migration_runner.up(database, folder)
    assert tables(database) == set()


LEAKS = [
    "CREATE TABLE c (id int); COMMIT; CREATE TABLE d (id int);",
    "CREATE TABLE c (id int); COMMIT; BEGIN; CREATE TABLE d (id int);",
    "CREATE TABLE c (id int); COMMIT AND CHAIN;",
    "CREATE TABLE c (id int); ROLLBACK; BEGIN;",
    "CREATE TABLE c (id int); COMMIT; SELECT 1 / 0;",
    "CREATE TABLE c (id int); COMMIT; BEGIN; SELECT 1 / 0;",
]


@pytest.mark.parametrize("sql", LEAKS)
def test_a_file_that_ends_its_transaction_is_refused_without_the_lexer(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """Transaction control that the lexer misses is found by the transaction's identity; no row records the file."""
    monkeypatch.setattr(migration_files, "transaction_control", lambda _: None)
    add(folder, "020_leak", sql)
    with pytest.raises(MigrationError, match=r"^020_leak\.sql: ends the transaction .*; remove that: .* be applied$"):
        migration_runner.up(database, folder)
    assert "d" not in tables(database) or sql == LEAKS[0]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() == (2,)


def test_a_rollback_file_that_ends_its_transaction_is_refused_without_the_lexer(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds for rollback files: the migration stays recorded."""
    monkeypatch.setattr(migration_files, "transaction_control", lambda _: None)
    write(folder, "010_a", "CREATE TABLE a (id int);", "ROLLBACK; BEGIN;")
    migration_runner.up(database, folder)
    with pytest.raises(MigrationError, match=r"^rollback/010_a\.sql: ends the transaction"):
        migration_runner.down(database, folder)
    migration_runner.verify(database, folder)


def test_another_tools_table_is_refused(database: str, folder: Path) -> None:
    """A table schema_migrations with other columns is refused and unchanged."""
    with connect(database) as connection:
        connection.execute("CREATE TABLE schema_migrations (version bigint, dirty boolean)")
    with pytest.raises(MigrationError, match=r"belongs to another tool \(columns dirty, version\)"):
        migration_runner.up(database, folder)
    assert tables(database) == set()


STATE = {
    "SET search_path = other": "SELECT current_schema() = 'other'",
    "SET ROLE pg_read_all_data": "SELECT current_user = 'pg_read_all_data'",
    "SET SESSION AUTHORIZATION pg_read_all_data": "SELECT session_user = 'pg_read_all_data'",
    "SELECT set_config('gaia.own', 'set', false)": "SELECT current_setting('gaia.own', true) = 'set'",
    "CREATE TEMP TABLE t ()": "SELECT to_regclass('pg_temp.t') IS NOT NULL",
    "PREPARE p AS SELECT 1": "SELECT count(*) > 0 FROM pg_prepared_statements",
    "LISTEN channel": "SELECT count(*) > 0 FROM pg_listening_channels()",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "SELECT count(*) > 0 FROM pg_cursors WHERE name = 'c'",
    "SELECT pg_advisory_lock(5)": "SELECT count(*) > 0 FROM pg_locks WHERE pid = pg_backend_pid() AND objid = 5",
}


@pytest.mark.parametrize("set_up", STATE)
def test_session_state_of_one_file_does_not_reach_the_next(database: str, folder: Path, set_up: str) -> None:
    """Roles, settings, temporary tables and the like end with the file that makes them; both files are recorded."""
    write(folder, "010_b", f"CREATE SCHEMA other; {set_up};")
    write(folder, "010_a", f"DO $$ BEGIN IF ({STATE[set_up]}) THEN RAISE 'reached'; END IF; END $$;")
    assert migration_runner.up(database, folder) == ("010_b", "010_a")


@pytest.mark.parametrize("sql", ["SELECT pg_advisory_unlock_all();", "SELECT pg_sleep(0.4);"])
def test_the_runner_keeps_its_lock_whatever_a_file_does(database: str, folder: Path, sql: str) -> None:
    """The lock belongs to another session than the file, and outlasts the account's idle_session_timeout."""
    with connect(database) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET idle_session_timeout = '100ms'".encode())
    write(folder, "010_b", sql)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    write(folder, "010_a", f"CREATE TABLE a AS {locks};")
    migration_runner.up(database, folder)
    with connect(database) as connection:
        assert connection.execute("SELECT count FROM a").fetchone() == (1,)


@pytest.mark.parametrize("setting", ["client_encoding = 'latin1'", "standard_conforming_strings = off"])
def test_a_file_is_applied_as_it_is_written_whatever_the_database_sets(
    database: str, folder: Path, setting: str
) -> None:
    """A file is UTF-8 with standard strings, also where the account's defaults are others."""
    with connect(database) as connection:
        connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {connection.info.dbname} SET {setting}".encode())
    write(folder, "010_b", "CREATE TABLE b AS SELECT 'é\\n'::text AS text;")
    write(folder, "010_a", "SELECT 1;")
    migration_runner.up(database, folder)
    with psycopg.connect(database, client_encoding="utf8") as connection:
        assert connection.execute("SELECT text FROM b").fetchone() == ("é\\n",)


def test_two_runners_at_once_apply_once(database: str, folder: Path) -> None:
    """Concurrent runners take turns; only the first applies migrations."""
    write(folder, "010_b", "SELECT pg_sleep(0.3); CREATE TABLE b (id int);")
    runners = [
        subprocess.Popen((sys.executable, "-c", UP, database, str(folder)), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = sorted(runner.communicate(timeout=60)[0].strip() for runner in runners)
    assert [runner.returncode for runner in runners] == [0, 0, 0]
    assert printed == ["", "", "010_b,010_a"]


def test_a_killed_runner_leaves_no_partial_migration(database: str, folder: Path) -> None:
    """After kill -9 the file is rolled back, the lock is released, and the next run succeeds."""
    add(folder, "020_slow", "CREATE TABLE c (id int); SELECT pg_sleep(60); CREATE TABLE d (id int);")
    with subprocess.Popen((sys.executable, "-c", UP, database, str(folder)), stdout=subprocess.DEVNULL) as runner:
        try:
            eventually(lambda: sleeping(database))
        finally:
            runner.kill()
    eventually(lambda: not sleeping(database))  # the server notices the lost client
    assert tables(database) == {"a", "b"}
    write(folder, "020_slow", "CREATE TABLE c (id int); CREATE TABLE d (id int);")
    assert migration_runner.up(database, folder) == ("020_slow",)
    assert tables(database) == {"a", "b", "c", "d"}


def sleeping(dsn: str) -> bool:
    """Whether a migration is in its long sleep."""
    with connect(dsn) as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone()
    return found == (1,)


def test_a_table_lock_is_requested_repeatedly(database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner retries while a long transaction holds the lock, and succeeds when it is free."""
    migration_runner.up(database, folder)
    add(folder, "020_alter", "ALTER TABLE b ADD COLUMN note text;")
    monkeypatch.setattr(file_transaction, "LOCK_TIMEOUT", "100ms")
    with psycopg.connect(database) as blocker:
        blocker.execute("SELECT * FROM b")  # an open transaction: ALTER must wait
        release = threading.Timer(0.3, blocker.rollback)
        release.start()
        assert migration_runner.up(database, folder) == ("020_alter",)
        release.join()


def test_a_table_lock_that_is_never_free_is_reported(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last attempt the error names the remedy."""
    migration_runner.up(database, folder)
    add(folder, "020_alter", "ALTER TABLE b ADD COLUMN note text;")
    monkeypatch.setattr(file_transaction, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(file_transaction, "ATTEMPTS", 2)
    with psycopg.connect(database) as blocker:
        blocker.execute("SELECT * FROM b")
        with pytest.raises(
            MigrationError, match=r"020_alter\.sql: no lock within 2 attempts of 50ms; end long transactions"
        ):
            migration_runner.up(database, folder)


def test_the_projects_own_migrations_go_up_down_and_up(database: str) -> None:
    """The project's migrations apply, revert completely, and apply again."""
    project_migrations = ROOT / "migrations"
    count = len(migration_runner.up(database, project_migrations))
    assert len(tables(database)) >= 7
    migration_runner.down(database, project_migrations, count=count)
    assert tables(database) == set()
    assert len(migration_runner.up(database, project_migrations)) == count


def test_a_database_is_created_once(postgres: str) -> None:
    """A missing database counts as reachable, is created once, and exists afterwards."""
    name = f"made_{time.monotonic_ns()}"
    dsn = postgres.replace("/postgres?", f"/{name}?")
    try:
        reach(dsn)
        assert ensure_exists(dsn)
        assert not ensure_exists(dsn)
    finally:
        with connect(postgres) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name}".encode())


@pytest.fixture
def limited(database: str) -> Iterator[str]:
    """Yield the connection string of an account that may only connect."""
    name = f"limited_{time.monotonic_ns()}"
    with connect(database) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN".encode())
        yield f"{database}&user={name}"
        admin.execute(f"DROP ROLE {name}".encode())


def test_an_account_that_may_not_create_tables_gets_the_missing_privilege(limited: str, folder: Path) -> None:
    """The error quotes PostgreSQL and names the privilege to grant."""
    with pytest.raises(MigrationError, match=r"permission denied for schema public; let the account .*GRANT CREATE ON"):
        migration_runner.up(limited, folder)


def test_a_scratch_database_of_another_account_is_reported(limited: str, tmp_path: Path) -> None:
    """Dropping a scratch database of another account is an error with a remedy."""
    file = tmp_path / "there.toml"
    file.write_text('[environment]\nstage = "dev"\ndatabase = "external"\nhost = "127.0.0.1"\n')
    owner, other = (
        environment_file.load(str(file), variables={"GAIA_HOME": str(tmp_path), "DATABASE_URL": dsn})
        for dsn in (limited.partition("&user=")[0], limited)
    )
    message = r"the scratch database gaia_scratch_\w+ cannot be dropped: must be owner .*; let the account"
    with scratch.scratch(owner), pytest.raises(ConfigurationError, match=message):
        scratch.drop(other)


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("postgresql://gaia:canary-9d1@127.0.0.1:1/x", "the database does not answer: .*; check DATABASE_URL"),
        ("postgres//gaia:canary-9d1@somewhere/x", "DATABASE_URL: not a connection string; write postgresql://"),
        ("postgresql://gaia:canary/9d1@somewhere/x", "DATABASE_URL: not a connection string; .* as %2F or %40"),
    ],
)
def test_an_unreachable_database_is_reported_without_its_password(dsn: str, message: str) -> None:
    """The error and its cause name the remedy and contain no password."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        reach(dsn)
    with pytest.raises(ConfigurationError, match=message):
        connect_maintenance(dsn)
    assert "canary" not in str(caught.value) + str(caught.value.__cause__)


def test_the_owner_of_the_migration_lock_is_named(database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session left by a killed runner is named while others wait for it, and in the error."""
    monkeypatch.setattr(migration_runner, "RUNNER_LOCK_TIMEOUT_S", 0.2)
    said: list[str] = []
    with psycopg.connect(database, autocommit=True, application_name="left") as left:
        left.execute("SELECT pg_advisory_lock(%s)", (migration_runner.LOCK_KEY,))
        named = rf"session {left.info.backend_pid} of left, connected since 2\d\d\d-.*"
        with pytest.raises(MigrationError, match=rf"{named}pg_terminate_backend\({left.info.backend_pid}\)"):
            migration_runner.up(database, folder, log=said.append)
    assert len(said) == 1
    assert re.fullmatch(f"waiting for the migration lock of {named}", said[0])
    assert migration_runner.up(database, folder) == ("010_b", "010_a")
