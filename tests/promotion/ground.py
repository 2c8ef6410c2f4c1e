"""A repository, its protected branches, people and gates with keys, and releases on their way through the stages."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import files, jsonl
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import NotPromoted
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Measurement, Release
from gaia_checks.promotion import admission, promote, record, sign_off
from gaia_checks.promotion.examination import SIGN_OFFS, Entrance, Examination, examine
from gaia_checks.promotion.statements import dsse, release_of_commit, signed, statement, statements_ref
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.report import evidence
from tests.support import ssh_keys
from tests.support.forge import Forge, forge

PHASE = "phase-1"
AT = datetime(2026, 2, 26, 10, tzinfo=UTC)
GATE: dict[str, Any] = {"version": "0.1.0", "files_sha256": "0" * 64, "dirty": False, "foreign_plugins": []}
SERVER = "#!/bin/sh\nexec sleep 60\n"

WHO = {
    "gate-dev": ("gate-dev@example.test", "gaia-verdict/dev@v1"),
    "gate-qa": ("gate-qa@example.test", "gaia-verdict/qa@v1"),
    "ada": ("ada@example.test", "gaia-sign-off/*,gaia-force/qa@v1,git"),
    "grace": ("grace@example.test", "gaia-sign-off/prod/qa@v1,gaia-sign-off/prod/rollback@v1"),
    "author": ("a@example.test", "gaia-sign-off/*,git"),
}
"""Key -> identity and namespaces; `author` has the address that the forge commits with."""


@dataclass
class Ground:
    """One release on all branches, tagged for dev."""

    origin: Forge
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    keys: dict[str, Path] = field(default_factory=dict)
    commit: str = ""

    def environment(self, name: str = "qa") -> Environment:
        """One of the project's own environments."""
        return environment_file.load(name)

    @property
    def remote(self) -> GitRemote:
        """The remote, as qa's machine has it."""
        return git_remote.of(self.environment(), self.origin.url)

    @property
    def release(self) -> Release:
        """The release of the commit."""
        return release_of_commit.read(self.fetched(), self.commit, PHASE, by_digest=False)

    def fetched(self) -> GitRemote:
        """The remote, fetched."""
        statements_ref.fetch(self.remote)
        return self.remote

    @contextmanager
    def as_(self, who: str) -> Iterator[None]:
        """Let the commands of the block use one key."""
        with self.monkeypatch.context() as patch:
            patch.setenv("GAIA_SIGNING_KEY", str(self.keys[who]))
            yield

    def commit_release(self, source: str = SERVER, *branches: str, more: str = "") -> str:
        """Commit a release with allowed_signers to the branches."""
        signers = self.origin.work / "environments" / "allowed_signers"
        signers.parent.mkdir(exist_ok=True)
        known = {who: self.keys[who] for who in WHO}
        signers.write_text("# who may sign what\n\n" + more + "".join(
            ssh_keys.line(*WHO[who], key) for who, key in known.items()
        ))  # fmt: skip
        return self.origin.release(source, *(branches or ("develop", "qa", "main")))

    def evidence(self, run: str, *, failing: str | None = None, rehearsal: bool = False, at: str = "dev") -> Path:
        """Write the evidence of a gate as the gate writes it: every criterion passes, but for `failing`."""
        where = self.environment(at)
        where = replace(where, looks={"log": {"window_s": 60}}) if rehearsal else where
        criteria = criteria_file.load(overrides=where.looks)
        promised = criteria.for_stage(where.stage)
        folder = evidence.create(where.reports, where, where.stage, run, promised, AT)
        for criterion in promised:
            for check in criterion.checks:
                good = 30 if check.rule == "all_good" else check.threshold
                _measure(folder, check.measurement, not good if criterion.id == failing else good)
            _measure(folder, judgement.outcome_name(criterion.id), "passed")
        _measure(folder, judgement.FINISHED, value=True)
        judged = judgement.judge(promised, evidence.read_measurements(folder), rehearsal=criteria.rehearsal)
        verdict = replace(
            evidence.read_verdict(folder), state=judgement.overall(judged), release=self.release, criteria=judged
        )
        evidence.seal(folder, verdict, where)
        return folder

    def gate(self, run: str = "20260226T100000Z-3fa9c1", *, at: str = "dev", by: str = "", **how: Any) -> Path:
        """Gate, sign and record; return the evidence."""
        folder = self.evidence(run, at=at, **how)
        with self.as_(by or f"gate-{at}"):
            record.sign_gate(replace(self.environment(at), looks={}), folder, GATE)
        record.publish(self.remote, folder)
        return folder

    def statement(self, by: str, folder: Path, *, release: Release | None = None, **changes: Any) -> Envelope:
        """Record a verdict with changed fields, as whoever has the key could write it; return it."""
        where = self.environment("dev")
        predicate = record.predicate(where, folder, evidence.read_verdict(folder), GATE)
        content = statement.payload(statement.VERDICT, release or self.release, {**predicate, **changes})
        made = signed.make(content, f"gaia-verdict/{changes.get('environment', 'dev')}@v1", self.keys[by])
        statements_ref.append(self.remote, made, "verdict")
        return made

    def passed_in_qa(self, folder: Path) -> None:
        """Record that the release passed in qa, on another machine; `folder` is dev's evidence."""
        self.statement("gate-qa", folder, environment="qa", stage="qa", run="20260227T100000Z-000000")

    def sign(self, who: str, item: str = "maintainer", to: str = "qa") -> str:
        """Let a person sign one item."""
        with self.as_(who):
            return sign_off.sign_off(self.environment(to), PHASE, item, self.origin.url)

    def promote(self, to: str = "qa", by: str = "ada") -> list[str]:
        """Promote the phase."""
        with self.as_(by):
            return promote.promote(PHASE, to, self.origin.url)

    def promoted_to_qa(self) -> Path:
        """Gate in dev, sign, promote; return the evidence."""
        folder = self.gate()
        self.sign("ada")
        self.promote()
        return folder

    def refused(self, to: str = "qa", by: str = "ada") -> str:
        """Return why the promotion was refused; no tag was cut."""
        before = self.origin.tags()
        with pytest.raises(NotPromoted) as raised:
            self.promote(to, by)
        assert self.origin.tags() == before
        return str(raised.value)

    def admit(self, to: str = "qa") -> str | None:
        """What `gaia deploy` checks first: return the commit."""
        return admission.admit(self.environment(to), PHASE, self.origin.url, lambda _: None)

    def not_admitted(self, to: str = "qa") -> str:
        """Return why a deployment was refused."""
        with pytest.raises(NotPromoted) as raised:
            self.admit(to)
        return str(raised.value)

    def examined(self, now: datetime | None = None, to: str = "qa") -> Examination:
        """Examine at a time of one's choice."""
        return examine(Entrance(self.environment(to), PHASE, self.commit, self.fetched(), now or datetime.now(UTC)))


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Make the repository, the keys, and one release tagged for dev."""
    for name, place in (("GAIA_HOME", "home"), ("GAIA_LOG_DIR", "log"), ("GAIA_REPORTS", "reports")):
        monkeypatch.setenv(name, str(folder / place))
    monkeypatch.delenv("GAIA_SIGNING_KEY", raising=False)
    origin = forge(folder / "forge")
    monkeypatch.setattr("gaia_checks.deploy.git.git_command.PROJECT", origin.work)
    ground = Ground(origin, folder, monkeypatch)
    ground.keys = {who: ssh_keys.make(folder / "keys", who) for who in (*WHO, "eve")}
    ground.commit = ground.commit_release()
    origin.tag(f"deploy/dev/{PHASE}")
    return ground


def envelope_of(folder: Path) -> Envelope:
    """The signed statement beside the evidence."""
    return dsse.parse((folder / evidence.STATEMENT).read_text(), "statement.json")


def push_statement(origin: Forge, content: str, *, parents: tuple[str, ...] | None = None) -> str:
    """Append a commit to the chain by hand, as whoever can push could; return it."""
    before = origin.statements()
    blob = origin.git_in("hash-object", "-w", "--stdin", stdin=content)
    tree = origin.git_in("mktree", stdin=f"100644 blob {blob}\tstatement.json\n")
    on = [word for one in (parents if parents is not None else (before,) if before else ()) for word in ("-p", one)]
    commit = origin.git_in("commit-tree", tree, *on, "-m", "by hand")
    origin.git_in("update-ref", statements_ref.REF, commit)
    return commit


def verdict_json(folder: Path) -> dict[str, Any]:
    """The content of verdict.json."""
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


def sha256(path: Path) -> str:
    """The digest of a file."""
    return files.sha256(path)


def items(stage: str) -> tuple[str, ...]:
    """The items before a stage."""
    return tuple(SIGN_OFFS[stage])


def _measure(folder: Path, name: str, value: object) -> None:
    """Write one measurement over a window that is long enough for anything."""
    seen = Measurement(name, value, "", 30, 7200.0, "2026-02-26T10:30:00.000Z", "seen")
    jsonl.append(folder / evidence.MEASUREMENTS, seen.to_json())
