"""A git remote, seen through a mirror of our own: its deployment tags, its branches, and the cutting of a tag."""

import fcntl
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.deploy.state.lock import who
from gaia_checks.environment import Environment, inherited, without_secrets
from gaia_checks.errors import ConfigurationError, MissingDependency, RemoteAway
from gaia_checks.redaction import SECRET_NAMES, holds_password

BRANCHES = {"dev": "develop", "qa": "qa", "prod": "main"}
"""Stage -> the branch whose commits may be tagged for it."""

_TIMEOUT_S = 120.0
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/deploy/*:refs/tags/deploy/*")
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # set inside git's hooks: about another repository
_UNATTENDED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository that others push to, and the bare one in which we keep what we need of it."""

    url: str  # a path or any URL that git takes
    mirror: Path

    def fetch(self) -> None:
        """Bring the mirror up to date: branches and deployment tags, deleted ones too. Raises RemoteAway."""
        with self.turn():
            if not (self.mirror / "HEAD").exists():
                _git("init", "--quiet", "--bare", str(self.mirror))
            # no clean-up in the background: it would outlive us
            self._git("-c", "gc.auto=0", "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head",
                      self.url, *_REFS)  # fmt: skip

    def tags(self) -> dict[str, str | None]:
        """Return `deploy/...` -> commit as last fetched, oldest tag first; None for one that is on no commit."""
        listed = self._git(
            "for-each-ref", "--sort=version:refname", "--sort=creatordate", "--format=%(refname)", "refs/tags/deploy"
        ).split()
        found = self._git(
            "cat-file", "--batch-check=%(objectname)", given="".join(f"{ref}^{{commit}}\n" for ref in listed)
        ).splitlines()
        commits = [line if " " not in line else None for line in found]  # "<what was asked> missing"
        return {ref.removeprefix("refs/tags/"): commit for ref, commit in zip(listed, commits, strict=True)}

    def contains(self, branch: str, commit: str) -> bool:
        """Whether `commit` is on `branch`, as last fetched; a branch that is not there contains nothing."""
        held = self._git("for-each-ref", "--format=%(refname)", f"--contains={commit}", f"refs/heads/{branch}")
        return held.strip() == f"refs/heads/{branch}"

    def cut(self, tag: str, commit: str, message: str) -> None:
        """Make an annotated tag on `commit` and push it. Raises RemoteAway; then there is no such tag here either."""
        account = who()
        with self.turn():
            self._git("-c", f"user.name={account.partition('@')[0]}", "-c", f"user.email={account}",
                      "tag", "--annotate", "--no-sign", "--message", message, tag, commit)  # fmt: skip
            try:
                self._git("push", "--quiet", self.url, f"refs/tags/{tag}")
            except RemoteAway:
                self._git("tag", "--delete", tag)
                raise

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the mirror for as long as the block runs: several commands may use it."""
        self.mirror.parent.mkdir(parents=True, exist_ok=True)
        with self.mirror.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _git(self, *words: str, given: str = "") -> str:
        return _git(f"--git-dir={self.mirror}", *words, given=given, about=self.url)


def of(environment: Environment, url: str | None = None) -> Remote:
    """Return the remote of `environment`, or of `url` in its place. Raises ConfigurationError when there is none."""
    wanted = url or environment.remote
    if wanted is None:
        raise ConfigurationError(
            f"{environment.name}: no git remote; give --remote URL, or set remote in {environment.path.name}"
        )
    if holds_password(wanted):  # and it is not quoted
        raise ConfigurationError("--remote: give a URL without a password or token; git's credential helper has that")
    name = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    return Remote(wanted, environment.home / "remotes" / f"{name}.git")


def _git(*words: str, given: str = "", about: str = "git") -> str:
    variables = {name: value for name, value in inherited().items() if name not in SECRET_NAMES | _ELSEWHERE}
    try:
        done = subprocess.run(
            ("git", *words), env={**_UNATTENDED, **variables, "LC_ALL": "C"}, input=given,
            capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise MissingDependency("git is not installed; install it, e.g. apt-get install git") from error
    except subprocess.TimeoutExpired as error:
        raise RemoteAway(f"{without_secrets(about)}: no answer within {_TIMEOUT_S:.0f} s; check the network") from error
    if done.returncode:
        raise RemoteAway(f"{without_secrets(about)}: {without_secrets(' '.join(done.stderr.split()))}")
    return done.stdout
