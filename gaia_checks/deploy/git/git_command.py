"""git commands in the project's own repository, without this process's secrets in their environment."""

import subprocess

from gaia_checks.deploy.git import tag
from gaia_checks.environment import ROOT, inherited
from gaia_checks.errors import ArtifactError, MissingDependency
from gaia_checks.redaction import SECRET_NAMES


def tag_present(wanted: tag.Tag) -> bool | None:
    """Whether the tag is there (still); None where git does not tell."""
    try:
        return commit_of(str(wanted)) is not None
    except (ArtifactError, MissingDependency):
        return None


def head() -> str | None:
    """Return the working tree's commit, None outside git."""
    try:
        return commit_of("HEAD")
    except (ArtifactError, MissingDependency):
        return None


def commit_of(revision: str) -> str | None:
    """Return the commit that a revision names, None when there is none. Raises ArtifactError with git's own words."""
    name = f"refs/tags/{revision}" if revision != "HEAD" else revision
    done = _run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if done.returncode and done.stderr:  # of what is not there it says nothing
        raise _refused(done, revision)
    return done.stdout.decode().strip() or None


def git(*words: str, why: str) -> bytes:
    """Return what git writes. Raises ArtifactError, which begins with `why`."""
    done = _run(*words)
    if done.returncode:
        raise _refused(done, why)
    return done.stdout


def _refused(done: subprocess.CompletedProcess[bytes], why: str) -> ArtifactError:
    return ArtifactError(f"{why}: git: {' '.join(done.stderr.decode(errors='replace').split())}")


def _run(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ("git", *words), cwd=ROOT, env=variables_without_secrets(LC_ALL="C"), capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise MissingDependency("git is not installed; install it, e.g. apt-get install git") from error


def variables_without_secrets(**changes: str) -> dict[str, str]:
    """Return this process's environment, with `changes`, without the secrets in it."""
    return {name: value for name, value in inherited(**changes).items() if name not in SECRET_NAMES}
