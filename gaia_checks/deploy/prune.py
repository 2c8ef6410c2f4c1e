"""Remove old releases, but never the running one or a rollback target."""

from pathlib import Path

from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.steps import recover
from gaia_checks.environment.environment import Environment
from gaia_checks.jsonl import now
from gaia_checks.model import Log


def prune(environment: Environment, keep: int, log: Log = lambda _: None) -> tuple[str, ...]:
    """Remove all releases except the newest `keep`, the current and the previous one; return the removed names.

    Raises Busy while another command changes the environment. A killed pruning leaves no partial release: each folder
    is renamed before its removal, and the next deployment or pruning removes the rest.
    """
    here = paths.of(environment)
    paths.prepare(here)
    with lock.hold(here.deploy_lock, environment=environment.name, why="prune", since=now()):
        recover.settle(environment, log)  # an open deployment of a killed command still needs its releases
        release_folder.sweep(here.releases)
        retained = {path for path in (*_newest_first(here.releases)[:keep], *_in_use(environment)) if path}
        removed = [folder for folder in _newest_first(here.releases) if folder not in retained]
        for folder in removed:
            folder.chmod(0o700)  # releases are read-only, and a rename needs write permission
            folder.rename(folder.with_name(f".new-pruned-{folder.name}"))
        release_folder.sweep(here.releases)
    return tuple(folder.name for folder in removed)


def _newest_first(releases: Path) -> list[Path]:
    found = [path for path in releases.iterdir() if (path / "release.json").is_file() and not path.is_symlink()]
    return sorted(found, key=lambda path: ((path / "release.json").stat().st_mtime_ns, path.name), reverse=True)


def _in_use(environment: Environment) -> tuple[Path | None, ...]:
    releases = paths.of(environment).releases
    links = [releases / name for name in ("current", "previous")]
    linked = [releases / link.readlink() for link in links if link.is_symlink()]
    return (status.status(environment).release_dir, *linked)
