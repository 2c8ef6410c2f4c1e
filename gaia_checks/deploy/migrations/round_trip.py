"""Checks that rollback files revert a release's migrations: up, down, up on an empty database.

Schemas are compared as pg_dump prints them: it covers every kind of PostgreSQL object.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres import dsn, programs, scratch
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import MigrationError

_ENTRY = re.compile(
    r"^--\n-- Name: (?P<name>.*?); Type: (?P<type>.*?); Schema: (?P<schema>.*?); Owner: .*?\n--\n", re.MULTILINE
)
_SETTING = re.compile(r"^SET default_\w+ = .*;$", re.MULTILINE)  # printed before the first object that needs it
_END = "--\n-- PostgreSQL database dump complete"

Schema = Mapping[str, str]
"""Object, e.g. "TABLE public.items" -> the SQL that creates it."""


def tried(environment: Environment, migrations: Path) -> tuple[str, ...]:
    """Return the faults found in a scratch database of `environment`; a stopped embedded PostgreSQL is started."""
    with dsn.reachable(environment), scratch.scratch(environment) as address:
        return faults(address, migrations)


def faults(address: str, migrations: Path) -> tuple[str, ...]:
    """Apply, revert and reapply all migrations on an empty database; return one sentence per faulty object.

    No fault: the newest rollback file restores the schema before its migration, all of them leave nothing, and the
    second schema equals the first. Raises MigrationError when a migration cannot be applied the first time, or has no
    rollback file.
    """
    files = migration_files.read(migrations)
    runner.up(address, migrations, limit=0)  # creates the runner's own table only
    before = schema(address)
    runner.up(address, migrations, limit=len(files) - 1)
    earlier = schema(address)
    runner.up(address, migrations)
    first = schema(address)
    runner.down(address, migrations)
    newest = () if len(files) == 1 or files[-1].contract else _not_restored(files[-1].version, earlier, schema(address))
    runner.down(address, migrations, count=len(files))
    after = schema(address)
    left = tuple(f"{fault} by the rollback files" for fault in _differences(before, after, added="not removed"))
    try:
        runner.up(address, migrations)
    except MigrationError as error:
        return (*newest, *left, f"applied again: {error}")
    changed = _differences(first, schema(address), added="new")
    return (*newest, *left, *(f"{fault} when applied again" for fault in changed))


def _not_restored(version: str, earlier: Schema, now: Schema) -> tuple[str, ...]:
    """Return what the newest rollback file does not restore of earlier migrations' objects; columns in any order."""
    kept = {name: sql for name, sql in now.items() if name in earlier}  # one that is not removed is named by `faults`
    faults = _differences(*({name: _lines(sql) for name, sql in each.items()} for each in (earlier, kept)), added="new")
    return tuple(f"{fault} after rollback/{version}.sql" for fault in faults)


def _lines(sql: str) -> str:
    return "\n".join(sorted(line.rstrip(",") for line in sql.splitlines()))


def schema(address: str) -> Schema:
    """Return every object of a database except PostgreSQL's own. Raises DeployError."""
    text = programs.run("pg_dump", "--schema-only", "--no-owner", dsn=address)
    entries = list(_ENTRY.finditer(text))
    starts = [entry.start() for entry in entries] + [text.rfind(_END)]
    return {
        f"{entry['type']} {entry['schema']}.{entry['name']}": _SETTING.sub("", text[entry.end() : following]).strip()
        for entry, following in zip(entries, starts[1:], strict=True)
    }


def _differences(one: Schema, other: Schema, *, added: str) -> Iterator[str]:
    """Yield one sentence per differing object, in pg_dump's order: a table before its index."""
    for name in dict.fromkeys((*one, *other)):
        if name not in one:
            yield f"{name}: {added}"
        elif name not in other:
            yield f"{name}: missing"
        elif one[name] != other[name]:
            yield f"{name}: different"
