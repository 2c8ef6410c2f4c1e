"""The tables that are ours, on the disk as they were before a deployment migrated them."""

from gaia_checks.deploy.postgres.programs import run

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks import journal
from gaia_checks.deploy import database, embedded
from gaia_checks.deploy.places import Places
from gaia_checks.environment import surroundings
from gaia_checks.errors import ConfigurationError, DeployError

_COUNT = sql.SQL("SELECT count(*) FROM public.{}")


def path(here: Places, deployment: str) -> Path:
    """Return where the dump of a deployment lies."""
    return here.dumps / f"{deployment}.dump"


def write(dsn: str, tables: Sequence[str], target: Path) -> None:
    """Dump `tables` of the schema `public` to `target`, for our eyes only. Raises DeployError; no half dump stays.

    How many rows each had is written beside it, as JSON.
    """
    new = target.with_suffix(".new")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        journal.append(target.with_suffix(".json"), {"at": journal.now(), "rows": _rows(dsn, tables)})
        new.touch(mode=0o600)
        run("pg_dump", "--format=custom", *(f'--table=public."{t}"' for t in tables), "--file", str(new), dsn=dsn)
        new.replace(target)
    except OSError as error:
        raise DeployError(f"{target}: the dump cannot be written: {error.strerror}; free some disk space") from error
    except psycopg.Error as error:
        raise DeployError(
            f"the rows to be dumped cannot be counted: {database.why(error)}; let the account of DATABASE_URL read them"
        ) from error
    finally:
        new.unlink(missing_ok=True)


def _rows(dsn: str, tables: Sequence[str]) -> dict[str, int]:
    with database.connect(dsn) as connection:
        counts = ((t, connection.execute(_COUNT.format(sql.Identifier(t))).fetchone()) for t in tables)
        return {table: int(row[0]) if row else 0 for table, row in counts}


