"""Deploy and roll back, step by step; each step is a module of `steps`.

The ledger records every step, the deployment journal every checkpoint. The next command finishes or undoes a killed
one: see `recover`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.deploy.git import tag
from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import links, release_folder, rollback_target
from gaia_checks.deploy.reporting.status import Status, status
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.state.deployment_journal import OnCheckpoint
from gaia_checks.deploy.steps import downgrade_schema, recover, swap
from gaia_checks.deploy.steps.deployment import Deployment, finish, new_id, start
from gaia_checks.deploy.steps.preflight import validate, validate_release
from gaia_checks.deploy.steps.prepare import prepare
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError
from gaia_checks.model import Log

__all__ = ["deploy", "repair", "rollback", "status", "stop"]


def deploy(
    environment: Environment,
    *,
    phase: str = tag.WORKTREE,
    commit: str | None = None,
    artifact: Path | None = None,
    migrations: Path | None = None,
    log: Log = lambda _: None,
    on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None,
) -> Status:
    """Deploy a release and return the new status; a healthy server of the same release is left alone.

    `phase` names the tag `deploy/<environment>/<phase>`, which must be on `commit` where that is given; "worktree" is
    the working tree, built first, or the given `artifact` and `migrations`. Raises ConfigurationError or DeployError;
    then the previous release serves, or nothing if nothing served before.
    """
    with _locked(environment, f"deploy {phase}", log):
        validate(environment, artifact=artifact, migrations=migrations, worktree=phase == tag.WORKTREE)
        before = status(environment).release_dir
        deployment = Deployment(environment, new_id(), "deploy", phase, on_checkpoint)
        start(deployment, before)
        with recover.all_or_nothing(deployment):
            with deployment.step(Checkpoint.VALIDATE), deployment.at(Checkpoint.ARTIFACT):
                release = _release(environment, phase, commit, artifact, migrations)
                validate_release(release)
                deployment.decide(release)
            if note := migration_files.note(release / "migrations"):
                log(f"{environment.name}: {note}")
            with deployment.step(Checkpoint.PREPARE):
                prepare(environment, release, before, deployment, log)
            if swap.already_serving(environment, release):
                log(f"{environment.name}: {release.name} is already running at {environment.local_url}")
                finish(deployment, "finished", release)
                return status(environment)
            _serve(environment, release, before, deployment, log)
        return status(environment)


def rollback(
    environment: Environment,
    *,
    phase: str | None = None,
    database: bool = False,
    confirm: Callable[[tuple[str, ...]], bool] = lambda _: False,
    log: Log = lambda _: None,
    on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None,
) -> Status:
    """Roll back to the previous release, or to the last one of `phase`; return the new status.

    The schema stays, unless `database`: then it is downgraded too, if `confirm` accepts the list of data losses.
    Raises ConfigurationError when there is no release to roll back to, and whatever `deploy` raises.
    """
    with _locked(environment, "rollback", log):
        release = rollback_target.find(environment, phase)
        before = status(environment).release_dir
        plan = downgrade_schema.plan(environment, release) if database else None
        if plan and plan.losses and not confirm(plan.losses):
            raise ConfigurationError(f"{environment.name}: not confirmed, nothing was changed")
        phase = release_folder.describe(release).phase
        deployment = Deployment(environment, new_id(), "rollback", phase, on_checkpoint)
        start(deployment, before, database=database)
        with recover.all_or_nothing(deployment):
            with deployment.step(Checkpoint.VALIDATE):
                validate(environment, artifact=release / "gaia_server", migrations=None, worktree=False)
                deployment.decide(release)
            with deployment.at(Checkpoint.SUPERVISOR):
                swap.ensure_supervisor(environment)
            _serve(environment, release, before, deployment, log, plan)
        return status(environment)


def repair(environment: Environment, log: Log = lambda _: None) -> Status:
    """Finish or undo a killed command, restart a crashed release, and return the new status."""
    with _locked(environment, "repair", log):
        recover.repair(environment, log)
        return status(environment)


def stop(environment: Environment, log: Log = lambda _: None) -> None:
    """Stop server, supervisor and embedded PostgreSQL, and wait for their exit. Does nothing if nothing runs."""
    if paths.of(environment).state.exists():
        with _locked(environment, "stop", log, settle=False):
            swap.end(environment)
            recover.abandon(environment)


def _serve(
    environment: Environment,
    release: Path,
    before: Path | None,
    deployment: Deployment,
    log: Log,
    plan: downgrade_schema.DowngradePlan | None = None,
) -> None:
    """Let `release` take over, verify it at its public address, and record that it serves.

    With `plan` the schema is downgraded afterwards, when `release` serves and needs only its own migrations.
    """
    with deployment.step(Checkpoint.DEPLOY):
        log(f"{environment.name}: starting {release.name}")
        outage_ms = swap.swap(environment, release, deployment, log)
    with deployment.step(Checkpoint.VERIFY):
        swap.verify_public(environment)
        if plan:
            with deployment.at(Checkpoint.UNDO_SCHEMA):
                downgrade_schema.run(environment, release, plan, log)
    with deployment.step(Checkpoint.RECORD), deployment.at(Checkpoint.LINK):
        links.point(paths.of(environment).releases, current=release, previous=before)
    ahead = runner.ahead_of(database_url(environment), release / "migrations")
    finish(deployment, "finished", release, outage_ms=round(outage_ms), ahead=ahead)
    outage = f", after an outage of {outage_ms:.0f} ms" if outage_ms else ""
    log(f"{environment.name}: {release.name} serves at {environment.local_url}{outage}")
    if not environment.values.get("ADMIN_TOKEN") and not environment.server.paths:
        log(f"{environment.name}: the admin token of its dashboard is in {environment.token_file}")
    if ahead:
        log(f"{environment.name}: the schema is ahead of it by {', '.join(ahead)}")


@contextmanager
def _locked(environment: Environment, why: str, log: Log, *, settle: bool = True) -> Iterator[None]:
    """Lock the environment and settle a killed command. Raises Busy, naming the command that has the lock."""
    here = paths.of(environment)
    paths.prepare(here)
    with lock.hold(here.deploy_lock, environment=environment.name, why=why, since=jsonl.now()):
        if settle:
            recover.settle(environment, log)
        yield


def _release(
    environment: Environment, phase: str, commit: str | None, artifact: Path | None, migrations: Path | None
) -> Path:
    releases = paths.of(environment).releases
    release_folder.sweep(releases)
    server = environment.server
    if phase == tag.WORKTREE:
        return release_folder.from_worktree(
            releases, executable=artifact, migrations=migrations, handover=server.handover
        )
    wanted = tag.parse(str(tag.Tag(environment.name, phase)))
    return release_folder.from_tag(releases, wanted, commit=commit, template=server.artifact, handover=server.handover)
