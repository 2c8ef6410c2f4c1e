"""This machine's ledger against itself, and against the newest signed statement that names its head."""

from collections.abc import Iterable, Iterator

from gaia_checks.deploy.git.git_remote import BRANCHES, GitRemote
from gaia_checks.deploy.state import ledger_chain, paths
from gaia_checks.deploy.state.ledger_chain import ChainHead
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import EvidenceError, NotSigned
from gaia_checks.promotion.statements import allowed_signers, signed, statement, statements_ref


def faults(environments: Iterable[Environment], remote: GitRemote | None) -> Iterator[str]:
    """Yield what is wrong with the ledgers of `environments`, each naming the line; `remote` as last fetched."""
    ledgers = {paths.of(one).ledger: paths.home_identity(one) for one in environments}
    for ledger, home in ledgers.items():
        stated = newest_head(remote, home) if remote else None
        yield from ledger_chain.faults(ledger, home, [stated] if stated else [])


def newest_head(remote: GitRemote, home: str) -> ChainHead | None:
    """Return the newest head of this ledger that a signed statement names: it stands for every line before it."""
    files = remote.blobs([f"refs/heads/{branch}:{allowed_signers.PATH}" for branch in BRANCHES.values()])
    allowed = "\n".join((content or b"").decode(errors="replace") for content in files)
    for entry in reversed(statements_ref.read(remote)):
        try:
            found = statement.parse(entry.envelope)
            head = ledger_chain.read_head(found.predicate.get("ledger"))
            if head and head.home == home:
                signed.check(entry, found, allowed)
                return head
        except (EvidenceError, NotSigned):
            continue
    return None
