"""What a statement proves, in one screen: with git, ssh-keygen and what is at hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks.deploy.git import git_command, git_remote, tag
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import (
    ArtifactError,
    ConfigurationError,
    EvidenceError,
    NotPromoted,
    NotSigned,
    RemoteUnreachable,
)
from gaia_checks.model import STAGES, State
from gaia_checks.printable import printable
from gaia_checks.promotion import evidence_at_hand, ledger_check, record
from gaia_checks.promotion.examination import Entrance, examine
from gaia_checks.promotion.statements import (
    allowed_signers,
    deployment_tag,
    installation,
    release_of_commit,
    signed,
    statement,
    statements_ref,
)
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.promotion.statements.statement import Statement
from gaia_checks.promotion.statements.statements_ref import StatementEntry


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at; `ok` is None for what proves nothing by itself."""

    what: str
    found: str
    ok: bool | None = None


def verify(what: str, url: str | None = None) -> list[Line]:
    """Verify a statement, a folder of evidence, or what is recorded about a tag.

    Raises EvidenceError for what is no statement, NotPromoted for a tag that is not there, ConfigurationError for
    neither, and RemoteUnreachable when the remote is away and was never fetched.
    """
    if Path(what).exists():
        envelope = record.read(Path(what))
        about = statement.parse(envelope)
        remote, reached = _remote(_environment(about.environment), url)
        folder = Path(what) if Path(what).is_dir() else None
        return [reached, *_statement(remote, envelope, about, folder), *_ledger(about, remote)]
    if not what.startswith("deploy/"):
        raise ConfigurationError(f"{printable(what)}: no such file or folder; a tag is named deploy/ENVIRONMENT/PHASE")
    wanted = tag.parse(what)
    environment = _environment(wanted.environment)
    remote, reached = _remote(environment, url)
    return [reached, *_tag(remote, environment, wanted)]


def _tag(remote: GitRemote, environment: Environment, wanted: tag.Tag) -> Iterator[Line]:
    commit = remote.tags().get(str(wanted))
    if commit is None:
        raise NotPromoted(f"{wanted}: not on the remote, or on no commit")
    yield Line("tag", f"{wanted} is on {commit[:12]}")
    if environment.promoted:
        yield from _promotion(remote, environment, wanted, commit)
    newest = _newest(remote, environment, commit)
    if newest is None:
        nothing = f"no verdict of {environment.name} itself on this commit is recorded"
        yield Line("verdict", nothing, ok=None if environment.promoted else False)
    else:
        entry, about = newest
        yield from _statement(remote, entry.envelope, about, None)
        yield from _ledger(about, remote)


def _promotion(remote: GitRemote, environment: Environment, wanted: tag.Tag, commit: str) -> Iterator[Line]:
    found = examine(Entrance(environment, wanted.phase, commit, remote, datetime.now(UTC)))
    try:
        by = deployment_tag.signer(remote, str(wanted), commit, found.allowed)
        yield Line("tag signed by", printable(by), ok=True)
    except NotPromoted as error:
        yield Line("tag signed by", str(error), ok=False)
    if found.verdict:
        about = found.verdict.statement
        text = f"{about.environment}'s gate: {about.predicate['state']}, run {about.predicate['run']}"
        yield Line("let in by", f"{text}, signed by {printable(found.verdict.by)}", ok=not found.missing)
    for item, one in found.sign_offs.items():
        yield Line("signed off", f"{item} by {printable(one.by)}, {one.statement.at:%Y-%m-%d %H:%M} UTC", ok=True)
    if found.force:
        yield Line("forced by", f"{printable(found.force.by)}: {printable(found.force.statement.predicate['why'])}")
    yield from (Line("missing", printable(one), ok=bool(found.force)) for one in found.missing)


def _statement(remote: GitRemote, envelope: Envelope, about: Statement, folder: Path | None) -> Iterator[Line]:
    predicate, release = about.predicate, about.release
    yield Line("statement", f"{about.digest[:12]}: {about.kind} of {about.environment}, {about.at:%Y-%m-%d %H:%M} UTC")
    recorded = next((one for one in statements_ref.read(remote) if one.envelope.digest == about.digest), None)
    yield _signer(remote, recorded or StatementEntry(0, "", envelope), about)
    yield Line("recorded", f"statement {recorded.position} of the chain" if recorded else "not on the remote",
               ok=recorded is not None)  # fmt: skip
    yield _release(remote, about)
    if about.kind != statement.VERDICT:
        return
    state, passed = predicate["state"], sum(one == State.PASS for one in predicate["criteria"]["states"].values())
    counted = f"{passed} of {len(predicate['criteria']['states'])} criteria"
    kind = ", a rehearsal: it promotes nothing" if predicate["rehearsal"] else ""
    yield Line("verdict", f"{state}, stage {predicate['stage']}, run {predicate['run']}, {counted}{kind}",
               ok=state == State.PASS and not predicate["rehearsal"])  # fmt: skip
    yield _revoked(remote, about, release.commit or "")
    yield _gate(about)
    yield _evidence(about, folder)


def _signer(remote: GitRemote, entry: StatementEntry, about: Statement) -> Line:
    environment = _environment(about.environment)
    following = STAGES[STAGES.index(environment.stage) + 1 :][:1]
    entered = _environment(following[0]) if following and about.kind == statement.VERDICT else environment
    branch = git_remote.BRANCHES[entered.stage]
    try:
        by = signed.check(entry, about, allowed_signers.read(remote, entered)).by
    except (NotSigned, NotPromoted) as error:
        return Line("signed by", f"nobody who may: {printable(error)}", ok=False)
    return Line("signed by", f"{printable(by)}, who may according to branch {branch}", ok=True)


def _release(remote: GitRemote, about: Statement) -> Line:
    release, environment = about.release, _environment(about.environment)
    text = f"{release.phase}, commit {str(release.commit)[:12]}, executable {release.sha256[:12]}"
    try:
        found = release_of_commit.read(
            remote, str(release.commit), release.phase, by_digest=bool(environment.server.artifact)
        )
    except (NotPromoted, RemoteUnreachable) as error:
        return Line("release", f"{text}: cannot be compared with the commit: {printable(error)}", ok=False)
    same = found == release
    return Line(
        "release", f"{text}, {len(release.migrations)} migrations: {'as' if same else 'NOT as'} committed", ok=same
    )


def _revoked(remote: GitRemote, about: Statement, commit: str) -> Line:
    newest = _newest(remote, _environment(about.environment), commit)
    if newest is None or newest[1].digest == about.digest:
        return Line("revoked", "no: it is the newest about this release", ok=True)
    run, state = newest[1].predicate["run"], newest[1].predicate["state"]
    return Line("revoked", f"run {run} was recorded later: {state}", ok=state == State.PASS)


def _newest(remote: GitRemote, environment: Environment, commit: str) -> tuple[StatementEntry, Statement] | None:
    """Return the newest verdict of the environment on a commit whose signature counts."""
    for entry, about in reversed(list(signed.about(statements_ref.read(remote), commit, ""))):
        if (
            about.kind == statement.VERDICT
            and about.environment == environment.name
            and _signer(remote, entry, about).ok
        ):
            return entry, about
    return None


def _gate(about: Statement) -> Line:
    gate = about.predicate["gate"]
    same = "as here" if gate.get("files_sha256") == installation.digest() else "other than here"
    clean = "modified" if gate.get("dirty") else "unmodified"
    plugins = f"foreign plugins {gate['foreign_plugins']}" if gate.get("foreign_plugins") else "no foreign plugins"
    by = f"{gate.get('account')}@{gate.get('host')}"
    text = (
        f"gaia-checks {gate.get('version')}, {clean}, its files {same}; {plugins}; options {gate.get('options')}; {by}"
    )
    return Line("measured by", printable(text), ok=not gate.get("dirty") and not gate.get("foreign_plugins"))


def _evidence(about: Statement, folder: Path | None) -> Line:
    count = len(about.predicate["evidence"])
    if folder is None:
        source = _environment(about.environment)
        folder = source.reports / source.name / about.predicate["run"]
        if not folder.exists():
            return Line("evidence", f"{count} files, not at hand: relied on the signature")
    try:
        evidence_at_hand.compare_folder(folder, about)
    except EvidenceError as error:
        return Line("evidence", str(error), ok=False)
    return Line("evidence", f"{count} files, all as stated; judged again: the same verdict", ok=True)


def _ledger(about: Statement, remote: GitRemote) -> Iterator[Line]:
    faults = list(ledger_check.faults([_environment(about.environment)], remote))
    if faults:
        yield from (Line("ledger", one, ok=False) for one in faults)


def _environment(name: str) -> Environment:
    return environment_file.load(name)


def _remote(environment: Environment, url: str | None) -> tuple[GitRemote, Line]:
    """Return the remote, fetched if it answers; else as it was fetched last."""
    remote = git_remote.of(environment, url or environment.remote or _origin())
    try:
        statements_ref.fetch(remote)
    except RemoteUnreachable as error:
        if not remote.read("for-each-ref", "--count=1"):
            raise  # the mirror is empty: nothing was ever fetched
        return remote, Line("remote", f"not reached, as last fetched: {printable(error)}")
    return remote, Line("remote", f"{remote.url}, fetched now")


def _origin() -> str | None:
    try:
        return git_command.git("remote", "get-url", "origin", why="origin").decode().strip()
    except ArtifactError:
        return None
