"""A git remote, read through a local mirror: its deployment tags and branches, and pushing a new tag."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaia_checks import files
from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.state.lock import who
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.process_variables import without_secrets
from gaia_checks.errors import ConfigurationError, GaiaError, RemoteUnreachable
from gaia_checks.redaction import contains_password

BRANCHES = {"dev": "develop", "qa": "qa", "prod": "main"}
"""Stage -> the branch that must contain a commit tagged for it."""

Check = Callable[[], object]

_TIMEOUT_S = 120.0
_REFS = (
    "+refs/heads/*:refs/heads/*",
    "+refs/tags/deploy/*:refs/tags/deploy/*",
    "+refs/gaia/*:refs/fetched/*",  # as the remote shows it; `promotion.statements_ref` accepts it, or does not
)


@dataclass(frozen=True, slots=True)
class GitRemote:
    """A shared repository and its local bare mirror."""

    url: str  # a path or any URL that git accepts
    mirror: Path

    def fetch(self) -> None:
        """Update the mirror's branches and deployment tags, including deletions. Raises RemoteUnreachable."""
        with self.locked():
            if not (self.mirror / "HEAD").exists():
                self._git("init", "--quiet", "--bare")
            # no background gc: it would outlive this process
            self._git("-c", "gc.auto=0", "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head",
                      self.url, *_REFS)  # fmt: skip

    def tags(self) -> dict[str, str | None]:
        """Return `deploy/...` -> commit as last fetched, oldest tag first; None for a tag of another object."""
        listed = self._git(
            "for-each-ref", "--sort=version:refname", "--sort=creatordate", "--format=%(refname)", "refs/tags/deploy"
        ).split()
        found = self._git(
            "cat-file", "--batch-check=%(objectname)", stdin="".join(f"{ref}^{{commit}}\n" for ref in listed)
        ).splitlines()
        commits = [line if " " not in line else None for line in found]  # a missing one: "<object> missing"
        return {ref.removeprefix("refs/tags/"): commit for ref, commit in zip(listed, commits, strict=True)}

    def contains(self, branch: str, commit: str) -> bool:
        """Whether `commit` is on `branch`, as last fetched; a missing branch contains nothing."""
        containing = self._git("for-each-ref", "--format=%(refname)", f"--contains={commit}", f"refs/heads/{branch}")
        return containing.strip() == f"refs/heads/{branch}"

    def cut(self, tag: str, commit: str, message: str, key: Path | None = None, check: Check | None = None) -> None:
        """Create an annotated tag, signed with `key`, let `check` look at it, and push it.

        Raises RemoteUnreachable, or what `check` raises, and deletes the local tag.
        """
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}") if key else ()
        with self.locked():
            self._git(*signing, *_author(), "tag", "--sign" if key else "--no-sign", "--annotate", "--cleanup=verbatim",
                      "--message", message, tag, commit)  # fmt: skip
            try:
                if check:
                    check()
                self._git("push", "--quiet", self.url, f"refs/tags/{tag}")
            except GaiaError:
                self._git("tag", "--delete", tag)
                raise

    def read(self, *arguments: str) -> str:
        """Return the output of a git command about the mirror, as last fetched. Raises RemoteUnreachable."""
        return self._git(*arguments)

    def blobs(self, revisions: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the content of each file, named as `COMMIT:PATH` in the mirror; None for one that is not there."""
        wanted = "".join(f"{one}\n" for one in revisions)
        rest = self._run("cat-file", "--batch=%(objecttype) %(objectsize)", stdin=wanted)
        for _ in revisions:
            head, _, rest = rest.partition(b"\n")
            kind, _, size = head.decode(errors="replace").rpartition(" ")
            if not size.isdecimal():  # "REVISION missing"
                yield None
                continue
            yield rest[: int(size)] if kind == "blob" else None
            rest = rest[int(size) + 1 :]

    def append(self, ref: str, parent: str | None, path: str, content: str, summary: str) -> None:
        """Push a commit of one file on top of `parent` to `ref`, by fast-forward only. Raises RemoteUnreachable."""
        blob = self._git("hash-object", "-w", "--stdin", stdin=content).strip()
        tree = self._git("mktree", stdin=f"100644 blob {blob}\t{path}\n").strip()
        on_top = ("-p", parent) if parent else ()
        commit = self._git(*_author(), "commit-tree", tree, *on_top, "-m", summary).strip()
        self._git("push", "--quiet", self.url, f"{commit}:{ref}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the mirror while the block runs: several commands may use it."""
        self.mirror.parent.mkdir(parents=True, exist_ok=True)
        with self.mirror.with_suffix(".lock").open("w") as lock:
            files.lock(lock)
            yield

    def _git(self, *arguments: str, stdin: str = "") -> str:
        return self._run(*arguments, stdin=stdin).decode(errors="replace")

    def _run(self, *arguments: str, stdin: str = "") -> bytes:
        try:
            done = git_command.run(*arguments, mirror=self.mirror, stdin=stdin, timeout_s=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise RemoteUnreachable(
                f"{without_secrets(self.url)}: no answer within {_TIMEOUT_S:.0f} s; check the network"
            ) from error
        if done.returncode:
            message = " ".join(done.stderr.decode(errors="replace").split())
            raise RemoteUnreachable(f"{without_secrets(self.url)}: {without_secrets(message)}")
        return done.stdout


def of(environment: Environment, url: str | None = None) -> GitRemote:
    """Return the remote at `url`, else the environment's own. Raises ConfigurationError when there is none."""
    wanted = url or environment.remote
    if wanted is None:
        raise ConfigurationError(
            f"{environment.name}: no git remote; give --remote URL, or set remote in {environment.path.name}"
        )
    if contains_password(wanted):  # never quoted in the message
        raise ConfigurationError(
            "--remote: give a URL without a password or token; keep those in git's credential helper"
        )
    name = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    return GitRemote(wanted, environment.home / "remotes" / f"{name}.git")


def _author() -> tuple[str, ...]:
    account = who()
    return ("-c", f"user.name={account.partition('@')[0]}", "-c", f"user.email={account}")
