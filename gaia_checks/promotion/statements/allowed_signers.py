"""Who may sign what: `environments/allowed_signers` on the protected branch of the stage that is entered."""

import shlex

from gaia_checks.deploy.git.git_remote import BRANCHES, GitRemote
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import NotPromoted

PATH = "environments/allowed_signers"
_PATTERN = set("*?!")


def read(remote: GitRemote, environment: Environment) -> str:
    """Return the file for `environment`, as last fetched. Raises NotPromoted when it is missing or names a pattern."""
    branch = BRANCHES[environment.stage]
    where = f"{PATH} on branch {branch}"
    content = next(remote.blobs([f"refs/heads/{branch}:{PATH}"]))
    if content is None:
        raise NotPromoted(f"{where}: not there; commit who may sign what (docs/trust.md)")
    text = content.decode(errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        names = _names(line)
        if _PATTERN & set(names) or not names.isprintable():
            raise NotPromoted(f"{where}:{number}: a name must be one identity, not a pattern; write it out")
    return text


def _names(line: str) -> str:
    if not line.strip() or line.startswith("#"):
        return ""
    try:
        return shlex.split(line)[0]
    except ValueError:  # an unbalanced quote: ssh-keygen refuses the line
        return line.split(maxsplit=1)[0]
