"""Statements with the person or gate whose signature counts for them, and signing new ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gaia_checks.deploy.git import git_command
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ArtifactError, ConfigurationError, EvidenceError, NotSigned
from gaia_checks.promotion.statements import ssh_signature, statement
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.promotion.statements.statement import Statement
from gaia_checks.promotion.statements.statements_ref import StatementEntry


@dataclass(frozen=True, slots=True)
class Signed:
    """A recorded statement and who signed it."""

    position: int  # in the chain
    statement: Statement
    by: str
    own: bool = False  # a sign-off that may be for a commit of one's own


def about(
    entries: Iterable[StatementEntry], commit: str, executable: str
) -> Iterator[tuple[StatementEntry, Statement]]:
    """Yield the statements about a release, by its commit or its executable, oldest first; signatures not checked."""
    for entry in entries:
        try:
            found = statement.parse(entry.envelope)
        except EvidenceError:
            continue  # not one of ours: it counts for nothing
        if found.release.commit == commit or found.release.sha256 == executable:
            yield entry, found


def check(entry: StatementEntry, found: Statement, allowed: str) -> Signed:
    """Return the statement with its signer. Raises NotSigned naming why no signature counts."""
    why = "it has no signature"
    namespaces = [found.own_namespace] * (found.kind == statement.SIGN_OFF) + [found.namespace]
    for namespace in namespaces:
        for signature in entry.envelope.signatures:
            try:
                by = ssh_signature.signer(entry.envelope.signed, signature, namespace, allowed)
            except NotSigned as error:
                why = str(error)
            else:
                return Signed(entry.position, found, by, own=namespace == found.own_namespace)
    raise NotSigned(why)


def make(content: bytes, namespace: str, key: Path, *, unattended: bool = False) -> Envelope:
    """Sign a statement with `key`. Raises ConfigurationError when the key cannot sign."""
    unsigned = Envelope(content, ())
    return replace(unsigned, signatures=(ssh_signature.sign(unsigned.signed, namespace, key, unattended=unattended),))


def key_of(environment: Environment) -> Path | None:
    """Return the key of this account: GAIA_SIGNING_KEY, else the environment file's, None without either."""
    return environment.signing_key


def key_of_person(environment: Environment) -> Path:
    """Return the key of a person: the account's, else git's user.signingKey. Raises ConfigurationError without one."""
    key = environment.signing_key or _key_of_git()
    if key is None:
        raise ConfigurationError("no signing key: export GAIA_SIGNING_KEY=~/.ssh/id_ed25519, and run again")
    return key


def _key_of_git() -> Path | None:
    try:
        found = git_command.git("config", "--type=path", "--get", "user.signingKey", why="git config").decode().strip()
    except ArtifactError:
        return None
    return Path(found) if found.startswith("/") else None
