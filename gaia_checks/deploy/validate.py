"""Everything that can be wrong before anything is touched: one clear line each."""

from pathlib import Path

from gaia_checks.deploy import database, migration_files, places, processes, record, spawn
from gaia_checks.environment import ROOT, Environment
from gaia_checks.errors import ArtifactError, PortInUse


def validate(environment: Environment, *, artifact: Path | None, migrations: Path | None, worktree: bool) -> None:
    """Return when the deployment may begin. Raises ConfigurationError, ArtifactError or MigrationError."""
    environment.variables()
    places.prepare(places.of(environment))
    if artifact and not artifact.is_file():
        raise ArtifactError(f"{artifact}: there is no such executable; build it first: make build")
    if worktree:
        migration_files.read(migrations or ROOT / "migrations")
    _port(environment)
    if environment.database == "external":
        database.reach(environment.values["DATABASE_URL"])


def _port(environment: Environment) -> None:
    """The port must be free, or ours: held by the server that is to be replaced."""
    found = record.read(places.of(environment).record)
    if (
        found
        and found.server
        and found.server.alive
        and (found.host, found.port) == (environment.host, environment.port)
    ):
        return
    try:
        spawn.listen(environment.host, environment.port).close()
    except PortInUse as error:
        port = environment.port
        raise PortInUse(
            f"{environment.name}: port {port} is in use by {processes.listener(port)}; "
            "stop it, or set PORT to a free port"
        ) from error
