"""May this machine deploy a tag? Everything that `gaia promote` looked at is looked at again, here and now."""

from datetime import UTC, datetime

from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.tag import Tag
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import GaiaError, NotPromoted, RemoteUnreachable
from gaia_checks.model import Log
from gaia_checks.printable import printable
from gaia_checks.promotion.examination import Entrance, examine
from gaia_checks.promotion.statements import deployment_tag, statements_ref


def admit(environment: Environment, phase: str, url: str | None, log: Log) -> str | None:
    """Return the commit of the tag that may be deployed. Raises NotPromoted naming everything that is missing.

    Where the environment file says that promotion is advisory, what is missing is a warning; None: nothing is known.
    Raises ConfigurationError without a remote, RemoteUnreachable, and EvidenceError for rewritten statements.
    """
    tag = str(Tag(environment.name, phase))
    try:
        commit, faults = _examined(environment, phase, tag, url, log)
    except GaiaError as error:
        if environment.promotion == "required":
            raise
        log(f"{environment.name}: advisory: {error}")
        return None
    if faults and environment.promotion == "required":
        raise NotPromoted(f"{tag} was not promoted: {'; '.join(faults)}")
    for fault in faults:
        log(f"{environment.name}: advisory: {fault}")
    return commit


def _examined(environment: Environment, phase: str, tag: str, url: str | None, log: Log) -> tuple[str, list[str]]:
    remote = git_remote.of(environment, url)
    try:
        statements_ref.fetch(remote)
    except RemoteUnreachable as error:
        raise RemoteUnreachable(f"remote away: {error}") from error
    commit = remote.tags().get(tag)
    if commit is None:
        raise NotPromoted(f"{tag} is not on the remote, or on no commit")
    found = examine(Entrance(environment, phase, commit, remote, datetime.now(UTC)))
    if found.force:
        by, why = printable(found.force.by), printable(found.force.statement.predicate["why"])
        log(f"{environment.name}: {tag} was forced by {by}: {why}")
    try:
        deployment_tag.signer(remote, tag, commit, found.allowed)
    except NotPromoted as error:
        return commit, [str(error), *found.lacks]
    return commit, found.lacks
