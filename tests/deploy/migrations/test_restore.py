"""Restoring a dump creates the schema from the migrations' files as the runner would."""

from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import restore, runner
from gaia_checks.deploy.postgres import postgres_dump, scratch
from gaia_checks.deploy.postgres.database_connection import connect


def restored(database: str, folder: Path, *files: str) -> None:
    """Apply the files, dump the owned tables, add rows, and restore the dump."""
    for number, text in enumerate(files):
        (folder / f"00{number}.sql").write_text(text)
    (folder / "order.txt").write_text("".join(f"00{number}\n" for number in range(len(files))))
    runner.up(database, folder)
    owned = scratch.tables(database)
    postgres_dump.write(database, owned, folder / "rows.dump")
    with connect(database) as connection:
        connection.execute("INSERT INTO items VALUES (2)")
    restore.restore(database, restore.objects(database), folder, folder / "rows.dump")


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with connect(database) as connection:
        return connection.execute(query.encode()).fetchall()


ITEMS = "CREATE TABLE items (id bigint);\nINSERT INTO items VALUES (1);"


@pytest.mark.parametrize("state", ["SET search_path = pg_temp", "SET ROLE pg_read_all_data"])
def test_session_state_of_one_file_does_not_reach_the_next(database: str, tmp_path: Path, state: str) -> None:
    """The files are restored in one session, but each finds it fresh."""
    restored(database, tmp_path, f"{ITEMS} {state};", "CREATE TABLE more (id bigint);")
    assert rows(database, "SELECT id FROM items") == [(1,)]
    assert rows(database, "SELECT to_regclass('public.more') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("end", ["", " -- the last line", ";"])
def test_a_file_may_lack_its_last_semicolon(database: str, tmp_path: Path, end: str) -> None:
    """What the runner applies can be restored."""
    restored(database, tmp_path, ITEMS, f"CREATE TABLE more (id bigint){end}", "CREATE TABLE most (id bigint);")
    assert rows(database, "SELECT id FROM items") == [(1,)]


def test_an_index_that_is_built_concurrently_is_restored_in_the_transaction(database: str, tmp_path: Path) -> None:
    """The restored schema has the index, and lacks the one that a later file drops."""
    restored(
        database,
        tmp_path,
        ITEMS,
        "-- gaia: no-transaction\nCREATE INDEX CONCURRENTLY kept ON items (id)",
        "-- gaia: no-transaction\nCREATE INDEX CONCURRENTLY dropped ON items (id); -- not for long",
        "-- gaia: no-transaction\nDROP INDEX CONCURRENTLY dropped;",
    )
    assert rows(database, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'items'::regclass") == [
        ("kept",)
    ]
    assert rows(database, "SELECT id FROM items") == [(1,)]
