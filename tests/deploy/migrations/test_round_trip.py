"""Rollback files undo what the migrations make, and what they do not undo is named."""

from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import round_trip
from gaia_checks.environment import ROOT
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


def test_our_own_migrations_can_be_undone(database: str) -> None:
    """Nothing is left of them, and applied again they make the same schema."""
    assert round_trip.faults(database, ROOT / "migrations") == ()


def test_a_whole_rollback_file_leaves_nothing(database: str, tmp_path: Path) -> None:
    """Every kind of object is gone, and comes again."""
    assert round_trip.faults(database, migrations(tmp_path, UP, DOWN)) == ()


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
def test_what_a_rollback_file_leaves_behind_is_named(database: str, tmp_path: Path, up: str, named: str) -> None:
    """Any kind of object, also one over which the migration can be applied again."""
    found = round_trip.faults(database, migrations(tmp_path, up, "SELECT 1;"))
    assert found == (f"{named}: not taken away by the rollback files",)


def test_a_migration_that_cannot_be_applied_again_is_named_with_what_is_in_its_way(
    database: str, tmp_path: Path
) -> None:
    """The table that stayed comes first, then what PostgreSQL says of the second time."""
    left, failed = round_trip.faults(database, migrations(tmp_path, "CREATE TABLE items (id bigint);", "SELECT 1;"))
    assert left == "TABLE public.items: not taken away by the rollback files"
    assert failed.startswith('applied again: 001_items.sql: relation "items" already exists')


def test_a_schema_that_comes_back_otherwise_is_seen(database: str, tmp_path: Path) -> None:
    """What is left of the first time must not make a difference the second time."""
    up = """
    CREATE TABLE items (id bigint);
    DO $$ BEGIN
        IF to_regclass('seen') IS NOT NULL THEN ALTER TABLE items ADD COLUMN late text; END IF;
    END $$;
    CREATE TABLE IF NOT EXISTS seen (id bigint);
    """
    assert round_trip.faults(database, migrations(tmp_path, up, "DROP TABLE items;")) == (
        "TABLE public.seen: not taken away by the rollback files",
        "TABLE public.items: different when applied again",
    )


def test_without_a_rollback_file_there_is_no_way_back(database: str, tmp_path: Path) -> None:
    """The file that is missing is named."""
    with pytest.raises(MigrationError, match=r"001_items has no rollback/001_items\.sql"):
        round_trip.faults(database, migrations(tmp_path, UP, None))
