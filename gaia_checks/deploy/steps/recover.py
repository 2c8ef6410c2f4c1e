"""Recover from a kill or a failure: finish the deployment if the new release serves and verifies, else undo it."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal, Opened
from gaia_checks.deploy.steps import downgrade_schema, swap
from gaia_checks.deploy.steps.deployment import Deployment, finish
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import DeployError, GaiaError
from gaia_checks.model import Log


@contextmanager
def all_or_nothing(deployment: Deployment) -> Iterator[None]:
    """When the block fails, roll back to the previous release and record the outcome in the ledger."""
    try:
        yield
    except BaseException as error:
        opened = DeploymentJournal(paths.of(deployment.environment)).unfinished()
        if opened is None:
            raise
        why = deployment.environment.redact(str(error) or type(error).__name__)
        try:
            outage_ms = _undo(deployment.environment, opened)
        except GaiaError as second:
            raise DeployError(
                f"{why}; and {_name(opened.before)} cannot be restored: {second}; "
                f"run: gaia status {deployment.environment.name} --repair"
            ) from error
        serves = opened.release if _only_forward(opened) else opened.before
        finish(deployment, "failed", serves, why=why, outage_ms=outage_ms)
        if isinstance(error, GaiaError):
            raise type(error)(f"{error}; {_name(serves)} serves") from error
        if isinstance(error, OSError):  # a full disk, above all
            place = f"{error.filename}: " if error.filename else ""
            raise DeployError(f"{place}{error.strerror or error}; {_name(serves)} serves") from error
        raise


def settle(environment: Environment, log: Log) -> None:
    """Finish or undo the open deployment of a killed command, if any. Raises DeployError when neither is possible."""
    opened = DeploymentJournal(paths.of(environment)).unfinished()
    if opened is None:
        return
    deployment = Deployment(environment, opened.deployment, opened.kind, opened.phase)
    if deployment_ledger.closed(environment, opened.deployment):
        deployment.journal.close(deployment.id)
        return
    if finished := _finish(environment, opened, log):
        _close(deployment, "recovered", finished, _outage_ms(opened, 0.0), log)
        return
    outage_ms = _undo(environment, opened)
    _close(deployment, "undone", opened.release if _only_forward(opened) else opened.before, outage_ms, log)


def _close(deployment: Deployment, event: str, serves: Path | None, outage_ms: int, log: Log) -> None:
    now = "finished" if event == "recovered" else event
    outage = f", after an outage of {outage_ms} ms" if outage_ms else ""
    log(
        f"{deployment.environment.name}: {deployment.kind} {deployment.phase} was interrupted; "
        f"now {now}: {_name(serves)} serves{outage}"
    )
    finish(deployment, event, serves, outage_ms=outage_ms)


def _outage_ms(opened: Opened, brought_back_ms: float) -> int:
    """Return how long nothing served: from the journaled stop of the old server until another started, or until now."""
    stopped = opened.reached.get((Checkpoint.MAKE_ROOM, Event.STARTED))
    if stopped is None:
        return round(brought_back_ms)
    started = opened.reached.get((Checkpoint.START, Event.FINISHED))
    if started is None:
        return round((datetime.now(UTC) - stopped).total_seconds() * 1000)
    return round((started - stopped).total_seconds() * 1000 + brought_back_ms)


def repair(environment: Environment, log: Log) -> None:
    """Settle an open deployment; then supervise the recorded release, and start it if it does not serve."""
    settle(environment, log)
    now = status.status(environment)
    if now.release_dir:
        swap.bring_back(environment, now.release_dir, restart=False)
    elif now.state == "crashed":
        phase = "" if environment.database == "embedded" else " PHASE"
        raise DeployError(
            f"{environment.name}: the release on record cannot be read; run: gaia deploy {environment.name}{phase}"
        )


def abandon(environment: Environment) -> None:
    """Close the open deployment of a killed command, after everything has stopped."""
    opened = DeploymentJournal(paths.of(environment)).unfinished()
    if opened:
        with contextlib.suppress(GaiaError):  # as in _undo
            _tidy(environment, opened)
        finish(Deployment(environment, opened.deployment, opened.kind, opened.phase), "undone", None)


def _finish(environment: Environment, opened: Opened, log: Log) -> Path | None:
    """If the new release took over and verifies, complete the deployment and return the release; else None."""
    release = opened.release
    if not _taken_over(opened) or release is None:
        return None
    try:
        swap.ensure_supervisor(environment)
        if status.status(environment).release_dir != release:
            return None
        swap.verify_public(environment)
    except GaiaError:
        return None
    if opened.database:
        _downgrade_schema(environment, release, log)
    links.point(paths.of(environment).releases, current=release, previous=opened.before)
    _tidy(environment, opened)
    return release


def _downgrade_schema(environment: Environment, release: Path, log: Log) -> None:
    """Continue the downgrade that was confirmed before the kill; on failure the schema stays ahead, which is safe."""
    try:
        downgrade_schema.run(environment, release, downgrade_schema.plan(environment, release), log)
    except GaiaError as error:
        log(f"the schema stays ahead of {release.name}: {error}")


def _taken_over(opened: Opened) -> bool:
    """Whether the new server may have replaced the old one."""
    return (Checkpoint.TAKE_OVER, Event.STARTED) in opened.reached


def _only_forward(opened: Opened) -> bool:
    """Whether the schema downgrade has started: only the new release may fit the schema now."""
    return (Checkpoint.UNDO_SCHEMA, Event.STARTED) in opened.reached


def _undo(environment: Environment, opened: Opened) -> int:
    """Restore what served before the deployment, or stop everything if nothing did; return the outage in ms."""
    brought_back_ms = 0.0
    if _only_forward(opened) and opened.release:
        brought_back_ms = swap.bring_back(environment, opened.release, restart=False)
    elif opened.before is None:
        # a server whose release was removed keeps running
        if _taken_over(opened) or status.status(environment).process is None:
            swap.end(environment)
    else:
        brought_back_ms = swap.bring_back(environment, opened.before, restart=_taken_over(opened))
    outage_ms = 0 if opened.before is None else _outage_ms(opened, brought_back_ms)
    _relink(environment, opened)
    with contextlib.suppress(GaiaError):  # the next scratch database drops one that cannot be dropped now
        _tidy(environment, opened)
    return outage_ms


def _relink(environment: Environment, opened: Opened) -> None:
    """Set `current` and `previous` to what serves now, for the next rollback and pruning."""
    releases = paths.of(environment).releases
    if _only_forward(opened) and opened.release:
        links.point(releases, current=opened.release, previous=opened.before)
    elif (Checkpoint.LINK, Event.STARTED) in opened.reached:
        links.restore(releases, current=opened.current, previous=opened.previous)


def _tidy(environment: Environment, opened: Opened) -> None:
    here = paths.of(environment)
    release_folder.sweep(here.releases)
    for partial in here.dumps.glob("*.new"):
        partial.unlink(missing_ok=True)
    if (Checkpoint.REHEARSE, Event.STARTED) in opened.reached:
        scratch.drop(environment)


def _name(release: Path | None) -> str:
    return release.name if release else "nothing on record"
