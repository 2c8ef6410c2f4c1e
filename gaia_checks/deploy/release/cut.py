"""Cut a release: build the working tree's server, commit the executable or its sha256, and tag the commit."""

import shutil
from pathlib import Path

from gaia_checks.deploy.git import tag
from gaia_checks.deploy.git.git_command import commit_of, git
from gaia_checks.deploy.git.git_remote import BRANCHES
from gaia_checks.deploy.release import build, download
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import PROJECT, ROOT
from gaia_checks.errors import ArtifactError, ConfigurationError
from gaia_checks.files import sha256
from gaia_checks.model import Log

_SHOWN = 3


def cut(where: Environment, phase: str, log: Log) -> tag.Tag:
    """Make the commit and the annotated tag `deploy/ENV/PHASE` of a new release; push nothing.

    Where the environment file names an `artifact`, the commit contains the executable's sha256, and the executable is
    copied to that location if it is a path. Unchanged sources build the same bytes, so they need no new commit.
    Raises ConfigurationError for a phase that no tag can have, and ArtifactError when the tag exists, when the working
    tree has uncommitted changes, or when building, git or copying fails.
    """
    wanted = tag.parse(f"deploy/{where.name}/{phase}")
    if PROJECT != ROOT:
        raise ConfigurationError(
            f"gaia release builds the gaia_server of gaia-checks; commit your own executable as build/gaia_server, "
            f"or its sha256, and tag it: git tag -a {wanted}"
        )
    if existing := commit_of(str(wanted)):
        raise ArtifactError(f"{wanted}: exists already, on {existing[:12]}; name another phase")
    _refuse_changes()
    executable = build.build(ROOT)
    log(f"built {executable.relative_to(ROOT)}, sha256 {sha256(executable)}")
    template = where.server.artifact
    _commit(_digest_file(executable) if template else executable, wanted, log)
    commit = commit_of("HEAD") or ""
    if template:
        _store(executable, download.location(template, phase=phase, commit=commit, sha256=sha256(executable)), log)
    git("tag", "--annotate", "--message", str(wanted), str(wanted), commit, why=str(wanted))
    branch = BRANCHES[where.stage]
    log(f"{wanted} is on {commit[:12]}. Next: git push origin HEAD:{branch} {wanted}")
    return wanted


def _refuse_changes() -> None:
    """A release is what a commit says: whatever git does not ignore is committed."""
    status = git("status", "--porcelain", "-z", "--no-renames", why="release").decode(errors="replace")
    changed = [entry[3:] for entry in status.split("\0") if entry]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise ArtifactError(f"release: not committed: {', '.join(changed[:_SHOWN])}{more}; commit or remove them first")


def _digest_file(executable: Path) -> Path:
    file = executable.with_name(f"{executable.name}.sha256")
    file.write_text(f"{sha256(executable)}  {executable.name}\n")
    return file


def _commit(file: Path, wanted: tag.Tag, log: Log) -> None:
    git("add", "--force", "--", str(file), why=f"{wanted}: add {file.name}")
    if not git("diff", "--cached", "--name-only", why=str(wanted)):
        return
    git("commit", "--quiet", "--message", f"Release {wanted.phase}", why=f"{wanted}: commit {file.name}")
    log(f"committed {file.relative_to(ROOT)}")


def _store(executable: Path, location: str, log: Log) -> None:
    if not location.startswith("/"):
        log(f"upload {executable.relative_to(ROOT)} to {location} before the tag is pushed")
        return
    try:
        Path(location).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(executable, location)
    except OSError as error:
        raise ArtifactError(f"{location}: {error.strerror or error}") from error
    log(f"copied the executable to {location}")
