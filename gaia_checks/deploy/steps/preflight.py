"""Checks before a deployment changes anything; each failure is a one-line error."""

import shutil
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.postgres import database_connection, dsn
from gaia_checks.deploy.release import executable
from gaia_checks.deploy.state import admin_token, paths, processes, supervisor_state
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import PROJECT
from gaia_checks.errors import ArtifactError, NotWritable, PortInUse

SPARE_BYTES = 50_000_000
"""Disk space to leave free beside a release, for logs, the dump and the unpacked executable."""


def validate(environment: Environment, *, artifact: Path | None, migrations: Path | None, worktree: bool) -> None:
    """Raise ConfigurationError, ArtifactError or MigrationError when the deployment cannot start."""
    environment.variables()
    here = paths.of(environment)
    paths.prepare(here)
    admin_token.ensure(environment)
    if artifact and not artifact.is_file():
        raise ArtifactError(f"{artifact}: executable not found; build it first: make build")
    if worktree:
        migration_files.read(migrations or PROJECT / "migrations")
    _check_space(here.state, artifact.stat().st_size if artifact else 0)
    _check_port(environment)
    if environment.database == "external":
        database_connection.reach(dsn.environment_database(environment))


def validate_release(release: Path) -> None:
    """Raise ArtifactError when this machine cannot execute the release."""
    executable.check(release / "gaia_server")


def _check_space(folder: Path, executable_bytes: int) -> None:
    """Require space for the executable twice (as the release, and unpacked) plus SPARE_BYTES."""
    needed, free = 2 * executable_bytes + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise NotWritable(
            f"{folder}: {free // 1_000_000} MB are free, {needed // 1_000_000} MB are needed; free some disk space"
        )


def _check_port(environment: Environment) -> None:
    """Require a port that is free, or in use by the server that is to be replaced."""
    recorded = supervisor_state.read(paths.of(environment).record)
    if recorded and recorded.server and recorded.server.alive and recorded.port == environment.port:
        return
    try:
        spawn.listen(environment.host, environment.port).close()
    except PortInUse as error:
        port = environment.port
        if recorded and recorded.supervisor.alive and processes.listener_pid(port) == recorded.supervisor.pid:
            return  # the server has just crashed; its supervisor keeps the socket open
        raise PortInUse(
            f"{environment.name}: port {port} is in use by {processes.listener(port)}; "
            "stop it, or set PORT to a free port"
        ) from error
