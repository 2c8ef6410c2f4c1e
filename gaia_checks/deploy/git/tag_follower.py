"""Follow the deployment tags of one environment: see what changed, record it, remember what is still to be done."""

from collections.abc import Callable, Mapping

from gaia_checks import jsonl
from gaia_checks.deploy.git import tag_requests
from gaia_checks.deploy.git.remote import BRANCHES, Remote
from gaia_checks.deploy.git.tag import Tag, parse
from gaia_checks.deploy.git.tag_requests import Change, Request
from gaia_checks.deploy.state import ledger as deployment_ledger
from gaia_checks.deploy.state import paths
from gaia_checks.environment import Environment
from gaia_checks.errors import ConfigurationError, RemoteAway

Say = Callable[[str], None]


class Followed:
    """The tags of one environment. Its memory is a journal, so it survives any end."""

    def __init__(self, environment: Environment, remote: Remote, known: frozenset[str], say: Say) -> None:
        """Follow `environment` on `remote`; `known` are the names of all environments, for tags that name none."""
        self._environment = environment
        self._remote = remote
        self._known = known | {environment.name}
        self._say = say
        self._journal = paths.of(environment).state / "watch.jsonl"
        self._refused = environment.home / "remotes" / "refused.jsonl"  # of all environments
        self._away = False

    def look(self) -> None:
        """Take note of every tag that is new, moved or deleted. A remote that is away is said once."""
        try:
            self._remote.fetch()
        except RemoteAway as error:
            if not self._away:
                self._say(f"the remote is away, trying again: {error}")
            self._away = True
            return
        if self._away:
            self._say("the remote is back")
        self._away = False
        memory = self._memory()
        for change in tag_requests.changes(memory, self._ours(self._remote.tags())):
            self._take_note(change)
        if not memory.began:
            self._remember("began")

    def next(self) -> Request | None:
        """Return the oldest request that is not done, None when there is nothing to do."""
        return next(iter(self._memory().open), None)

    def deployed(self, request: Request) -> None:
        """Remember that what was asked for runs; its gate is still to come."""
        self.note(request.phase, "watch", "deployed", commit=request.commit)
        self._remember("deployed", request.phase, request.commit)

    def done(self, request: Request) -> None:
        """Remember that nothing more is to be done."""
        self._remember("done", request.phase, request.commit)

    def note(self, phase: str, step: str, event: str, **facts: str | None) -> None:
        """Write into the ledger."""
        deployment_ledger.note(paths.of(self._environment).ledger, self._environment.name, phase, step, event, **facts)

    def _ours(self, tags: Mapping[str, str | None]) -> dict[str, str]:
        """Return phase -> commit of this environment's tags; record those that nobody can follow."""
        ours = {}
        for name, commit in tags.items():
            tag, why = self._understand(name, commit)
            if why:
                self._refuse(name, commit, tag, why)
            elif tag and commit and tag.environment == self._environment.name:
                ours[tag.phase] = commit
        return ours

    def _understand(self, name: str, commit: str | None) -> tuple[Tag | None, str | None]:
        """Return a tag as far as it can be read, and why nobody can follow it."""
        try:
            tag = parse(name)
        except ConfigurationError as error:
            return None, str(error)
        if tag.environment not in self._known:
            return tag, f"{name}: no such environment; known: {', '.join(sorted(self._known))}"
        return tag, None if commit else f"{name}: points at no commit"

    def _refuse(self, name: str, commit: str | None, tag: Tag | None, why: str) -> None:
        """Record a tag that is never run: once, however many environments are followed."""
        with self._remote.turn():
            if any((record["tag"], record["commit"]) == (name, commit) for record in jsonl.read(self._refused)):
                return
            jsonl.append(self._refused, {"at": jsonl.now(), "tag": name, "commit": commit})
        self._say(f"not run: {why}")
        where, phase = (tag.environment, tag.phase) if tag else (None, None)
        ledger = paths.of(self._environment).ledger
        deployment_ledger.note(ledger, where, phase, "tag", "refused", tag=name, commit=commit, why=why)

    def _take_note(self, change: Change) -> None:
        """Record a change for people, and only then as something to act upon."""
        tag = Tag(self._environment.name, change.phase)
        self.note(change.phase, "tag", change.event, commit=change.commit)
        self._say(f"{tag}: {change.event}, {change.commit[:12]}")
        branch = BRANCHES[self._environment.stage]
        if change.event in ("new", "moved") and not self._remote.contains(branch, change.commit):
            why = f"branch {branch} does not contain {change.commit[:12]}: {tag} is deployed, but not promoted"
            self.note(change.phase, "tag", "warning", commit=change.commit, why=why)
            self._say(why)
        self._remember(change.event, change.phase, change.commit)

    def _memory(self) -> tag_requests.Memory:
        return tag_requests.recall(jsonl.read(self._journal))

    def _remember(self, event: str, phase: str = "", commit: str = "") -> None:
        record = {"at": jsonl.now(), "event": event, "phase": phase, "commit": commit}
        jsonl.append(self._journal, record, durable=True)
