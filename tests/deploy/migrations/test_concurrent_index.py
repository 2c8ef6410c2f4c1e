"""An index built or dropped concurrently, outside a transaction: applied, verified, and found after a kill."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from gaia_checks.deploy.migrations import concurrent_index, lint, round_trip, runner
from gaia_checks.deploy.postgres.database_connection import connect
from gaia_checks.errors import MigrationError
from tests.deploy.stage import eventually

MARKER = "-- gaia: no-transaction\n"
CREATE = f"{MARKER}CREATE INDEX CONCURRENTLY items_name ON items (name);\n"
UNIQUE = f"{MARKER}CREATE UNIQUE INDEX CONCURRENTLY items_name ON items (name);\n"
DROP = f"{MARKER}DROP INDEX CONCURRENTLY items_name;\n"
RUN = (
    "import os, signal, sys; from pathlib import Path; from gaia_checks.deploy.migrations import runner;"
    "{patch} getattr(runner, sys.argv[1])(sys.argv[2], Path(sys.argv[3]))"
)
KILLED_WHEN_RECORDING = "runner.who = lambda: os.kill(os.getpid(), signal.SIGKILL);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table with rows, then an index of its own file, with rollback files."""
    (tmp_path / "rollback").mkdir()
    write(tmp_path, "001_items", "CREATE TABLE items (id int, name text); INSERT INTO items VALUES (1, 'a'), (2, 'a');",
          "DROP TABLE items;")  # fmt: skip
    write(tmp_path, "002_name", CREATE, DROP)
    return tmp_path


def write(folder: Path, stem: str, sql: str, rollback: str) -> None:
    """Write one migration; the order is that of the names."""
    (folder / f"{stem}.sql").write_text(sql)
    (folder / "rollback" / f"{stem}.sql").write_text(rollback)
    (folder / "order.txt").write_text("".join(f"{path.name}\n" for path in sorted(folder.glob("*.sql"))))


def index(database: str) -> bool | None:
    """Whether the index is valid, None without one."""
    with connect(database) as connection:
        row = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('items_name')"
        ).fetchone()
    return row[0] if row else None


def run(database: str, folder: Path, command: str, patch: str = "") -> subprocess.Popen[bytes]:
    """Start a runner as a process of its own."""
    words = (sys.executable, "-c", RUN.format(patch=patch), command, database, str(folder))
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


@contextmanager
def killed_while_it_waits(database: str, folder: Path, command: str) -> Iterator[None]:
    """Kill a runner while PostgreSQL waits for an older transaction; run the block; end that transaction."""
    with psycopg.connect(database) as older:
        older.execute("INSERT INTO items VALUES (3, 'b')")
        with run(database, folder, command) as process:
            try:
                eventually(lambda: waiting(database))
            finally:
                process.kill()
        eventually(lambda: not waiting(database))
        yield


def waiting(database: str) -> bool:
    """Whether a session waits for the end of another one's transaction."""
    with connect(database) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'virtualxid' AND query LIKE '%CONCURRENTLY%'"
        ).fetchone()
    return found == (1,)


def test_an_index_is_built_and_dropped_concurrently(database: str, folder: Path) -> None:
    """The index is valid and recorded, the note is gone, and the rollback file drops it."""
    assert runner.up(database, folder) == ("001_items", "002_name")
    assert index(database) is True
    assert concurrent_index.unfinished(database) == ()
    runner.verify(database, folder)
    assert runner.down(database, folder) == ("002_name",)
    assert index(database) is None
    assert runner.status(database, folder)[-1] == ("002_name", False)
    assert concurrent_index.unfinished(database) == ()


def test_a_dropped_index_is_built_again_by_its_rollback_file(database: str, folder: Path) -> None:
    """Dropping works as a migration, too, and building as its rollback."""
    write(folder, "003_no_name", DROP, CREATE)
    runner.up(database, folder)
    assert index(database) is None
    runner.verify(database, folder)
    runner.down(database, folder)
    assert index(database) is True
    assert runner.applied(database) == ("001_items", "002_name")


def test_the_round_trip_covers_it(database: str, folder: Path) -> None:
    """Up, down and up again leave no difference."""
    assert round_trip.faults(database, folder) == ()


def test_lint_accepts_it_and_names_the_way(folder: Path) -> None:
    """The file passes squawk; of a plain CREATE INDEX the error says how to write it."""
    lint.check(folder, ["002_name"], ())
    write(folder, "003_id", "CREATE INDEX items_id ON items (id);", "SELECT 1;")
    with pytest.raises(
        MigrationError, match=r"003_id\.sql:1: require-concurrent.* CONCURRENTLY in a file of its own wi"
    ):
        lint.check(folder, ["003_id"], ())


def test_without_the_marker_the_error_names_it(database: str, folder: Path) -> None:
    """PostgreSQL refuses CONCURRENTLY in a transaction; the error says what to write."""
    write(folder, "002_name", CREATE.removeprefix(MARKER), DROP)
    with pytest.raises(
        MigrationError, match=r"002_name\.sql: CREATE INDEX CONCURRENTLY cannot .* `-- gaia: no-transac"
    ):
        runner.up(database, folder)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY a ON items (id); CREATE INDEX CONCURRENTLY b ON items (name);",
        "SET lock_timeout = 0; CREATE INDEX CONCURRENTLY a ON items (id);",
        "CREATE INDEX CONCURRENTLY a ON items (id);\nCOMMIT;",
        "CREATE INDEX a ON items (id);",
        "CREATE INDEX CONCURRENTLY ON items (id);",
        "DROP INDEX CONCURRENTLY a, b;",
        "VACUUM items;",
        "CREATE TABLE other (id int);",
        "/* CREATE INDEX CONCURRENTLY a ON items (id); */",
        "",
    ],
)
@pytest.mark.parametrize("rollback", [True, False])
def test_the_marker_takes_one_index_statement_only(database: str, folder: Path, sql: str, rollback: bool) -> None:
    """What could not be found after a kill is refused before anything runs, in one line."""
    write(folder, "002_name", *((CREATE, MARKER + sql) if rollback else (MARKER + sql, DROP)))
    message = (
        r"002_name\.sql: `-- gaia: no-transaction`: the file must be exactly one statement, .* files of their own$"
    )
    with pytest.raises(MigrationError, match=message):
        runner.up(database, folder)
    assert runner.applied(database) == ()


def test_an_unknown_marker_is_refused(database: str, folder: Path) -> None:
    """A misspelt marker would be a comment."""
    write(folder, "002_name", CREATE.replace("no-transaction", "no-transactions"), DROP)
    with pytest.raises(MigrationError, match=r"002_name\.sql: `-- gaia: no-transactions`: write contract or no-trans"):
        runner.up(database, folder)


@pytest.mark.parametrize(
    "sql",
    [
        'create unique index concurrently if not exists "Item""s" on only public.items using btree (id) where id > 0',
        "/* why */ CREATE INDEX -- here\nCONCURRENTLY Items_Ä ON\npublic . items(name)",
        'CREATE INDEX CONCURRENTLY "a.b"ON"items"(id);;',
        f"CREATE INDEX CONCURRENTLY {'a' * 70} ON items (id)",
    ],
)
def test_names_are_read_as_postgresql_reads_them(database: str, folder: Path, sql: str) -> None:
    """Quoted, qualified, folded and long names are found again, also with comments between the words."""
    write(folder, "002_name", MARKER + sql, DROP)
    runner.up(database, folder)
    runner.verify(database, folder)


def test_a_build_that_fails_leaves_nothing(database: str, folder: Path) -> None:
    """The invalid index of a failed build is dropped at once; the next run succeeds when the rows allow it."""
    write(folder, "002_name", UNIQUE, DROP)
    with pytest.raises(MigrationError, match=r"^002_name\.sql: could not create unique index .*; nothing of this file"):
        runner.up(database, folder)
    assert index(database) is None
    assert concurrent_index.unfinished(database) == ()
    with connect(database) as connection:
        connection.execute("DELETE FROM items WHERE id = 2")
    assert runner.up(database, folder) == ("002_name",)
    assert index(database) is True


def test_an_invalid_index_is_dropped_and_built_again(database: str, folder: Path) -> None:
    """Also one that somebody built by hand; IF NOT EXISTS does not take it for done."""
    write(folder, "002_name", UNIQUE.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"), DROP)
    runner.up(database, folder, limit=1)
    with connect(database) as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(UNIQUE.encode())
        connection.execute("DELETE FROM items WHERE id = 2")
    assert index(database) is False
    runner.up(database, folder)
    assert index(database) is True


def test_a_valid_index_of_somebody_else_is_not_dropped(database: str, folder: Path) -> None:
    """PostgreSQL's own error is reported, and the index stays."""
    runner.up(database, folder, limit=1)
    with connect(database) as connection:
        connection.execute("CREATE INDEX items_name ON items (id)")
    with pytest.raises(MigrationError, match=r'002_name\.sql: relation "items_name" already exists'):
        runner.up(database, folder)
    assert index(database) is True


def test_an_index_that_cannot_be_dropped_stays_recorded(database: str, folder: Path) -> None:
    """The record of a removal is taken back when PostgreSQL refuses it."""
    runner.up(database, folder)
    with connect(database) as connection:
        connection.execute(
            "DELETE FROM items; DROP INDEX items_name; ALTER TABLE items ADD CONSTRAINT items_name UNIQUE (name)"
        )
        row = connection.execute("SELECT * FROM schema_migrations WHERE version = '002_name'").fetchone()
    with pytest.raises(MigrationError, match=r"rollback/002_name\.sql: cannot drop index items_name because"):
        runner.down(database, folder)
    runner.verify(database, folder)
    with connect(database) as connection:
        assert connection.execute("SELECT * FROM schema_migrations WHERE version = '002_name'").fetchone() == row


def test_a_build_that_was_killed_is_undone_and_done_again(database: str, folder: Path) -> None:
    """An invalid index is left with a note; `verify` names it, the next run builds the index again."""
    runner.up(database, folder, limit=1)
    with killed_while_it_waits(database, folder, "up"):
        assert index(database) is False
        assert runner.status(database, folder)[-1] == ("002_name", False)
    assert runner.up(database, folder) == ("002_name",)
    assert index(database) is True
    runner.verify(database, folder)


def test_a_build_that_was_killed_can_be_given_up(database: str, folder: Path) -> None:
    """Without the file, as after a return to an older release, the leftover is dropped."""
    runner.up(database, folder, limit=1)
    with killed_while_it_waits(database, folder, "up"):
        pass
    (folder / "002_name.sql").unlink()
    (folder / "order.txt").write_text("001_items\n")
    with pytest.raises(
        MigrationError, match=r"^public\.items_name: an interrupted migration left this index; run: gaia"
    ):
        runner.verify(database, folder)
    runner.settle(database)
    assert index(database) is None
    runner.verify(database, folder)


def test_a_kill_between_build_and_record_is_found(database: str, folder: Path) -> None:
    """The complete index without a record is built again; nobody can know that it is complete."""
    runner.up(database, folder, limit=1)
    assert run(database, folder, "up", KILLED_WHEN_RECORDING).wait() == -9
    assert index(database) is True
    assert runner.up(database, folder) == ("002_name",)
    assert index(database) is True
    runner.verify(database, folder)


def test_a_removal_that_was_killed_is_finished(database: str, folder: Path) -> None:
    """The removal is recorded, and the next run of anything completes it."""
    runner.up(database, folder)
    with killed_while_it_waits(database, folder, "down"):
        assert index(database) is not None
    runner.settle(database)
    assert index(database) is None
    assert runner.status(database, folder)[-1] == ("002_name", False)
    assert runner.up(database, folder) == ("002_name",)
    assert index(database) is True


def test_a_transaction_that_does_not_end_is_reported(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the remedy; once the transaction has ended, the next run succeeds."""
    runner.up(database, folder, limit=1)
    monkeypatch.setattr(concurrent_index, "WAIT", "100ms")
    with psycopg.connect(database) as older:
        older.execute("INSERT INTO items VALUES (3, 'b')")
        with pytest.raises(
            MigrationError, match=r"^002_name\.sql: older transactions lasted more than 100ms; end them"
        ):
            runner.up(database, folder)
    assert runner.up(database, folder) == ("002_name",)
    assert index(database) is True
