"""Restores the owned tables from a dump, with the schema of the dumped release, in one transaction."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres import database_connection, programs

_OBJECTS = """
    SELECT 'VIEW', format('public.%I', relname), 1 FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    UNION ALL SELECT 'TABLE', format('public.%I', relname), 2 FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    UNION ALL SELECT 'FUNCTION', format('public.%I(%s)', proname, pg_get_function_identity_arguments(oid)), 3
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
    UNION ALL SELECT 'TYPE', format('public.%I', typname), 4 FROM pg_type t
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('c', 'e', 'd')
        AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
    ORDER BY 3
"""
_FRESH_SESSION = """
    CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; UNLISTEN *; DISCARD TEMP;
    SET client_min_messages = warning; SET lock_timeout = '3s';
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;
"""  # what DISCARD ALL and the runner's session do, but inside the transaction
_EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
        IF to_regclass(name) IS NOT NULL THEN EXECUTE 'TRUNCATE ' || name || ' CASCADE'; END IF;
    END LOOP;
END $$;
"""


def objects(address: str) -> tuple[tuple[str, str], ...]:
    """Return (kind, name) of all objects in the schema `public`, in an order that allows dropping them."""
    with database_connection.connect(address) as connection:
        return tuple((kind, name) for kind, name, _ in connection.execute(_OBJECTS.encode()))


def restore(address: str, owned: Sequence[tuple[str, str]], migrations: Path, dump: Path) -> None:
    """Replace `owned` by `migrations` with the rows of `dump`. Raises DeployError and changes nothing.

    Other tables keep their rows, but lose foreign keys to owned tables.
    """
    with tempfile.TemporaryDirectory(dir=dump.parent) as folder:
        data = Path(folder) / "data.sql"
        programs.run("pg_restore", "--data-only", "--file", str(data), str(dump))
        script = Path(folder) / "script.sql"
        script.write_bytes(_script(owned, migrations, data))
        programs.run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
                 "--file", str(script), dsn=address)  # fmt: skip


def _script(owned: Sequence[tuple[str, str]], migrations: Path, data: Path) -> bytes:
    """Return psql's script: drop the owned objects, create them, delete default rows, load the data."""
    drops = [f"DROP {kind} IF EXISTS {name} CASCADE;" for kind, name in owned]
    tables = ", ".join(f"'{name}'" for kind, name in owned if kind == "TABLE")
    bodies = [_in_transaction(migration.body) for migration in migration_files.read(migrations)]
    return "\n".join((
        _FRESH_SESSION, *drops, runner.CREATE_TABLE,
        *(f"{body}\n;{_FRESH_SESSION}" for body in bodies),  # a file may lack its last semicolon
        _EMPTY.format(names=tables),
        f"\\i '{data}'",
    )).encode()  # fmt: skip


def _in_transaction(body: bytes) -> str:
    """Return a file's SQL; nobody uses the new tables yet, so an index need not be built concurrently."""
    statement = migration_files.outside_transaction(body)
    return statement.in_transaction if statement else body.decode()
