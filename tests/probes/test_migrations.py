"""The migrations probe."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.migrations.migration_files import read
from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Release, Target
from gaia_checks.probes import migrations
from tests.probes.conftest import MIGRATIONS
from tests.probes.servers import target

RELEASE = Release("phase-1", None, "0" * 64, {"001_a": "a" * 64, "002_b": "b" * 64})
SCHEMA = """
    CREATE TABLE schema_migrations (version text PRIMARY KEY, checksum text);
    CREATE TABLE one (id int PRIMARY KEY, name text UNIQUE);
    CREATE TABLE two (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE two_part PARTITION OF two FOR VALUES FROM (0) TO (9);
    CREATE VIEW three AS SELECT * FROM one;
    CREATE SCHEMA other;
    CREATE TABLE other.four (id int PRIMARY KEY);
"""


@contextmanager
def elsewhere() -> Iterator[str]:
    """Stand for a release whose files are on another machine."""
    raise Inconclusive("the files are elsewhere")
    yield ""


def look(at: Target, released: AbstractContextManager[str] | None = None) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    observed = migrations.probe(at, released=released or elsewhere())
    return {each.name.removeprefix("migrations."): each for each in observed}


@pytest.fixture
def schema(database: str) -> str:
    """A database with a few things in it, and both migrations of the release applied."""
    with psycopg.connect(database) as connection:
        connection.execute(SCHEMA)
        for version, checksum in RELEASE.migrations.items():
            connection.execute("INSERT INTO schema_migrations VALUES (%s, %s)", (version, checksum))
    return database


def looked_at(dsn: str | None) -> dict[str, Measurement]:
    """Probe a database as the release's."""
    return look(target("http://127.0.0.1:9", database_url=dsn, release=RELEASE))


def test_the_real_schema_is_complete(server: Target) -> None:
    """All of the release's migrations, enough tables and indexes, nothing unknown or invalid."""
    observed = look(server)
    assert observed["applied"].value == observed["applied"].n == len(read(MIGRATIONS)) >= 2
    assert observed["unknown"].value == observed["invalid_indexes"].value == 0
    assert observed["tables"].value >= 7
    assert observed["indexes"].value >= 18


def test_what_is_counted(schema: str) -> None:
    """Tables and indexes of the schema count; views, partitions, other schemas and schema_migrations do not."""
    observed = looked_at(schema)
    assert {name: measurement.value for name, measurement in observed.items()} == {
        "applied": 2,
        "unknown": 0,
        "tables": 2,
        "indexes": 3,
        "invalid_indexes": 0,
        "objects": 0,
    }


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM schema_migrations WHERE version = '002_b'", "002_b is not applied"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = '001_a'", "001_a was applied from another file"),
    ],
)
def test_a_migration_that_is_not_the_release_s_is_named(schema: str, sql: str, said: str) -> None:
    """A missing or edited migration counts as tried, not as good."""
    with psycopg.connect(schema) as connection:
        connection.execute(sql.encode())
    applied = looked_at(schema)["applied"]
    assert (applied.value, applied.n) == (1, 2)
    assert said in applied.notes[0]


def test_a_migration_without_a_file_is_named(schema: str) -> None:
    """A row that the release does not know is counted."""
    with psycopg.connect(schema) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('003_c', 'c')")
    unknown = looked_at(schema)["unknown"]
    assert (unknown.value, unknown.notes) == (1, ("003_c is applied but not part of phase-1",))


def test_an_invalid_index_is_no_index(schema: str) -> None:
    """An invalid index of a failed concurrent build is named, and not counted."""
    with psycopg.connect(schema) as connection:
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one_name_key'::regclass")
    observed = looked_at(schema)
    assert observed["indexes"].value == 2
    assert (observed["invalid_indexes"].value, observed["invalid_indexes"].notes) == (1, ("one_name_key",))


def test_an_empty_database_has_nothing_applied(database: str) -> None:
    """Without schema_migrations, no migration counts as applied: a failure."""
    observed = looked_at(database)
    assert (observed["applied"].value, observed["applied"].n) == (0, 2)
    assert (observed["tables"].value, observed["indexes"].value) == (0, 0)


def test_a_missing_migration_file_is_detected(database: str, tmp_path: Path, release: Release) -> None:
    """A database migrated without one of the files is incomplete."""
    first, *others = read(MIGRATIONS)
    (tmp_path / "rollback").mkdir()
    (tmp_path / "order.txt").write_text(f"{first.version}.sql\n")
    for name in (f"{first.version}.sql", f"rollback/{first.version}.sql"):
        (tmp_path / name).write_bytes((MIGRATIONS / name).read_bytes())
    runner.up(database, tmp_path)
    applied = look(target("http://127.0.0.1:9", database_url=database, release=release))["applied"]
    assert (applied.value, applied.n) == (1, 1 + len(others))


@pytest.mark.parametrize("dsn", [None, "postgresql://gaia:canary@127.0.0.1:9/gaia"])
def test_an_unobservable_database_is_not_judged(dsn: str | None) -> None:
    """Without a session there are no samples, but a reason, without the password."""
    observed = looked_at(dsn)
    assert set(observed) == {"applied", "unknown", "tables", "indexes", "invalid_indexes", "objects"}
    assert {measurement.n for measurement in observed.values()} == {0}
    assert all(measurement.notes for measurement in observed.values())
    assert "canary" not in str(observed)


def test_an_unknown_release_is_not_judged(server: Target) -> None:
    """Without a known release, tables and indexes are still counted."""
    observed = look(replace(server, release=None))
    assert (observed["applied"].n, observed["unknown"].n) == (0, 0)
    assert observed["tables"].value >= 7


DIFFERENCES = {
    "DROP INDEX rate_limit_violations_key_idx": "index rate_limit_violations.rate_limit_violations_key_idx is missing",
    "ALTER TABLE rate_limit_violations ALTER hits TYPE int": "column rate_limit_violations.hits: 'integer NOT NULL",
    "ALTER TABLE rate_limit_violations ALTER hits DROP DEFAULT": "column rate_limit_violations.hits: 'bigint NOT NULL'",
    "ALTER TABLE rate_limit_configs ALTER enabled DROP NOT NULL": "column rate_limit_configs.enabled: 'boolean DEFAULT",
    "ALTER TABLE rate_limit_configs DROP CONSTRAINT rate_limit_configs_scope_check": "configs_scope_check is",
    "ALTER TABLE resource_quotas ADD note text": "column resource_quotas.note is not the release's: text",
    "ALTER TABLE rate_limit_buckets DISABLE TRIGGER rate_limit_buckets_deleted": ", enabled: D'",
    "ALTER TABLE rate_limit_ring SET UNLOGGED": "table rate_limit_ring: 'table unlogged",
    "ALTER TABLE resource_quotas RESET (fillfactor)": "table resource_quotas: 'table' instead",
    "CREATE UNIQUE INDEX once ON rate_limit_violations (key)": "unique index rate_limit_violations.once is not",
    "DROP FUNCTION rate_limit_used": "function rate_limit_used(text,bigint) is missing",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rate_limit_violations_key_idx'::regclass": ", invalid'",
}
"""What was changed by hand -> how the note names it. The numbers of tables and indexes see only the first."""


def migrate(database: str, changes: str) -> None:
    """Apply the release's files, and then these changes."""
    runner.up(database, MIGRATIONS)
    with psycopg.connect(database) as connection:
        connection.execute(changes.encode())


@pytest.mark.parametrize("changed", DIFFERENCES)
def test_a_schema_that_is_not_the_release_s_is_named(database: str, server: Target, changed: str) -> None:
    """One object differs from those in a database made from the release's files."""
    assert server.database_url is not None
    migrate(database, changed)
    observed = look(replace(server, database_url=database), nullcontext(server.database_url))["objects"]
    assert observed.n - observed.value == 1, observed.notes
    assert DIFFERENCES[changed] in observed.notes[0], observed.notes


def test_what_others_have_in_the_database_does_not_count(database: str, server: Target) -> None:
    """Other tables, functions and schemas, and an index that changes no answer, are no fault."""
    assert server.database_url is not None
    migrate(
        database,
        "CREATE TABLE theirs (id int PRIMARY KEY); CREATE SCHEMA other; CREATE TABLE other.rate_limit_ring ();"
        "CREATE INDEX faster ON rate_limit_ring (admitted_at);"
        "CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    observed = look(replace(server, database_url=database), nullcontext(server.database_url))["objects"]
    assert observed.value == observed.n > 100, observed.notes


def test_a_release_without_the_index_of_a_foreign_key_is_named(database: str, server: Target) -> None:
    """The target has what the release's files make; an index for other rows or of other columns is none."""
    assert server.database_url is not None
    migrate(
        database,
        "DROP INDEX rate_limit_violations_rule_id_idx;"
        "CREATE INDEX partial_only ON rate_limit_violations (rule_id) WHERE hits > 1;"
        "CREATE INDEX other_columns ON rate_limit_violations (key, rule_id)",
    )
    observed = look(replace(server, database_url=database), nullcontext(database))["objects"]
    assert observed.n - observed.value == 1, observed.notes
    assert observed.notes[0].startswith("foreign key rate_limit_violations.rate_limit_violations_rule_id_fkey has no")


def test_a_schema_that_cannot_be_compared_is_not_judged(server: Target) -> None:
    """Without the release's own schema there are no samples, but a reason."""
    observed = look(server)["objects"]
    assert (observed.n, observed.notes) == (0, ("not checked: the files are elsewhere",))
