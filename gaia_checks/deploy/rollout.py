"""The story of a deployment and of a rollback. Each step is in a module beside this one.

Every step is in the ledger, every point of it in a journal. A command that was killed is finished or undone by the
next one: see `recover`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.deploy.git import tag
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import links, release_folder, rollback_target
from gaia_checks.deploy.reporting import status as reporting_status
from gaia_checks.deploy.reporting.status import Status
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import deployment, downgrade_schema, recover, swap
from gaia_checks.deploy.steps.preflight import validate, validate_release
from gaia_checks.deploy.steps.prepare import prepare
from gaia_checks.environment import Environment
from gaia_checks.errors import ConfigurationError

Say = Callable[[str], None]

status = reporting_status.status


def deploy(
    environment: Environment,
    *,
    phase: str = tag.WORKTREE,
    artifact: Path | None = None,
    migrations: Path | None = None,
    say: Say = lambda _: None,
) -> Status:
    """Bring a release up and return what runs then; a healthy server of the same release is left alone.

    `phase` names the tag `deploy/<environment>/<phase>`; "worktree" is the working tree, built first, or
    `artifact` and `migrations` in its place. Raises ConfigurationError or DeployError; then what served before
    serves, or nothing where nothing did.
    """
    with _turn(environment, f"deploy {phase}", say):
        validate(environment, artifact=artifact, migrations=migrations, worktree=phase == tag.WORKTREE)
        before = status(environment).release_dir
        told = deployment.begin(environment, "deploy", phase, before)
        with recover.all_or_nothing(told):
            with told.step(Checkpoint.VALIDATE), told.at(Checkpoint.ARTIFACT):
                release = _release(environment, phase, artifact, migrations)
                validate_release(release)
                told.decide(release)
            with told.step(Checkpoint.PREPARE):
                prepare(environment, release, before, told, say)
            if swap.already_serving(environment, release):
                say(f"{environment.name}: {release.name} is running already at {environment.local_url}")
                deployment.end(told, "ended", release)
                return status(environment)
            _serve(environment, release, before, told, say)
        return status(environment)


def rollback(
    environment: Environment,
    *,
    phase: str | None = None,
    database: bool = False,
    confirm: Callable[[tuple[str, ...]], bool] = lambda _: False,
    say: Say = lambda _: None,
) -> Status:
    """Let the previous release serve again, or the last one of `phase`; return what runs then.

    The schema stays, unless `database`: then it goes back too, if `confirm`, told what would be lost, says so.
    Raises ConfigurationError when there is nothing to go back to, and what `deploy` raises.
    """
    with _turn(environment, "rollback", say):
        release = rollback_target.find(environment, phase)
        before = status(environment).release_dir
        plan = downgrade_schema.plan(environment, release) if database else None
        if plan and plan.losses and not confirm(plan.losses):
            raise ConfigurationError(f"{environment.name}: not confirmed, nothing was changed")
        told = deployment.begin(
            environment, "rollback", release_folder.describe(release).phase, before, database=database
        )
        with recover.all_or_nothing(told):
            with told.step(Checkpoint.VALIDATE):
                validate(environment, artifact=release / "gaia_server", migrations=None, worktree=False)
                told.decide(release)
            with told.at(Checkpoint.SUPERVISOR):
                swap.ensure_supervisor(environment)
            _serve(environment, release, before, told, say, plan)
        return status(environment)


def repair(environment: Environment, say: Say = lambda _: None) -> Status:
    """Finish or undo what a killed command left, bring back what died, and return what runs then."""
    with _turn(environment, "repair", say):
        recover.repair(environment, say)
        return status(environment)


def stop(environment: Environment, say: Say = lambda _: None) -> None:
    """End server, supervisor and embedded PostgreSQL, and return when they are gone. Nothing running is fine too."""
    if paths.of(environment).state.exists():
        with _turn(environment, "stop", say, settle=False):
            swap.end(environment)
            recover.abandon(environment)


def _serve(
    environment: Environment,
    release: Path,
    before: Path | None,
    told: deployment.Deployment,
    say: Say,
    plan: downgrade_schema.Plan | None = None,
) -> None:
    """Let `release` take over, verify it where everybody sees it, and write down that it serves.

    With `plan` the schema then goes back, too: the release that serves by now needs no more than it knows.
    """
    with told.step(Checkpoint.DEPLOY):
        say(f"{environment.name}: starting {release.name}")
        outage_ms = swap.swap(environment, release, told)
    with told.step(Checkpoint.VERIFY):
        swap.verify_public(environment)
        if plan:
            with told.at(Checkpoint.UNDO_SCHEMA):
                downgrade_schema.run(environment, release, plan, say)
    with told.step(Checkpoint.RECORD), told.at(Checkpoint.LINK):
        links.point(paths.of(environment).releases, current=release, previous=before)
    ahead = runner.ahead_of(database_url(environment), release / "migrations")
    deployment.end(told, "ended", release, outage_ms=round(outage_ms), ahead=ahead)
    gap = f", after {outage_ms:.0f} ms without a server" if outage_ms else ""
    say(f"{environment.name}: {release.name} serves at {environment.local_url}{gap}")
    if ahead:
        say(f"{environment.name}: the schema is ahead of it by {', '.join(ahead)}")


@contextmanager
def _turn(environment: Environment, why: str, say: Say, *, settle: bool = True) -> Iterator[None]:
    """Hold the environment's lock, with nothing left open by a killed command. Raises Busy, naming who holds it."""
    here = paths.of(environment)
    paths.prepare(here)
    with lock.hold(here.deploy_lock, environment=environment.name, why=why, since=jsonl.now()):
        if settle:
            recover.settle(environment, say)
        yield


def _release(environment: Environment, phase: str, artifact: Path | None, migrations: Path | None) -> Path:
    releases = paths.of(environment).releases
    release_folder.sweep(releases)
    server = environment.server
    if phase == tag.WORKTREE:
        return release_folder.from_worktree(
            releases, executable=artifact, migrations=migrations, handover=server.handover
        )
    wanted = tag.parse(str(tag.Tag(environment.name, phase)))
    return release_folder.from_tag(releases, wanted, template=server.artifact, handover=server.handover)
