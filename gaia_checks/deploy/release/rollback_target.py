"""Find the release that a rollback returns to."""

from pathlib import Path

from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError


def find(environment: Environment, phase: str | None) -> Path:
    """Return the release before the current one, or the last release of `phase` that served.

    Raises ConfigurationError when there is none, ArtifactError when its files are damaged.
    """
    releases = paths.of(environment).releases
    found = links.target(releases, "previous") if phase is None else _of_phase(environment, releases, phase)
    if found is None:
        what = "no previous release" if phase is None else f"no release {phase} that has served"
        raise ConfigurationError(
            f"{environment.name}: there is {what} here; deploy one: gaia deploy {environment.name} PHASE"
        )
    release_folder.read(found)
    return found


def _of_phase(environment: Environment, releases: Path, phase: str) -> Path | None:
    for name in reversed(deployment_ledger.served(environment)):
        folder = releases / name
        if (folder / "release.json").exists() and release_folder.describe(folder).phase == phase:
            return folder
    return None
