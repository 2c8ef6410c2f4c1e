"""Everything that can be wrong before anything is touched: one clear line each."""

import shutil
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.release import executable
from gaia_checks.deploy.state import paths, processes, supervisor_state
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment import ROOT, Environment
from gaia_checks.errors import ArtifactError, NotWritable, PortInUse

SPARE_BYTES = 50_000_000
"""What must stay free beside a release: logs, the dump, what an executable unpacks."""


def validate(environment: Environment, *, artifact: Path | None, migrations: Path | None, worktree: bool) -> None:
    """Return when the deployment may begin. Raises ConfigurationError, ArtifactError or MigrationError."""
    environment.variables()
    here = paths.of(environment)
    paths.prepare(here)
    if artifact and not artifact.is_file():
        raise ArtifactError(f"{artifact}: there is no such executable; build it first: make build")
    if worktree:
        migration_files.read(migrations or ROOT / "migrations")
    _space(here.state, artifact.stat().st_size if artifact else 0)
    _port(environment)
    if environment.database == "external":
        database_connection.reach(environment.values["DATABASE_URL"])


def validate_release(release: Path) -> None:
    """Return when this machine can execute the release. Raises ArtifactError."""
    executable.check(release / "gaia_server")


def _space(folder: Path, executable_bytes: int) -> None:
    """Twice the executable must fit, once as the release and once unpacked, and something must stay."""
    wanted, free = 2 * executable_bytes + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < wanted:
        raise NotWritable(
            f"{folder}: {free // 1_000_000} MB are free, {wanted // 1_000_000} MB are needed; free some disk space"
        )


def _port(environment: Environment) -> None:
    """The port must be free, or ours: held by the server that is to be replaced."""
    found = supervisor_state.read(paths.of(environment).record)
    if found and found.server and found.server.alive and found.port == environment.port:
        return
    try:
        spawn.listen(environment.host, environment.port).close()
    except PortInUse as error:
        port = environment.port
        if found and found.supervisor.alive and processes.listener_pid(port) == found.supervisor.pid:
            return  # our server has just crashed, its socket is there
        raise PortInUse(
            f"{environment.name}: port {port} is in use by {processes.listener(port)}; "
            "stop it, or set PORT to a free port"
        ) from error
