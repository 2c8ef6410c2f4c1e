"""The round-trip check names every object that rollback files do not revert."""

from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import round_trip
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import MigrationError

UP = """
CREATE TYPE colour AS ENUM ('red', 'blue');
CREATE TABLE items (id bigint PRIMARY KEY, shade colour NOT NULL, name text);
CREATE INDEX items_name_idx ON items (name);
CREATE FUNCTION items_count() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM items $$;
CREATE VIEW names AS SELECT name FROM items;
"""
DOWN = "DROP VIEW names;\nDROP FUNCTION items_count;\nDROP TABLE items;\nDROP TYPE colour;\n"


def migrations(folder: Path, up: str, down: str | None) -> Path:
    """Write a folder with one migration."""
    (folder / "rollback").mkdir()
    (folder / "order.txt").write_text("001_items.sql\n")
    (folder / "001_items.sql").write_text(up)
    if down is not None:
        (folder / "rollback" / "001_items.sql").write_text(down)
    return folder


def test_the_projects_migrations_can_be_reverted(database: str) -> None:
    """The project's rollback files leave nothing, and reapplying its migrations yields the same schema."""
    assert round_trip.faults(database, ROOT / "migrations") == ()


def test_a_complete_rollback_file_leaves_nothing(database: str, tmp_path: Path) -> None:
    """A complete rollback file removes every kind of object, and reapplying works."""
    assert round_trip.faults(database, migrations(tmp_path, UP, DOWN)) == ()


def two(folder: Path, second: str, undo: str) -> Path:
    """Write a folder with two migrations."""
    migrations(folder, UP, DOWN)
    (folder / "order.txt").write_text("001_items.sql\n002_more.sql\n")
    (folder / "002_more.sql").write_text(second)
    (folder / "rollback" / "002_more.sql").write_text(undo)
    return folder


LOOSE = "ALTER TABLE items ALTER COLUMN shade DROP NOT NULL;"


@pytest.mark.parametrize(
    ("second", "undo", "found"),
    [
        (LOOSE, "SELECT 1;", ("TABLE public.items: different after rollback/002_more.sql",)),
        (LOOSE, "ALTER TABLE items ALTER COLUMN shade SET NOT NULL;", ()),
        (
            "SELECT 1;",
            "DROP INDEX items_name_idx;",
            ("INDEX public.items_name_idx: missing after rollback/002_more.sql",),
        ),
        (
            "ALTER TABLE items DROP COLUMN shade;",
            "ALTER TABLE items ADD COLUMN shade colour NOT NULL;",  # it is the last column now
            (),
        ),
        (f"-- gaia: contract\n{LOOSE}", "SELECT 1;", ()),
    ],
)
def test_a_rollback_file_restores_what_its_migration_altered(
    database: str, tmp_path: Path, second: str, undo: str, found: tuple[str, ...]
) -> None:
    """Also of a table that an earlier migration made, and whose own rollback file drops it."""
    assert round_trip.faults(database, two(tmp_path, second, undo)) == found


COLOUR = "CREATE TYPE colour AS ENUM ('red'); EXCEPTION WHEN duplicate_object THEN NULL;"


@pytest.mark.parametrize(
    ("up", "named"),
    [
        ("CREATE TABLE IF NOT EXISTS items (id bigint);", "TABLE public.items"),
        ("CREATE OR REPLACE VIEW one AS SELECT 1 AS number;", "VIEW public.one"),
        ("CREATE OR REPLACE FUNCTION one() RETURNS bigint LANGUAGE sql RETURN 1;", "FUNCTION public.one()"),
        (f"DO $$ BEGIN {COLOUR} END $$;", "TYPE public.colour"),
        ("CREATE SCHEMA IF NOT EXISTS elsewhere;", "SCHEMA -.elsewhere"),
    ],
)
def test_an_object_that_a_rollback_file_leaves_is_named(database: str, tmp_path: Path, up: str, named: str) -> None:
    """A remaining object of any kind is named, also when the migration can be reapplied over it."""
    found = round_trip.faults(database, migrations(tmp_path, up, "SELECT 1;"))
    assert found == (f"{named}: not removed by the rollback files",)


def test_a_migration_that_cannot_be_reapplied_is_named_with_the_remaining_object(database: str, tmp_path: Path) -> None:
    """The remaining table is named first, then PostgreSQL's error when reapplying."""
    left, failed = round_trip.faults(database, migrations(tmp_path, "CREATE TABLE items (id bigint);", "SELECT 1;"))
    assert left == "TABLE public.items: not removed by the rollback files"
    assert failed.startswith('applied again: 001_items.sql: relation "items" already exists')


def test_a_schema_that_differs_when_reapplied_is_a_fault(database: str, tmp_path: Path) -> None:
    """A remaining object that changes the second schema is a fault of both objects."""
    up = """
    CREATE TABLE items (id bigint);
    DO $$ BEGIN
        IF to_regclass('applied_once') IS NOT NULL THEN ALTER TABLE items ADD COLUMN late text; END IF;
    END $$;
    CREATE TABLE IF NOT EXISTS applied_once (id bigint);
    """
    assert round_trip.faults(database, migrations(tmp_path, up, "DROP TABLE items;")) == (
        "TABLE public.applied_once: not removed by the rollback files",
        "TABLE public.items: different when applied again",
    )


def test_a_migration_without_a_rollback_file_is_an_error(database: str, tmp_path: Path) -> None:
    """A missing rollback file is named."""
    with pytest.raises(MigrationError, match=r"001_items has no rollback/001_items\.sql"):
        round_trip.faults(database, migrations(tmp_path, UP, None))
