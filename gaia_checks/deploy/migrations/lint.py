"""What squawk finds in migrations before they are applied."""

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from gaia_checks.deploy.migrations import migration_files
from gaia_checks.environment import surroundings
from gaia_checks.errors import MigrationError, MissingDependency

BREAKING = frozenset({
    "adding-not-nullable-field", "adding-required-field", "ban-drop-column", "ban-drop-database", "ban-drop-table",
    "ban-truncate-cascade", "changing-column-type", "renaming-column", "renaming-table",
})  # fmt: skip
"""Rules about what takes something away from the server that runs: a contract migration may."""

BLOCKING = frozenset({
    "adding-foreign-key-constraint", "constraint-missing-not-valid", "disallowed-unique-constraint",
    "require-concurrent-index-creation", "require-concurrent-index-deletion",
})  # fmt: skip
"""Rules about what holds a lock on a table for as long as it takes to read it."""


def check(folder: Path, versions: Sequence[str], allowed: Collection[str]) -> None:
    """Return when squawk has nothing serious against `versions`. Raises MigrationError naming the first finding.

    What a file ignores by a comment (`-- squawk-ignore ...`) and what is `allowed` does not count.
    """
    contract = {m.version for m in migration_files.read(folder) if m.contract}
    for found in _findings(folder, versions):
        version, rule = Path(found["file"]).stem, found["rule_name"]
        serious = BLOCKING | (BREAKING if version not in contract else frozenset())
        if rule in serious and rule not in allowed:
            raise MigrationError(
                f"{version}.sql:{found['line'] + 1}: {rule}: {found['message']} Rewrite it, "
                f"put `-- squawk-ignore {rule}` "
                f'above it with the reason, or allow it: [migrations] allow = ["{rule}"]'
            )


def command(folder: Path, versions: Sequence[str]) -> tuple[str, ...]:
    """Return squawk's command line. Pure."""
    files = (str(folder / f"{version}.sql") for version in versions)
    return (str(Path(sys.executable).with_name("squawk")), "--reporter", "json", "--assume-in-transaction", *files)


def _findings(folder: Path, versions: Sequence[str]) -> list[dict[str, Any]]:
    argv = command(folder, versions)
    try:
        done = subprocess.run(argv, env=surroundings(), cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingDependency(f"squawk cannot be started: {error.strerror}; run: make install") from error
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as error:  # it was killed, say; where it finds nothing it says so
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise MissingDependency(
            f"squawk did not read the migrations: {said}; mend that or run: make install"
        ) from error
    return found
