"""Who wrote a commit, as git says it: these may not sign it off."""

import re

from gaia_checks.deploy.git.git_remote import GitRemote

_FORMAT = "--format=%ae%n%ce%n%(trailers:key=Co-authored-by,valueonly)"


def of(remote: GitRemote, commit: str) -> frozenset[str]:
    """Return the e-mail addresses of a commit's author, committer and co-authors; of a merge, of what it merged."""
    parents = remote.read("rev-list", "--parents", "--max-count=1", commit).split()[1:]
    wrote = remote.read("log", "--no-merges", _FORMAT, commit, *(f"^{one}" for one in parents[:1]), "--")
    own = remote.read("log", "--max-count=1", _FORMAT, commit, "--")
    return frozenset(re.findall(r"[^\s<>]+@[^\s<>]+", (wrote or own).casefold()))
