"""Dumps of the owned tables, taken before a deployment migrates them."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from gaia_checks import jsonl
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.postgres.programs import run
from gaia_checks.deploy.state.paths import Paths
from gaia_checks.errors import DeployError

_COUNT = sql.SQL("SELECT count(*) FROM public.{}")


def path(paths: Paths, deployment: str) -> Path:
    """Return the path of a deployment's dump."""
    return paths.dumps / f"{deployment}.dump"


def write(dsn: str, tables: Sequence[str], target: Path) -> None:
    """Dump `tables` of the schema `public` to `target` with mode 0600. Raises DeployError and leaves no partial dump.

    A JSON file beside it records the row count of each table.
    """
    new = target.with_suffix(".new")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        jsonl.append(target.with_suffix(".json"), {"at": jsonl.now(), "rows": _rows(dsn, tables)})
        new.touch(mode=0o600)
        run("pg_dump", "--format=custom", *(f'--table=public."{t}"' for t in tables), "--file", str(new), dsn=dsn)
        new.replace(target)
    except OSError as error:
        raise DeployError(f"{target}: the dump cannot be written: {error.strerror}; free some disk space") from error
    except psycopg.Error as error:
        raise DeployError(
            f"{target}: the tables' rows cannot be counted: {database_connection.message(error)}; "
            "grant the account of DATABASE_URL SELECT on them"
        ) from error
    finally:
        new.unlink(missing_ok=True)


def _rows(dsn: str, tables: Sequence[str]) -> dict[str, int]:
    with database_connection.connect(dsn) as connection:
        counts = ((t, connection.execute(_COUNT.format(sql.Identifier(t))).fetchone()) for t in tables)
        return {table: int(row[0]) if row else 0 for table, row in counts}
