"""Lints migrations with squawk before they are applied."""

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from gaia_checks.deploy.migrations import migration_files
from gaia_checks.environment.process_variables import surroundings
from gaia_checks.errors import MigrationError, MissingDependency

BREAKING = frozenset({
    "adding-not-nullable-field", "adding-required-field", "ban-drop-column", "ban-drop-database", "ban-drop-table",
    "ban-truncate-cascade", "changing-column-type", "renaming-column", "renaming-table",
})  # fmt: skip
"""Rules against removing what the running server uses; a contract migration may break them."""

BLOCKING = frozenset({
    "adding-foreign-key-constraint", "constraint-missing-not-valid", "disallowed-unique-constraint",
    "require-concurrent-index-creation", "require-concurrent-index-deletion",
})  # fmt: skip
"""Rules against locking a table for as long as a full scan takes."""

_CONCURRENTLY = "Write it CONCURRENTLY in a file of its own with the line `-- gaia: no-transaction`"
_REMEDY = {
    "require-concurrent-index-creation": _CONCURRENTLY,
    "require-concurrent-index-deletion": _CONCURRENTLY,
}


def check(folder: Path, versions: Sequence[str], allowed: Collection[str]) -> None:
    """Raise MigrationError with squawk's first blocking finding in `versions`.

    Rules that a file's comment (`-- squawk-ignore ...`) or `allowed` names are ignored.
    """
    contract = {m.version for m in migration_files.read(folder) if m.contract}
    for found in _findings(folder, versions):
        version, rule = Path(found["file"]).stem, found["rule_name"]
        blocking = BLOCKING | (BREAKING if version not in contract else frozenset())
        if rule in blocking and rule not in allowed:
            raise MigrationError(
                f"{version}.sql:{found['line'] + 1}: {rule}: {found['message']} {_REMEDY.get(rule, 'Rewrite it')}, "
                f"put `-- squawk-ignore {rule}` "
                f'above it with the reason, or allow it: [migrations] allow = ["{rule}"]'
            )


def command(folder: Path, versions: Sequence[str]) -> tuple[str, ...]:
    """Return squawk's command line. Pure."""
    files = (str(folder / f"{version}.sql") for version in versions)
    return (str(Path(sys.executable).with_name("squawk")), "--reporter", "json", "--assume-in-transaction", *files)


def _findings(folder: Path, versions: Sequence[str]) -> list[dict[str, Any]]:
    command_line = command(folder, versions)
    try:
        done = subprocess.run(command_line, env=surroundings(), cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingDependency(f"squawk cannot be started: {error.strerror}; run: make install") from error
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as error:  # e.g. squawk was killed; without findings it prints []
        message = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise MissingDependency(
            f"squawk did not read the migrations: {message}; fix that or run: make install"
        ) from error
    return found
