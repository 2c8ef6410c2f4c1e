"""The story of a deployment: validate, prepare, deploy, verify, record. Each step is in a module beside this one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks.deploy import artifact as artifacts
from gaia_checks.deploy import ledger, lock, migrate, observe, places, prepare, swap, tag
from gaia_checks.deploy.status import Status
from gaia_checks.deploy.validate import validate
from gaia_checks.environment import ROOT, Environment
from gaia_checks.model import timestamp

Say = Callable[[str], None]

status = observe.status


def deploy(
    environment: Environment,
    *,
    phase: str = artifacts.WORKTREE,
    artifact: Path | None = None,
    migrations: Path | None = None,
    say: Say = lambda _: None,
) -> Status:
    """Bring a release up and return what runs then; a healthy server of the same release is left alone.

    `phase` names the tag `deploy/<environment>/<phase>`; "worktree" is the working tree, built first, or
    `artifact` and `migrations` in its place. Raises ConfigurationError before anything was touched and
    DeployError after: then the old server still serves, or nothing runs where nothing ran.
    """
    here = places.of(environment)
    with _turn(environment, f"deploy {phase}"):
        validate(environment, artifact=artifact, migrations=migrations, worktree=phase == artifacts.WORKTREE)
        before = status(environment)
        with ledger.story(here.ledger, environment, phase) as story, _as_it_was(environment, before):
            with story.step("artifact"):
                release = _release(environment, phase, artifact, migrations)
            made = artifacts.describe(release)
            story.record("artifact", "made", release=release.name, commit=made.commit, sha256=made.sha256)
            with story.step("prepare"):
                swap.ensure_supervisor(environment)
                prepare.prepare(environment, release, say)
            if swap.already_serving(environment, release):
                say(f"{environment.name}: {release.name} is running already at {environment.local_url}")
                return status(environment)
            with story.step("deploy"):
                say(f"{environment.name}: starting {release.name}")
                swap.swap(environment, release)
            with story.step("verify"):
                swap.verify_or_return(environment, before.release_dir, say)
            say(f"{environment.name}: {release.name} serves at {environment.local_url}")
            return status(environment)


def stop(environment: Environment) -> None:
    """End server, supervisor and embedded PostgreSQL, and return when they are gone. Nothing running is fine too."""
    if places.of(environment).state.exists():
        with _turn(environment, "stop"):
            swap.end(environment)


def migrate_up(environment: Environment, say: Say) -> tuple[str, ...]:
    """Apply the working tree's migrations to the environment's database; return the versions applied now."""
    with _turn(environment, "migrate up"), prepare.reachable(environment) as dsn:
        return migrate.up(dsn, ROOT / "migrations", git_sha=artifacts.head(), say=say)


def migrate_down(environment: Environment, count: int, say: Say) -> tuple[str, ...]:
    """Undo the last `count` migrations; return their versions, newest first."""
    with _turn(environment, "migrate down"), prepare.reachable(environment) as dsn:
        return migrate.down(dsn, ROOT / "migrations", count=count, say=say)


def migrate_status(environment: Environment) -> tuple[tuple[str, bool], ...]:
    """Return (version, applied) for each of the working tree's migrations. Raises MigrationError on contradictions."""
    with _turn(environment, "migrate status"), prepare.reachable(environment) as dsn:
        return migrate.status(dsn, ROOT / "migrations")


def migrate_verify(environment: Environment) -> None:
    """Return when exactly the working tree's migrations are applied, unchanged. Raises MigrationError otherwise."""
    with _turn(environment, "migrate verify"), prepare.reachable(environment) as dsn:
        migrate.verify(dsn, ROOT / "migrations")


@contextmanager
def _turn(environment: Environment, why: str) -> Iterator[None]:
    """Hold the environment's lock. Raises Busy, naming who holds it."""
    here = places.of(environment)
    places.prepare(here)
    with lock.hold(here.deploy_lock, environment=environment.name, why=why, since=timestamp(datetime.now(UTC))):
        yield


@contextmanager
def _as_it_was(environment: Environment, before: Status) -> Iterator[None]:
    """When the block fails and nothing ran before it, leave nothing running."""
    try:
        yield
    except BaseException:
        if before.state == "stopped":
            swap.end(environment)
        raise


def _release(environment: Environment, phase: str, artifact: Path | None, migrations: Path | None) -> Path:
    releases = places.of(environment).releases
    artifacts.sweep(releases)
    if phase == artifacts.WORKTREE:
        return artifacts.from_worktree(releases, executable=artifact, migrations=migrations)
    return artifacts.from_tag(releases, tag.parse(str(tag.Tag(environment.name, phase))))
