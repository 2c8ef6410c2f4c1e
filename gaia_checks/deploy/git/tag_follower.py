"""Follows the deployment tags of one environment: detects and records changes, keeps open requests."""

from collections.abc import Mapping

from gaia_checks import jsonl
from gaia_checks.deploy.git import tag_requests
from gaia_checks.deploy.git.git_remote import BRANCHES, GitRemote
from gaia_checks.deploy.git.tag import Tag, parse
from gaia_checks.deploy.git.tag_requests import Change, TagRequest
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, RemoteUnreachable
from gaia_checks.model import Log


class Followed:
    """The followed tags of one environment. The state is a journal on disk, so it survives a kill."""

    def __init__(self, environment: Environment, remote: GitRemote, known: frozenset[str], log: Log) -> None:
        """Follow `environment` on `remote`; `known` are all environments' names; a tag of any other is refused."""
        self._environment = environment
        self._remote = remote
        self._known = known | {environment.name}
        self._log = log
        self._journal = paths.of(environment).state / "watch.jsonl"
        self._refused = environment.home / "remotes" / "refused.jsonl"  # shared by all environments
        self._unreachable = False

    def look(self) -> None:
        """Record every new, moved or deleted tag. Reports an unreachable remote once."""
        try:
            self._remote.fetch()
        except RemoteUnreachable as error:
            if not self._unreachable:
                self._log(f"remote unreachable, retrying: {error}")
            self._unreachable = True
            return
        if self._unreachable:
            self._log("remote reachable again")
        self._unreachable = False
        state = self._state()
        for change in tag_requests.changes(state, self._own_tags(self._remote.tags())):
            self._record_change(change)
        if not state.initialized:
            self._append("began")

    def next(self) -> TagRequest | None:
        """Return the oldest open request, None when there is none."""
        return next(iter(self._state().open), None)

    def deployed(self, request: TagRequest) -> None:
        """Record that the requested release runs; its gate is still open."""
        self.note(request.phase, "watch", "deployed", commit=request.commit)
        self._append("deployed", request.phase, request.commit)

    def done(self, request: TagRequest) -> None:
        """Record that the request is complete."""
        self._append("done", request.phase, request.commit)

    def note(self, phase: str, step: str, event: str, **facts: str | None) -> None:
        """Append a record to the ledger."""
        deployment_ledger.note(self._environment, self._environment.name, phase, step, event, **facts)

    def _own_tags(self, tags: Mapping[str, str | None]) -> dict[str, str]:
        """Return phase -> commit of this environment's tags; refuse invalid tags."""
        own = {}
        for name, commit in tags.items():
            tag, why = self._parse(name, commit)
            if why:
                self._refuse(name, commit, tag, why)
            elif tag and commit and tag.environment == self._environment.name:
                own[tag.phase] = commit
        return own

    def _parse(self, name: str, commit: str | None) -> tuple[Tag | None, str | None]:
        """Return the tag as far as it parses, and the reason to refuse it, None for a valid tag."""
        try:
            tag = parse(name)
        except ConfigurationError as error:
            return None, str(error)
        if tag.environment not in self._known:
            return tag, f"{name}: no such environment; known: {', '.join(sorted(self._known))}"
        return tag, None if commit else f"{name}: points to no commit"

    def _refuse(self, name: str, commit: str | None, tag: Tag | None, why: str) -> None:
        """Record and report an invalid tag once, however many environments are followed."""
        with self._remote.locked():
            if any((record["tag"], record["commit"]) == (name, commit) for record in jsonl.read(self._refused)):
                return
            jsonl.append(self._refused, {"at": jsonl.now(), "tag": name, "commit": commit})
        self._log(f"tag refused: {why}")
        where, phase = (tag.environment, tag.phase) if tag else (None, None)
        deployment_ledger.note(self._environment, where, phase, "tag", "refused", tag=name, commit=commit, why=why)

    def _record_change(self, change: Change) -> None:
        """Record a change in the ledger first, and only then in the journal that triggers deployments."""
        tag = Tag(self._environment.name, change.phase)
        self.note(change.phase, "tag", change.event, commit=change.commit)
        self._log(f"{tag}: {change.event}, {change.commit[:12]}")
        branch = BRANCHES[self._environment.stage]
        if change.event in ("new", "moved") and not self._remote.contains(branch, change.commit):
            why = f"branch {branch} does not contain {change.commit[:12]}: {tag} is deployed, but not promoted"
            self.note(change.phase, "tag", "warning", commit=change.commit, why=why)
            self._log(why)
        self._append(change.event, change.phase, change.commit)

    def _state(self) -> tag_requests.FollowerState:
        return tag_requests.replay(jsonl.read(self._journal))

    def _append(self, event: str, phase: str = "", commit: str = "") -> None:
        record = {"at": jsonl.now(), "event": event, "phase": phase, "commit": commit}
        jsonl.append(self._journal, record, durable=True, mode=0o600)
