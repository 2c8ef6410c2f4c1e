"""A signed deployment tag, read as git stores it: it must name itself, its commit, and be signed by who may."""

from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.errors import NotPromoted, NotSigned
from gaia_checks.printable import printable
from gaia_checks.promotion.statements import ssh_signature

_BEGIN = "-----BEGIN SSH SIGNATURE-----"


def signer(remote: GitRemote, tag: str, commit: str, allowed: str) -> str:
    """Return who signed the tag on `commit`, as last fetched. Raises NotPromoted."""
    kind, _, name = remote.read(
        "for-each-ref", "--format=%(objecttype) %(objectname)", f"refs/tags/{tag}"
    ).strip().partition(" ")  # fmt: skip
    if kind != "tag":
        raise NotPromoted(f"{tag} is not a signed tag")
    text = remote.read("cat-file", "tag", name)
    payload, begin, signature = text.partition(_BEGIN)
    head = dict(line.partition(" ")[::2] for line in payload.partition("\n\n")[0].splitlines())
    if head.get("tag") != tag:
        raise NotPromoted(f"{tag} was cut as {printable(head.get('tag'))}: a copy under another name")
    if (head.get("object"), head.get("type")) != (commit, "commit"):
        raise NotPromoted(f"{tag} does not name {commit[:12]} itself")
    if not begin:
        raise NotPromoted(f"{tag} is not signed")
    try:
        return ssh_signature.signer(payload.encode(), begin + signature, "git", allowed)
    except NotSigned as error:
        raise NotPromoted(f"{tag}: its signature does not count: {printable(error)}") from error
