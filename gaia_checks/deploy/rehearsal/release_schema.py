"""The schema of a release by itself: its own migration files, applied to a scratch database."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import database_connection, dsn, embedded, scratch
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, Inconclusive
from gaia_checks.target.unobservable import HERE

_PURPOSE = "gate"  # a deployment's scratch database is another one


@contextmanager
def beside(environment: Environment) -> Iterator[str]:
    """Yield that of the running release. Raises Inconclusive where its files are elsewhere, and what `of` raises."""
    release = rollout.status(environment).release_dir
    if release is None or environment.database == "none":
        raise Inconclusive(f"the release's migrations are elsewhere: {HERE.format(name=environment.name)}")
    with of(environment, release / "migrations") as address:
        yield address


@contextmanager
def of(environment: Environment, migrations: Path) -> Iterator[str]:
    """Yield the connection string of a database to which only these files were applied; removed afterwards.

    It is on the server of the environment's database; where the account may not create one there, in a PostgreSQL of
    its own. Raises GaiaError when there is neither, or a migration fails.
    """
    with dsn.reachable(environment), _database(environment) as address:
        runner.up(address, migrations)
        yield address


@contextmanager
def _database(environment: Environment) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            address = stack.enter_context(scratch.scratch(environment, _PURPOSE))
        except ConfigurationError:
            address = stack.enter_context(_cluster())
        yield address


@contextmanager
def _cluster() -> Iterator[str]:
    """Yield the address of a PostgreSQL that lasts as long as the block."""
    with tempfile.TemporaryDirectory(prefix="gaia-schema-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs under another account
        cluster = Cluster(embedded.place(Path(folder) / "pg"), settings={"fsync": "off"})
        try:
            cluster.start()
            database_connection.ensure_exists(cluster.dsn(dsn.DATABASE))
            yield cluster.dsn(dsn.DATABASE)
        finally:
            cluster.remove()
