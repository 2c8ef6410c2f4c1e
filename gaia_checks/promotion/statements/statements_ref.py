"""Where statements are recorded: `refs/gaia/statements` on the remote, a chain of commits with one statement each.

The chain's order is the order in which statements were recorded. It only grows: a remote that shows another past than
this machine has fetched before is refused. Whoever can push can append; whose statements count is for the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.errors import EvidenceError, RemoteUnreachable
from gaia_checks.promotion.statements import dsse
from gaia_checks.promotion.statements.dsse import Envelope

REF = "refs/gaia/statements"
_FETCHED = "refs/fetched/statements"
_FILE = "statement.json"
_ATTEMPTS = 8  # several gates may end at the same time


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """One recorded statement."""

    position: int  # from 1, oldest first
    commit: str
    envelope: Envelope


def fetch(remote: GitRemote) -> None:
    """Update the mirror and accept additions. Raises RemoteUnreachable, or EvidenceError for a rewritten one."""
    remote.fetch()
    known, found = _tip(remote, REF), _tip(remote, _FETCHED)
    if known == found:
        return
    if known and (found is None or not _is_ancestor(remote, known, found)):
        raise EvidenceError(
            f"{REF}: the remote shows {(found or 'nothing')[:12]}, which does not continue {known[:12]} as fetched "
            f"before: statements were removed or replaced; find out who changed {remote.url}, and restore {known[:12]}"
        )
    for line in remote.read("rev-list", "--parents", f"{known}..{found}" if known else str(found)).splitlines():
        if len(line.split()) > 2:
            raise EvidenceError(f"{REF}: {line[:12]} has several parents: not a chain; restore {known or 'nothing'}")
    remote.read("update-ref", REF, str(found))


def read(remote: GitRemote) -> tuple[StatementEntry, ...]:
    """Return the recorded statements, oldest first, as last fetched. A repeated one counts where it came first."""
    return tuple(_distinct(remote))


def head(remote: GitRemote) -> str | None:
    """Return the newest commit of the chain, as last fetched."""
    return _tip(remote, REF)


def append(remote: GitRemote, envelope: Envelope, summary: str) -> StatementEntry:
    """Record a statement on the remote, once. Raises RemoteUnreachable or EvidenceError."""
    for attempt in range(_ATTEMPTS):
        fetch(remote)
        recorded = next((one for one in read(remote) if one.envelope.digest == envelope.digest), None)
        if recorded:
            return recorded
        before = head(remote)
        try:
            remote.append(REF, before, _FILE, dsse.text(envelope), summary)
        except RemoteUnreachable:
            remote.fetch()
            if attempt == _ATTEMPTS - 1 or _tip(remote, _FETCHED) == before:
                raise  # nobody else was faster: the remote does not want it
    fetch(remote)
    return next(one for one in read(remote) if one.envelope.digest == envelope.digest)


def _distinct(remote: GitRemote) -> Iterator[StatementEntry]:
    known = set()
    commits = remote.read("rev-list", "--reverse", REF).split() if head(remote) else []
    contents = remote.blobs([f"{commit}:{_FILE}" for commit in commits])
    for position, (commit, content) in enumerate(zip(commits, contents, strict=True), start=1):
        try:
            found = dsse.parse((content or b"").decode(errors="replace"), f"{REF} {commit[:12]}")
        except EvidenceError:
            continue  # whoever can push can append anything; it counts for nothing
        if found.digest not in known:
            known.add(found.digest)
            yield StatementEntry(position, commit, found)


def _tip(remote: GitRemote, ref: str) -> str | None:
    return remote.read("for-each-ref", "--format=%(objectname)", ref).strip() or None


def _is_ancestor(remote: GitRemote, older: str, newer: str) -> bool:
    return older in remote.read("rev-list", newer).split()
