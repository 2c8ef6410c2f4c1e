"""Transaction control is found where it takes effect, and nowhere else."""

import pytest

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
]


@pytest.mark.parametrize(("sql", "found"), TRANSACTION_CONTROL)
def test_transaction_control_is_found(sql: str, found: tuple[int, str]) -> None:
    """Statements that start or end a transaction are found with their line."""
    assert transaction_control(sql) == found


@pytest.mark.parametrize("sql", NO_TRANSACTION_CONTROL)
def test_lookalikes_are_ignored(sql: str) -> None:
    """Comments, strings, names and function bodies are ignored."""
    assert transaction_control(sql) is None
