"""Do a release's rollback files undo what its migrations make? Tried on an empty database: up, down, up.

What a schema is, pg_dump says: it knows every kind of object that PostgreSQL has.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres import dsn, programs, scratch
from gaia_checks.environment import Environment
from gaia_checks.errors import MigrationError

_ENTRY = re.compile(
    r"^--\n-- Name: (?P<name>.*?); Type: (?P<type>.*?); Schema: (?P<schema>.*?); Owner: .*?\n--\n", re.MULTILINE
)
_SETTING = re.compile(r"^SET default_\w+ = .*;$", re.MULTILINE)  # stands before the first object that needs it
_END = "--\n-- PostgreSQL database dump complete"

Schema = Mapping[str, str]
"""Object, as "TABLE public.items", -> the SQL that makes it."""


def tried(environment: Environment, migrations: Path) -> tuple[str, ...]:
    """Return the faults found in a scratch database of `environment`'s own PostgreSQL, started if it rests."""
    with dsn.reachable(environment), scratch.scratch(environment) as address:
        return faults(address, migrations)


def faults(address: str, migrations: Path) -> tuple[str, ...]:
    """Apply, undo and apply again all migrations on an empty database; return one sentence per object that is wrong.

    Empty: after the rollback files nothing is left, and the second schema equals the first. Raises MigrationError when
    a file cannot be applied to begin with, or has no rollback file.
    """
    runner.up(address, migrations, limit=0)  # the runner's own table is no migration's
    before = schema(address)
    runner.up(address, migrations)
    first = schema(address)
    runner.down(address, migrations, count=len(migration_files.read(migrations)))
    after = schema(address)
    left = tuple(f"{wrong} by the rollback files" for wrong in _differences(before, after, added="not taken away"))
    try:
        runner.up(address, migrations)
    except MigrationError as error:
        return (*left, f"applied again: {error}")
    changed = _differences(first, schema(address), added="new")
    return (*left, *(f"{wrong} when applied again" for wrong in changed))


def schema(address: str) -> Schema:
    """Return every object of a database that did not come with PostgreSQL. Raises DeployError."""
    text = programs.run("pg_dump", "--schema-only", "--no-owner", dsn=address)
    entries = list(_ENTRY.finditer(text))
    starts = [entry.start() for entry in entries] + [text.rfind(_END)]
    return {
        f"{entry['type']} {entry['schema']}.{entry['name']}": _SETTING.sub("", text[entry.end() : following]).strip()
        for entry, following in zip(entries, starts[1:], strict=True)
    }


def _differences(one: Schema, other: Schema, *, added: str) -> Iterator[str]:
    """Yield what became of each object that differs, in pg_dump's order: a table before its index."""
    for name in dict.fromkeys((*one, *other)):
        if name not in one:
            yield f"{name}: {added}"
        elif name not in other:
            yield f"{name}: missing"
        elif one[name] != other[name]:
            yield f"{name}: different"
