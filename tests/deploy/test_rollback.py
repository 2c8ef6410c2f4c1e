"""Going back: the binary quickly and with the schema it finds, the schema only with what it costs said before."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gaia_checks import cli, jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.release import links
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.steps import downgrade_schema
from gaia_checks.errors import ConfigurationError, MigrationError, VerifyError
from gaia_checks.files import sha256
from tests.deploy import stranger
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
def two(database: str) -> Iterator[Stage]:
    """Version 1 is deployed, and there are rows in its tables and in one of somebody else."""
    with make_stage("external", server=SERVER, DATABASE_URL=database) as stage:
        deploy(stage, "1", {"001_items": ITEMS})
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE others (id bigint, item bigint REFERENCES items)")
            connection.execute("INSERT INTO items VALUES (7, 'ours')")
            connection.execute("INSERT INTO others VALUES (1, 7), (2, 7)")
        yield stage


def deploy(stage: Stage, version: str, files: dict[str, str], rollbacks: dict[str, str] | None = None) -> None:
    """Deploy a version with the given migrations."""
    folder = stage.folder / f"migrations-{version}"
    (folder / "rollback").mkdir(parents=True)
    (folder / "order.txt").write_text("".join(f"{name}.sql\n" for name in files))
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    for name, text in (rollbacks or {}).items():
        (folder / "rollback" / f"{name}.sql").write_text(text)
    executable = stranger.build(stage.folder, version, "-DHANDOVER")
    rollout.deploy(stage.environment, artifact=executable, migrations=folder)


def query(stage: Stage, text: str) -> list[tuple[object, ...]]:
    """Ask the stage's database."""
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        return list(connection.execute(text.encode()).fetchall())


def refuse(*_: object) -> None:
    """Fail as a database does that will not have it."""
    raise MigrationError("refused")


def version(stage: Stage) -> str:
    """What the server says it is."""
    return stage.text("/healthz").split()[-1]


def test_the_binary_goes_back_in_seconds_and_the_schema_stays(two: Stage) -> None:
    """The previous release serves within 10 s on the newer schema, which is named; a second rollback goes forward."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    said: list[str] = []
    began = time.monotonic()
    status = rollout.rollback(two.environment, say=said.append)
    assert time.monotonic() - began < 10
    assert version(two) == "1"
    assert status.previous is not None
    assert status.previous.sha256 == sha256(stranger.build(two.folder, "2", "-DHANDOVER"))
    assert any("the schema is ahead of it by 002_more" in text for text in said)
    assert query(two, "SELECT count(*) FROM extras") == [(0,)]
    rollout.rollback(two.environment)
    assert version(two) == "2"


def test_without_a_previous_release_nothing_happens(two: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there cannot be gone back to: one line, exit code 4, and the server serves on."""
    before = two.status()
    with pytest.raises(ConfigurationError, match=r"stage: there is no previous release here; deploy one"):
        rollout.rollback(two.environment)
    for name, value in two.variables.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["rollback", str(two.file), "--to", "phase-9"]) == 4
    assert two.status() == before


def test_a_deployment_undone_at_its_very_end_leaves_the_way_back(two: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The links go back, too: to the release before the one that serves, and to none where there was none."""
    releases = paths.of(two.environment).releases
    with monkeypatch.context() as broken:
        broken.setattr(runner, "ahead_of", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            deploy(two, "2", {"001_items": ITEMS})
    assert version(two) == "1"
    assert links.target(releases, "current") == two.status().release_dir
    assert links.target(releases, "previous") is None
    deploy(two, "3", {"001_items": ITEMS})
    with monkeypatch.context() as broken:
        broken.setattr(runner, "ahead_of", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            deploy(two, "4", {"001_items": ITEMS})
    assert version(two) == "3"
    rollout.rollback(two.environment)
    assert version(two) == "1"


def test_where_only_the_schema_did_not_go_back_there_is_a_way_forward(
    two: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older release serves by then and stays; what served before it is its previous one."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE}, {"002_more": UNDO_MORE})
    with monkeypatch.context() as broken:
        broken.setattr(downgrade_schema, "run", refuse)
        with pytest.raises(MigrationError, match=r"refused; worktree-\w+ serves$"):
            rollout.rollback(two.environment, database=True, confirm=lambda _: True)
    assert version(two) == "1"
    rollout.rollback(two.environment)
    assert version(two) == "2"


def test_rollback_files_take_the_schema_back_once_confirmed(two: Stage) -> None:
    """What would be lost is told with counts; unconfirmed nothing changes, confirmed only that is lost."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE}, {"002_more": UNDO_MORE})
    with psycopg.connect(two.variables["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO extras VALUES (1), (2), (3)")
        connection.execute("UPDATE items SET colour = 'red' WHERE id = 7")
    told: list[str] = []

    def decline(losses: tuple[str, ...]) -> bool:
        told.extend(losses)
        return False

    with pytest.raises(ConfigurationError, match="not confirmed, nothing was changed"):
        rollout.rollback(two.environment, database=True, confirm=decline)
    assert told == ["table extras: 3 rows", "column items.colour: 1 values"]
    assert version(two) == "2"
    rollout.rollback(two.environment, database=True, confirm=lambda _: True)
    assert version(two) == "1"
    assert query(two, "SELECT to_regclass('extras')") == [(None,)]
    assert query(two, "SELECT * FROM items ORDER BY id") == [(1, "default"), (7, "ours")]
    assert query(two, "SELECT * FROM others ORDER BY id") == [(1, 7), (2, 7)]
    assert query(two, "SELECT version FROM schema_migrations") == [("001_items",)]


def test_without_a_rollback_file_our_tables_come_from_the_dump(two: Stage) -> None:
    """Schema and rows of our tables are as before the deployment, and others keep every row."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    with psycopg.connect(two.variables["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO items VALUES (8, 'since', 'blue')")
        connection.execute("INSERT INTO others VALUES (3, 8)")
    told: list[str] = []

    def agree(losses: tuple[str, ...]) -> bool:
        told.extend(losses)
        return True

    rollout.rollback(two.environment, database=True, confirm=agree)
    assert any(text.startswith("table items: 3 rows now, 2 as of ") for text in told)
    assert version(two) == "1"
    assert query(two, "SELECT * FROM items ORDER BY id") == [(1, "default"), (7, "ours")]
    assert query(two, "SELECT items_count()") == [(2,)]
    assert query(two, "SELECT name FROM names ORDER BY 1") == [("default",), ("ours",)]
    assert query(two, "SELECT count(*) FROM others") == [(3,)]
    assert query(two, "SELECT to_regclass('extras')") == [(None,)]


def test_the_dump_is_for_us_alone(two: Stage) -> None:
    """The owned tables lie on the disk with mode 0600, before anything is migrated."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    (kept,) = paths.of(two.environment).dumps.glob("*.dump")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_bytes().startswith(b"PGDMP")
    (about,) = jsonl.read(kept.with_suffix(".json"))
    assert about["rows"] == {"items": 2, "schema_migrations": 1}


def test_neither_file_nor_dump_is_no_way_back(two: Stage) -> None:
    """When the schema cannot be taken back, that is said before anything is touched."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    for kept in paths.of(two.environment).dumps.glob("*.dump"):
        kept.unlink()
    with pytest.raises(MigrationError, match=r"002_more has no rollback/002_more\.sql and there is no dump"):
        rollout.rollback(two.environment, database=True, confirm=lambda _: True)
    assert version(two) == "2"


def test_a_release_of_a_phase_is_found_by_its_name(two: Stage) -> None:
    """--to takes the last release of that phase that has served."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    rollout.rollback(two.environment, phase="worktree")
    assert version(two) == "2"


def test_a_release_that_no_longer_holds_is_not_gone_back_to(two: Stage) -> None:
    """The older release is verified on the schema that is there before it takes over."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    with psycopg.connect(two.variables["DATABASE_URL"]) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '001_items'")
    with pytest.raises(VerifyError, match=r"database: .*001_items.*; worktree-\w+ serves$"):
        rollout.rollback(two.environment)
    assert version(two) == "2"
    outcome = lines(two)[-1]
    assert (outcome["kind"], outcome["event"]) == ("rollback", "failed")


def test_a_damaged_release_is_refused(two: Stage) -> None:
    """A file that is not the released one does not come back."""
    deploy(two, "2", {"001_items": ITEMS, "002_more": MORE})
    previous = (paths.of(two.environment).releases / "previous").resolve()
    executable: Path = previous / "gaia_server"
    executable.chmod(0o755)
    executable.write_bytes(executable.read_bytes() + b"\0")
    with pytest.raises(Exception, match="is not the one that was released"):
        rollout.rollback(two.environment)
    assert version(two) == "2"
