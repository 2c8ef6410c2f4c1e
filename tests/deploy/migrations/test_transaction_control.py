"""Transaction control is found where it takes effect, and nowhere else."""

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaia_checks.deploy.migrations.transaction_control import transaction_control

TRANSACTION_CONTROL = [
    ("BEGIN;", (1, "BEGIN")),
    ("CREATE TABLE a (id int);\n\ncommit;", (3, "COMMIT")),
    ("select 1; End", (1, "END")),
    ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE;", (1, "START TRANSACTION")),
    ("-- a comment\n/* another /* inside */ */ ROLLBACK;", (2, "ROLLBACK")),
    ("SAVEPOINT a;", (1, "SAVEPOINT")),
    ("RELEASE a;", (1, "RELEASE")),
    ("PREPARE TRANSACTION 'x';", (1, "PREPARE TRANSACTION")),
    (r"SELECT E'it\'s'; ABORT;", (1, "ABORT")),
    ("SELECT 'C:\\'; COMMIT;", (1, "COMMIT")),
    ("SELECT $a$ BEGIN; $a$; COMMIT;", (1, "COMMIT")),
    ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END; COMMIT;", (1, "COMMIT")),
    # an identifier takes every byte above 0x7F, so no dollar-quoted string starts here
    ("SELECT 1 AS a\u0301$x$; COMMIT; SELECT 1 AS b\u0301$x$;", (1, "COMMIT")),
    ("SELECT 1 AS \U0001f600$x$; COMMIT; SELECT 1 AS \U0001f600$x$;", (1, "COMMIT")),
    ("SELECT 1 AS €e'\\'; COMMIT; --'", (1, "COMMIT")),
    ("SELECT $\u0301$ ' $\u0301$; COMMIT; SELECT ' ';", (1, "COMMIT")),
    ("SELECT 1$a$ ' $a$; COMMIT; SELECT ' ';", (1, "COMMIT")),
    ("SELECT 1; -- ends at a carriage return\rCOMMIT;", (1, "COMMIT")),
    ("SELECT E'a'\n -- continued with its escapes\n '\\' '; COMMIT; --'", (3, "COMMIT")),
    ("SELECT begin, atomic FROM t; COMMIT;", (1, "COMMIT")),
]
NO_TRANSACTION_CONTROL = [
    "",
    "-- COMMIT;\nSELECT 1;",
    "/* BEGIN; /* COMMIT; */ END; */ SELECT 1;",
    "SELECT 'COMMIT; ''BEGIN;'' ';",
    r"SELECT E'\'; COMMIT; ';",
    'CREATE TABLE "COMMIT;" (id int);',
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  COMMIT;\nEND;\n$$;",
    "DO $body$ BEGIN PERFORM 1; END; $body$;",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
    "PREPARE plan AS SELECT 1;",
    "SELECT CASE WHEN true THEN 1 END;",
    'CREATE TABLE a (begin_at int, commit_sha text, "end" int);',
    "SELECT 1; -- unfinished /* ",
    "SELECT a$b$ FROM t; SELECT 2 AS x$begin$;",
    "SELECT E'a'\n'\\'; COMMIT; --';",
    "SELECT $\u0301$; COMMIT; $\u0301$;",
    "\u017favepoint;",  # a long s, whose capital is S
]


@pytest.mark.parametrize(("sql", "found"), TRANSACTION_CONTROL)
def test_transaction_control_is_found(sql: str, found: tuple[int, str]) -> None:
    """Statements that start or end a transaction are found with their line."""
    assert transaction_control(sql) == found


@pytest.mark.parametrize("sql", NO_TRANSACTION_CONTROL)
def test_lookalikes_are_ignored(sql: str) -> None:
    """Comments, strings, names and function bodies are ignored."""
    assert transaction_control(sql) is None


FRAGMENTS = (
    "'", "''", "\\", "\\'", '"', '""', "$", "$$", "$a$", "$\u0301$", "$A$", "a", "e", "E", "u&", "1", ".", "\u0301",
    "\U0001f600", "\xe9", "--", "\n", "\r", "\t", "\v", "/*", "*/", "/", "*", "+", "-", " COMMIT ",
    "; COMMIT;", ";", " ", ",",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)
QUOTED = st.builds(lambda quote, text: f"{quote[0]}{text}{quote[1]}", st.sampled_from([
    ("'", "'"), ("E'", "'"), ("e'", "'\n'a'"), ("E'a'\n--b\n'", "'"), ("U&'", "'"), ("$$", "$$"), ("$a$", "$a$"),
    ("$\u0301$", "$\u0301$"), ('1 AS "', '"'), ("1 AS a", ""), ("1 AS \u0301", ""), ("1 /*", "*/"), ("1 --", "\n"),
    ("", ""),
]), TEXT)  # fmt: skip
SEPARATOR = st.sampled_from([", ", ";SELECT ", "; COMMIT; SELECT "])
SQL = st.lists(st.tuples(QUOTED, SEPARATOR), min_size=1, max_size=4).map(
    lambda items: "SELECT " + "".join(f"{item}{separator}" for item, separator in items) + "1"
)


def test_transaction_control_is_found_where_postgresql_ends_the_transaction(postgres: str) -> None:
    """Of any text, the lexer finds a COMMIT exactly where PostgreSQL carries one out."""
    with psycopg.connect(postgres, autocommit=True) as connection:

        @given(SQL)
        @example("SELECT 1 AS a\u0301$a$; COMMIT; SELECT 1 AS b\u0301$a$")
        @example("SELECT E'a'\n--b\n'\\''; COMMIT; --'")
        def agrees(sql: str) -> None:
            ended, failed = carried_out(connection, sql)
            found = transaction_control(sql)
            assert found or not ended, "PostgreSQL ended the transaction"
            assert ended or not found or failed, "PostgreSQL kept the transaction"

        agrees()


def carried_out(connection: psycopg.Connection, sql: str) -> tuple[bool, bool]:
    """Run `sql` in a transaction; return whether it ended it, and whether it failed."""
    connection.execute("BEGIN")
    started = connection.execute("SELECT txid_current()").fetchone()
    failed = False
    try:
        connection.execute(sql.encode())
    except psycopg.Error:
        failed = True
    connection.rollback()
    ended = connection.execute("SELECT txid_status(%s)", started).fetchone() == ("committed",)
    return ended, failed
