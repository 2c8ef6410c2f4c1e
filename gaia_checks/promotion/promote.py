"""Let a release enter the next stage: cut its signed tag, if nothing is missing, or if somebody who may forces it."""

from datetime import UTC, datetime

from gaia_checks import jsonl
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.tag import Tag, parse
from gaia_checks.deploy.state import deployment_ledger
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, NotPromoted, NotSigned
from gaia_checks.printable import printable
from gaia_checks.promotion.examination import Entrance, Examination, examine, source_of
from gaia_checks.promotion.statements import deployment_tag, signed, ssh_signature, statement, statements_ref


def entrance(target: Environment, phase: str, url: str | None) -> Entrance:
    """Return a release on its way into `target`, with the remote fetched.

    Raises NotPromoted without the tag of the stage before, RemoteUnreachable, or EvidenceError for a rewritten chain.
    """
    parse(str(Tag(target.name, phase)))
    if not target.promoted:
        raise ConfigurationError(f"{target.name}: a release enters stage {target.stage} by its tag alone")
    source = source_of(target)
    remote = git_remote.of(target, url or target.remote or source.remote)
    statements_ref.fetch(remote)
    came_by = str(Tag(source.name, phase))
    commit = remote.tags().get(came_by)
    if commit is None:
        raise NotPromoted(f"{phase}: there is no tag {came_by} on a commit; deploy and gate it first")
    return Entrance(target, phase, commit, remote, datetime.now(UTC))


def promote(phase: str, to: str, url: str | None = None) -> list[str]:
    """Cut and push the tag of the next stage on the same commit; return what was done, line by line.

    Raises NotPromoted naming everything that is missing, ConfigurationError for what makes no sense, RemoteUnreachable.
    """
    wanted = _wanted(phase, to, url)
    if done := _cut_before(wanted):
        return [done]
    found = examine(wanted)
    if found.lacks and wanted.target.promotion == "required":
        raise NotPromoted(f"{phase} does not go to {wanted.target.name}: {'; '.join(found.lacks)}")
    warnings = [f"advisory: {one}" for one in found.lacks]
    return [*found.notes, *warnings, _cut(wanted, found)]


def force(phase: str, to: str, by: str, why: str, url: str | None = None) -> list[str]:
    """Promote although something is missing: a signed statement says who did it and why. Raises as `promote` does."""
    wanted = _wanted(phase, to, url)
    name = wanted.target.name
    if not why.strip():
        raise ConfigurationError('promote: say why it is forced: --why "the rollback of ... cannot wait"')
    if done := _cut_before(wanted):
        return [done]
    found = examine(wanted)
    if found.release is None:
        raise NotPromoted(f"{phase} does not go to {name}: {'; '.join(found.missing)}")
    namespace = f"gaia-{statement.FORCE}/{name}@v1"
    predicate = {"environment": name, "why": printable(why.strip()), "missing": found.missing, "at": jsonl.now()}
    content = statement.payload(statement.FORCE, found.release, predicate)
    made = signed.make(content, namespace, signed.key_of_person(wanted.target))
    try:
        signer = ssh_signature.signer(made.signed, made.signatures[0], namespace, found.allowed)
    except NotSigned as error:
        raise NotPromoted(f"{phase} cannot be forced to {name}: {printable(error)}") from error
    if signer != by:
        raise NotPromoted(f"--by {printable(by)}: the key is {printable(signer)}'s")
    statements_ref.append(wanted.remote, made, f"force {name} {phase}")
    again = examine(wanted)
    if again.force is None:
        raise NotPromoted(f"{phase} does not go to {name}: a verdict was recorded meanwhile; look at it first")
    return [*(f"forced although {one}" for one in again.missing), _cut(wanted, again)]


def _wanted(phase: str, to: str, url: str | None) -> Entrance:
    return entrance(environment_file.load(to), phase, url)


def _cut_before(wanted: Entrance) -> str | None:
    """Return what there is to say when the tag is cut already. Raises NotPromoted when it is on another commit."""
    tag, tags = str(Tag(wanted.target.name, wanted.phase)), wanted.remote.tags()
    there = tags.get(tag)
    if tag in tags and there != wanted.commit:
        raise NotPromoted(f"{tag} is on another commit ({(there or 'none')[:12]}); choose another phase")
    return f"{tag} is on {wanted.commit[:12]} already" if there else None


def _cut(wanted: Entrance, found: Examination) -> str:
    tag, source = str(Tag(wanted.target.name, wanted.phase)), wanted.source.name
    advisory = wanted.target.promotion == "advisory"
    key = wanted.target.signing_key if advisory else signed.key_of_person(wanted.target)

    def check() -> None:  # a tag that no deployment would take is not pushed
        if not advisory:
            deployment_tag.signer(wanted.remote, tag, wanted.commit, found.allowed)

    wanted.remote.cut(tag, wanted.commit, message(wanted.phase, source, found), key, check)
    how = _how(found)
    deployment_ledger.note(
        wanted.target, wanted.target.name, wanted.phase, "promote", "cut", commit=wanted.commit, why=how
    )
    return f"{tag} cut on {wanted.commit[:12]} and pushed: {how}"


def message(phase: str, source: str, found: Examination) -> str:
    """Return the tag's message: which statements and sign-offs let the release in. Pure."""
    lines = [f"{phase} passed its gate on {source}" if not found.lacks and not found.force else f"{phase}", ""]
    if found.verdict:
        run, digest = found.verdict.statement.predicate["run"], found.verdict.statement.digest
        lines.append(f"Verdict: {digest} ({source}, run {run}, by {printable(found.verdict.by)})")
    lines += [
        f"Signed-off: {item} by {printable(one.by)} {one.statement.digest}" for item, one in found.sign_offs.items()
    ]
    if found.force:
        lines.append(f"Forced: by {printable(found.force.by)} {found.force.statement.digest}")
        lines.append(f"Why: {printable(found.force.statement.predicate['why'])}")
    lines += [f"{'Missing' if found.force else 'Advisory'}: {printable(one)}" for one in found.missing]
    return "\n".join(lines) + "\n"


def _how(found: Examination) -> str:
    if found.force:
        return f"forced by {printable(found.force.by)}: {printable(found.force.statement.predicate['why'])}"
    run = f"gated in run {found.verdict.statement.predicate['run']}" if found.verdict else "not gated"
    people = ", ".join(f"{item} by {printable(one.by)}" for item, one in found.sign_offs.items())
    return f"{run}, signed off: {people or 'by nobody'}"
