"""The only module that runs git: unattended, and without this process's secrets in its environment."""

import subprocess
from pathlib import Path

from gaia_checks.deploy.git import tag
from gaia_checks.environment.process_variables import inherited
from gaia_checks.environment.project import PROJECT
from gaia_checks.errors import ArtifactError, MissingDependency
from gaia_checks.redaction import SECRET_NAMES

_OTHER_REPOSITORY = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"})
"""Variables that git sets for a hook: they name the hook's repository."""

REPOSITORY = "GAIA_GIT_DIR"
"""The variable by which `gaia watch` names the mirror that has the tag, in place of the project's own repository."""


_UNATTENDED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
}
"""Variables that keep git from waiting for a person; the user's own values come first."""


def tag_present(wanted: tag.Tag) -> bool | None:
    """Whether the tag exists in the project's repository; None when git fails."""
    try:
        return commit_of(str(wanted)) is not None
    except (ArtifactError, MissingDependency):
        return None


def head(folder: Path | None = None) -> str | None:
    """Return the commit of the working tree, or of the one in `folder`; None outside git."""
    try:
        return commit_of("HEAD", folder)
    except (ArtifactError, MissingDependency):
        return None


def commit_of(revision: str, folder: Path | None = None) -> str | None:
    """Return the commit of HEAD or of a tag, None when there is none. Raises ArtifactError with git's message."""
    name = f"refs/tags/{revision}" if revision != "HEAD" else revision
    done = run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", folder=folder)
    if done.returncode and done.stderr:  # a missing revision prints nothing
        raise _error(done, revision)
    return done.stdout.decode().strip() or None


def git(*arguments: str, why: str, folder: Path | None = None) -> bytes:
    """Return git's stdout in a repository, or the project's. Raises ArtifactError, whose message starts with `why`."""
    done = run(*arguments, folder=folder)
    if done.returncode:
        raise _error(done, why)
    return done.stdout


def _error(done: subprocess.CompletedProcess[bytes], why: str) -> ArtifactError:
    return ArtifactError(f"{why}: git: {' '.join(done.stderr.decode(errors='replace').split())}")


def run(
    *arguments: str,
    mirror: Path | None = None,
    folder: Path | None = None,
    stdin: str = "",
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git on a bare mirror, in a folder, or else in the project's; whether it succeeded is for the caller to check.

    Raises MissingDependency, and subprocess.TimeoutExpired after `timeout_s`.
    """
    repository = () if mirror is None else (f"--git-dir={mirror}",)
    try:
        return subprocess.run(
            ("git", "--no-replace-objects", *repository, *arguments),
            cwd=(folder or PROJECT) if mirror is None else None,
            env=_variables(),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingDependency("git is not installed; install it, e.g. apt-get install git") from error


def _variables() -> dict[str, str]:
    found = variables_without_secrets(LC_ALL="C")
    clean = _UNATTENDED | {name: value for name, value in found.items() if name not in _OTHER_REPOSITORY}
    return {**clean, "GIT_DIR": found[REPOSITORY]} if found.get(REPOSITORY) else clean


def variables_without_secrets(**changes: str) -> dict[str, str]:
    """Return this process's environment with `changes` and without secrets."""
    return {name: value for name, value in inherited(**changes).items() if name not in SECRET_NAMES}
