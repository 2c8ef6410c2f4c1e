"""After a kill or a failure: a deployment is finished when the new release serves as promised, else it is undone."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal, Opened
from gaia_checks.deploy.steps import deployment, downgrade_schema, swap
from gaia_checks.deploy.steps.deployment import Deployment
from gaia_checks.environment import Environment
from gaia_checks.errors import DeployError, GaiaError

Say = Callable[[str], None]


@contextmanager
def all_or_nothing(told: Deployment) -> Iterator[None]:
    """When the block fails, bring back what served before and say so; the ledger is told either way."""
    try:
        yield
    except BaseException as error:
        opened = DeploymentJournal(paths.of(told.environment)).unfinished()
        if opened is None:
            raise
        why = told.environment.redact(str(error) or type(error).__name__)
        try:
            _undo(told.environment, opened)
        except GaiaError as worse:
            raise DeployError(
                f"{why}; and {_name(opened.before)} cannot be brought back: {worse}; "
                f"run: gaia status {told.environment.name} --repair"
            ) from error
        serves = opened.release if _only_forward(opened) else opened.before
        deployment.end(told, "failed", serves, why=why)
        if isinstance(error, GaiaError):
            raise type(error)(f"{error}; {_name(serves)} serves") from error
        if isinstance(error, OSError):  # a full disk, above all
            place = f"{error.filename}: " if error.filename else ""
            raise DeployError(f"{place}{error.strerror or error}; {_name(serves)} serves") from error
        raise


def settle(environment: Environment, say: Say) -> None:
    """Finish or undo what a killed command left open; nothing open is fine. Raises DeployError when neither can be."""
    opened = DeploymentJournal(paths.of(environment)).unfinished()
    if opened is None:
        return
    told = Deployment(environment, opened.deployment, opened.kind, opened.phase)
    if ledger.closed(environment, opened.deployment):
        told.diary.close(told.id)
        return
    if finished := _finish(environment, opened, say):
        say(f"{environment.name}: {opened.kind} {opened.phase} was interrupted; finished it: {finished.name} serves")
        deployment.end(told, "finished", finished)
        return
    _undo(environment, opened)
    serves = opened.release if _only_forward(opened) else opened.before
    say(f"{environment.name}: {opened.kind} {opened.phase} was interrupted; undid it: {_name(serves)} serves")
    deployment.end(told, "undone", serves)


def repair(environment: Environment, say: Say) -> None:
    """Settle what is open; then let what is on record be supervised, and serve again if it does not."""
    settle(environment, say)
    now = status.status(environment)
    if now.release_dir:
        swap.bring_back(environment, now.release_dir, anew=False)
    elif now.state == "crashed":
        phase = "" if environment.database == "embedded" else " PHASE"
        raise DeployError(
            f"{environment.name}: the release on record cannot be read; run: gaia deploy {environment.name}{phase}"
        )


def abandon(environment: Environment) -> None:
    """Close what a killed command left open, now that nothing runs."""
    opened = DeploymentJournal(paths.of(environment)).unfinished()
    if opened:
        with contextlib.suppress(GaiaError):  # as in _undo
            _tidy(environment, opened)
        deployment.end(Deployment(environment, opened.deployment, opened.kind, opened.phase), "undone", None)


def _finish(environment: Environment, opened: Opened, say: Say) -> Path | None:
    """Return the new release when it has taken over and keeps its promises, with everything tidied up; else None."""
    taken = {(Checkpoint.TAKE_OVER, Event.BEGUN)} & opened.reached
    release = opened.release
    if not taken or release is None:
        return None
    try:
        swap.ensure_supervisor(environment)
        if status.status(environment).release_dir != release:
            return None
        swap.verify_public(environment)
    except GaiaError:
        return None
    if opened.database:
        _take_schema_back(environment, release, say)
    links.point(paths.of(environment).releases, current=release, previous=opened.before)
    _tidy(environment, opened)
    return release


def _take_schema_back(environment: Environment, release: Path, say: Say) -> None:
    """Go on with what was confirmed before the kill. Where it cannot be, the schema stays ahead, which is safe."""
    try:
        downgrade_schema.run(environment, release, downgrade_schema.plan(environment, release), say)
    except GaiaError as error:
        say(f"the schema stays ahead of {release.name}: {error}")


def _only_forward(opened: Opened) -> bool:
    """Whether the schema has begun to go back: the release that serves by now may be the only one that fits."""
    return (Checkpoint.UNDO_SCHEMA, Event.BEGUN) in opened.reached


def _undo(environment: Environment, opened: Opened) -> None:
    """Let what served before the deployment serve, or nothing where nothing did."""
    if _only_forward(opened) and opened.release:
        swap.bring_back(environment, opened.release, anew=False)
    elif opened.before is None:
        taken_over = (Checkpoint.TAKE_OVER, Event.BEGUN) in opened.reached
        if taken_over or status.status(environment).process is None:  # else it outlives its release, which is gone
            swap.end(environment)
    else:
        swap.bring_back(environment, opened.before, anew=(Checkpoint.TAKE_OVER, Event.BEGUN) in opened.reached)
    _relink(environment, opened)
    with contextlib.suppress(GaiaError):  # a scratch database that cannot be dropped now is dropped by the next one
        _tidy(environment, opened)


def _relink(environment: Environment, opened: Opened) -> None:
    """Let `current` and `previous` tell what serves now, so that a rollback and a pruning know what was before it."""
    releases = paths.of(environment).releases
    if _only_forward(opened) and opened.release:
        links.point(releases, current=opened.release, previous=opened.before)
    elif (Checkpoint.LINK, Event.BEGUN) in opened.reached:
        links.restore(releases, current=opened.current, previous=opened.previous)


def _tidy(environment: Environment, opened: Opened) -> None:
    here = paths.of(environment)
    release_folder.sweep(here.releases)
    for half in here.dumps.glob("*.new"):
        half.unlink(missing_ok=True)
    if (Checkpoint.REHEARSE, Event.BEGUN) in opened.reached:
        scratch.drop(environment)


def _name(release: Path | None) -> str:
    return release.name if release else "nothing on record"
