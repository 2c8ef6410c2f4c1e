"""The real server with small changes in its source or migrations, on a database of its own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.model import Target
from tests.probes import servers
from tests.probes.conftest import announce
from tests.support import patched
from tests.support.patched import Change


@contextmanager
def modified(postgres: str, folder: Path, *changes: Change, **variables: str) -> Iterator[Target]:
    """Run it, and yield it as a target that has this run's rule, as the gate creates it."""
    program, migrations = patched.source(folder, *changes)
    with (
        patched.migrated(postgres, f"modified_{uuid.uuid4().hex[:12]}", migrations) as dsn,
        servers.real(program, dsn, folder / "server.log", **variables) as target,
    ):
        announce(target)
        yield target
