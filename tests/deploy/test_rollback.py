"""Rollbacks: the binary quickly and on the current schema; the schema only after its data loss is confirmed."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gaia_checks import cli, jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.rehearsal import release_schema
from gaia_checks.deploy.release import links
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.steps import downgrade_schema
from gaia_checks.errors import ConfigurationError, MigrationError, VerifyError
from gaia_checks.files import sha256
from gaia_checks.model import Target
from gaia_checks.probes import migrations
from tests.deploy import foreign_server
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, lines

SERVER = '[server]\nhandover = true\npaths = ["/healthz"]\n'

ITEMS = """
CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO items VALUES (1, 'default');
CREATE FUNCTION items_count() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM items $$;
CREATE VIEW names AS SELECT name FROM items;
"""
MORE = "ALTER TABLE items ADD COLUMN colour text;\nCREATE TABLE extras (id bigint PRIMARY KEY);\n"
UNDO_MORE = "DROP TABLE extras;\nALTER TABLE items DROP COLUMN colour;\n"


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """Version 1 is deployed; its tables and one of another application have rows."""
    with make_stage("external", server=SERVER, DATABASE_URL=database) as made:
        deploy(made, "1", {"001_items": ITEMS})
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE others (id bigint, item bigint REFERENCES items)")
            connection.execute("INSERT INTO items VALUES (7, 'ours')")
            connection.execute("INSERT INTO others VALUES (1, 7), (2, 7)")
        yield made


def deploy(stage: Stage, version: str, files: dict[str, str], rollbacks: dict[str, str] | None = None) -> None:
    """Deploy a version with the given migrations."""
    folder = stage.folder / f"migrations-{version}"
    (folder / "rollback").mkdir(parents=True)
    (folder / "order.txt").write_text("".join(f"{name}.sql\n" for name in files))
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    for name, text in (rollbacks or {}).items():
        (folder / "rollback" / f"{name}.sql").write_text(text)
    executable = foreign_server.build(stage.folder, version, "-DHANDOVER")
    rollout.deploy(stage.environment, artifact=executable, migrations=folder)


def query(stage: Stage, text: str) -> list[tuple[object, ...]]:
    """Run a query on the environment's database."""
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        return list(connection.execute(text.encode()).fetchall())


def refuse(*_: object) -> None:
    """Raise MigrationError."""
    raise MigrationError("refused")


def version(stage: Stage) -> str:
    """The version that the server reports."""
    return stage.text("/healthz").split()[-1]


def test_a_rollback_takes_seconds_and_keeps_the_schema(stage: Stage) -> None:
    """The previous release serves within 10 s on the newer schema, which is reported; a second rollback undoes it."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    log: list[str] = []
    start = time.monotonic()
    status = rollout.rollback(stage.environment, log=log.append)
    assert time.monotonic() - start < 10
    assert version(stage) == "1"
    assert status.previous is not None
    assert status.previous.sha256 == sha256(foreign_server.build(stage.folder, "2", "-DHANDOVER"))
    assert any("the schema is ahead of it by 002_more" in text for text in log)
    assert query(stage, "SELECT count(*) FROM extras") == [(0,)]
    rollout.rollback(stage.environment)
    assert version(stage) == "2"


def test_a_rollback_without_a_previous_release_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing rollback target is a one-line error with exit code 4; the server is unaffected."""
    before = stage.status()
    with pytest.raises(ConfigurationError, match=r"stage: there is no previous release here; deploy one"):
        rollout.rollback(stage.environment)
    for name, value in stage.variables.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["rollback", str(stage.file), "--to", "phase-9"]) == 4
    assert stage.status() == before


def test_a_deployment_undone_at_its_end_restores_the_links(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """`current` and `previous` are restored, or removed if they did not exist, so a later rollback works."""
    releases = paths.of(stage.environment).releases
    with monkeypatch.context() as broken:
        broken.setattr(runner, "ahead_of", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            deploy(stage, "2", {"001_items": ITEMS})
    assert version(stage) == "1"
    assert links.target(releases, "current") == stage.status().release_dir
    assert links.target(releases, "previous") is None
    deploy(stage, "3", {"001_items": ITEMS})
    with monkeypatch.context() as broken:
        broken.setattr(runner, "ahead_of", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            deploy(stage, "4", {"001_items": ITEMS})
    assert version(stage) == "3"
    rollout.rollback(stage.environment)
    assert version(stage) == "1"


def test_after_a_failed_downgrade_a_rollback_returns_to_the_newer_release(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older release keeps serving, and `previous` is the newer one."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE}, {"002_more": UNDO_MORE})
    with monkeypatch.context() as broken:
        broken.setattr(downgrade_schema, "run", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            rollout.rollback(stage.environment, database=True, confirm=lambda _: True)
    assert version(stage) == "1"
    rollout.rollback(stage.environment)
    assert version(stage) == "2"


def test_rollback_files_downgrade_the_schema_once_confirmed(stage: Stage) -> None:
    """The data loss is listed with counts; unconfirmed nothing changes, confirmed only that data is lost."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE}, {"002_more": UNDO_MORE})
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO extras VALUES (1), (2), (3)")
        connection.execute("UPDATE items SET colour = 'red' WHERE id = 7")
    listed: list[str] = []

    def decline(losses: tuple[str, ...]) -> bool:
        listed.extend(losses)
        return False

    with pytest.raises(ConfigurationError, match="not confirmed, nothing was changed"):
        rollout.rollback(stage.environment, database=True, confirm=decline)
    assert listed == ["table extras: 3 rows", "column items.colour: 1 values"]
    assert version(stage) == "2"
    rollout.rollback(stage.environment, database=True, confirm=lambda _: True)
    assert version(stage) == "1"
    assert query(stage, "SELECT to_regclass('extras')") == [(None,)]
    assert query(stage, "SELECT * FROM items ORDER BY id") == [(1, "default"), (7, "ours")]
    assert query(stage, "SELECT * FROM others ORDER BY id") == [(1, 7), (2, 7)]
    assert query(stage, "SELECT version FROM schema_migrations") == [("001_items",)]


def test_without_a_rollback_file_the_owned_tables_are_restored_from_the_dump(stage: Stage) -> None:
    """The owned tables are restored with schema and rows; other tables keep every row."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO items VALUES (8, 'since', 'blue')")
        connection.execute("INSERT INTO others VALUES (3, 8)")
    listed: list[str] = []

    def agree(losses: tuple[str, ...]) -> bool:
        listed.extend(losses)
        return True

    rollout.rollback(stage.environment, database=True, confirm=agree)
    assert any(text.startswith("table items: 3 rows now, 2 as of ") for text in listed)
    assert version(stage) == "1"
    assert query(stage, "SELECT * FROM items ORDER BY id") == [(1, "default"), (7, "ours")]
    assert query(stage, "SELECT items_count()") == [(2,)]
    assert query(stage, "SELECT name FROM names ORDER BY 1") == [("default",), ("ours",)]
    assert query(stage, "SELECT count(*) FROM others") == [(3,)]
    assert query(stage, "SELECT to_regclass('extras')") == [(None,)]


INDEX = "-- gaia: no-transaction\nCREATE INDEX CONCURRENTLY items_by_name ON items (name);\n"
UNDO_INDEX = "-- gaia: no-transaction\nDROP INDEX CONCURRENTLY items_by_name;\n"


@pytest.mark.parametrize("rollbacks", [{"002_index": UNDO_INDEX}, {}])
def test_an_index_is_deployed_concurrently_and_undone(stage: Stage, rollbacks: dict[str, str]) -> None:
    """The rehearsal, the probe and both ways to undo the schema handle a file outside a transaction."""
    deploy(stage, "2", {"001_items": ITEMS, "002_index": INDEX}, rollbacks)
    now = stage.status()
    target = Target(
        environment="stage", base_url=now.base_url, run="r", release=now.release, database_url=now.database_url
    )
    observed = migrations.probe(target, released=release_schema.beside(stage.environment))
    found = {one.name: one.value for one in observed}
    assert observed[-1].value == observed[-1].n > 1, observed[-1]
    assert (found["migrations.applied"], found["migrations.unknown"]) == (2, 0)
    assert found["migrations.invalid_indexes"] == 0
    assert query(stage, "SELECT to_regclass('items_by_name') IS NOT NULL") == [(True,)]
    rollout.rollback(stage.environment, database=True, confirm=lambda _: True)
    assert query(stage, "SELECT to_regclass('items_by_name') IS NULL") == [(True,)]
    assert query(stage, "SELECT version FROM schema_migrations") == [("001_items",)]
    assert query(stage, "SELECT * FROM items ORDER BY id") == [(1, "default"), (7, "ours")]


def test_what_a_killed_runner_left_of_an_index_is_dropped_by_the_next_deployment(stage: Stage) -> None:
    """Also where no migration is pending, as after the return to the older release."""
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        connection.execute("CREATE INDEX items_by_name ON items (name)")
        connection.execute("CREATE TABLE schema_migrations_unfinished (index_name text NOT NULL)")
        connection.execute("INSERT INTO schema_migrations_unfinished VALUES ('public.items_by_name')")
    deploy(stage, "2", {"001_items": ITEMS})
    assert query(stage, "SELECT to_regclass('items_by_name') IS NULL") == [(True,)]
    assert query(stage, "SELECT to_regclass('schema_migrations_unfinished') IS NULL") == [(True,)]


def test_the_dump_is_private(stage: Stage) -> None:
    """The dump of the owned tables has mode 0600 and the row counts before the migration."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    (dump,) = paths.of(stage.environment).dumps.glob("*.dump")
    assert dump.stat().st_mode & 0o777 == 0o600
    assert dump.read_bytes().startswith(b"PGDMP")
    (described,) = jsonl.read(dump.with_suffix(".json"))
    assert described["rows"] == {"items": 2, "schema_migrations": 1}


def test_a_downgrade_without_rollback_file_and_dump_is_refused(stage: Stage) -> None:
    """An impossible downgrade is refused before anything changes."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    for dump in paths.of(stage.environment).dumps.glob("*.dump"):
        dump.unlink()
    with pytest.raises(MigrationError, match=r"002_more has no rollback/002_more\.sql and there is no dump"):
        rollout.rollback(stage.environment, database=True, confirm=lambda _: True)
    assert version(stage) == "2"


def test_a_rollback_to_a_phase_finds_its_last_release(stage: Stage) -> None:
    """--to selects the last release of the phase that served."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    rollout.rollback(stage.environment, phase="worktree")
    assert version(stage) == "2"


def test_a_rollback_target_that_fails_verification_is_refused(stage: Stage) -> None:
    """The older release is verified on the current schema before it takes over."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '001_items'")
    with pytest.raises(VerifyError, match=r"database: .*001_items.*; worktree-\w+ serves$"):
        rollout.rollback(stage.environment)
    assert version(stage) == "2"
    outcome = lines(stage)[-1]
    assert (outcome["kind"], outcome["event"]) == ("rollback", "failed")


def test_a_damaged_release_is_refused(stage: Stage) -> None:
    """A rollback to a changed executable is refused."""
    deploy(stage, "2", {"001_items": ITEMS, "002_more": MORE})
    previous = (paths.of(stage.environment).releases / "previous").resolve()
    executable: Path = previous / "gaia_server"
    executable.chmod(0o755)
    executable.write_bytes(executable.read_bytes() + b"\0")
    with pytest.raises(Exception, match="is not the one that was released"):
        rollout.rollback(stage.environment)
    assert version(stage) == "2"
