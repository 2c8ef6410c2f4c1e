"""Every environment on one screen: what is in service, what its gate found, who let it in.

Reads this machine's records and the git remotes; no server is contacted. What cannot be read becomes a remark of its
environment and hides nothing else.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.git.tag import WORKTREE, Tag
from gaia_checks.deploy.reporting import history, status
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, EnvironmentFileError, GaiaError, NotPromoted, NotSigned
from gaia_checks.model import STAGES, State, timestamp
from gaia_checks.printable import printable
from gaia_checks.promotion.environment_row import ELSEWHERE, EnvironmentRow, Judged
from gaia_checks.promotion.examination import SIGN_OFFS, Entrance, Examination, examine, source_of
from gaia_checks.promotion.statements import allowed_signers, deployment_tag, signed, statement, statements_ref
from gaia_checks.promotion.statements.signed import Signed
from gaia_checks.report import evidence

_DEPLOYMENTS = 5  # that a row keeps


def overview(url: str | None = None) -> list[EnvironmentRow]:
    """Return a row for every environment file, in the order of the stages. Raises nothing that one of them causes."""
    known: list[Environment] = []
    unreadable: list[EnvironmentRow] = []
    for name in environment_file.environment_names():
        try:
            known.append(environment_file.load(name))
        except EnvironmentFileError as error:
            unreadable.append(EnvironmentRow(name, remarks=[printable(str(error))]))
    known.sort(key=lambda one: STAGES.index(one.stage))
    read = _Sources(known, url)
    return [*(read.row(one) for one in known), *unreadable]


@dataclass(frozen=True, slots=True)
class _Source:
    """An environment's remote, fetched or as last fetched, and what there is to remark about it."""

    remote: GitRemote | None
    remark: str | None = None


class _Sources:
    """All environments with their remotes; each remote is fetched once, all at the same time."""

    def __init__(self, known: Sequence[Environment], url: str | None) -> None:
        by_name = sorted(known, key=lambda one: one.name == one.stage)  # of two of a stage, the one named so wins
        self._following = {source.name: one for one in by_name if one.promoted and (source := _source(one))}
        remotes = {one.name: _remote(one, url) for one in known}
        distinct = {found.remote for found in remotes.values() if found.remote}
        with ThreadPoolExecutor(max(1, len(distinct))) as threads:
            fetched = dict(zip(distinct, threads.map(_fetch, distinct), strict=True))
        self._of = {name: fetched[found.remote] if found.remote else found for name, found in remotes.items()}

    def row(self, environment: Environment) -> EnvironmentRow:
        """Read one environment; each part that fails leaves a remark."""
        source, following = self._of[environment.name], self._following.get(environment.name)
        row = EnvironmentRow(environment.name, environment.stage, following=following.name if following else None)
        remarks = [source.remark] if source.remark else []
        for part in (_in_service, _let_in, _judged, _deployed):
            try:
                part(row, environment, source.remote, following)
            except (GaiaError, OSError) as error:
                remarks.append(str(error))
        row.remarks = list(dict.fromkeys(printable(environment.redact(one)) for one in remarks))
        return row


def _source(environment: Environment) -> Environment | None:
    """Return the environment of the stage before, None where that cannot be read."""
    try:
        return source_of(environment)
    except EnvironmentFileError:
        return None


def _remote(environment: Environment, url: str | None) -> _Source:
    try:
        return _Source(git_remote.of(environment, url))
    except ConfigurationError as error:
        by_tag = environment.database != "embedded" and environment.base_url is None
        return _Source(None, str(error) if by_tag else None)


def _fetch(remote: GitRemote) -> _Source:
    try:
        statements_ref.fetch(remote)
    except (GaiaError, OSError) as error:
        known = remote if (remote.mirror / "HEAD").exists() else None
        return _Source(known, f"remote not reached, shown as last fetched: {error}")
    return _Source(remote)


def _in_service(row: EnvironmentRow, environment: Environment, remote: GitRemote | None, _: Environment | None) -> None:
    """What runs here and since when; what the newest tag requests."""
    found = status.status(environment)
    served = {name.rpartition("-")[0] for name in deployment_ledger.served(environment)}
    row.state = found.state if served or environment.database == "embedded" else ELSEWHERE
    if found.release and found.release_dir:
        row.phase, row.commit = found.release.phase, found.release.commit
        row.since = deployment_ledger.in_service_since(environment, found.release_dir.name)
    newest = _newest_tag(environment, remote)
    if newest and found.release is None:
        row.phase, row.commit = newest
    elif newest and newest != (row.phase, row.commit) and (newest[0] == row.phase or newest[0] not in served):
        row.waiting = newest[0]


def _newest_tag(environment: Environment, remote: GitRemote | None) -> tuple[str, str] | None:
    """Return phase and commit of the environment's newest tag, as last fetched."""
    prefix = str(Tag(environment.name, ""))
    tags = remote.tags() if remote else {}
    own = [(name.removeprefix(prefix), commit) for name, commit in tags.items() if commit and name.startswith(prefix)]
    return own[-1] if own else None


def _let_in(row: EnvironmentRow, environment: Environment, remote: GitRemote | None, _: Environment | None) -> None:
    """Who let the release in, and whether that would let it in now."""
    if row.phase in (None, WORKTREE) or row.commit is None:
        return
    if not environment.promoted:
        row.promotion, row.promoted_by = "tag", f"stage {environment.stage} is entered by a tag alone"
    elif remote:
        found = _examined(row, environment, remote)
        tag, lacks = str(Tag(environment.name, row.phase or "")), list(found.lacks)
        try:
            by = deployment_tag.signer(remote, tag, row.commit, found.allowed)
        except NotPromoted as error:
            by, lacks = "nobody who may", [str(error), *lacks]
        advisory = environment.promotion == "advisory"
        usual = "forced" if found.force else "signed"
        row.promotion = ("advisory" if advisory else "refused") if lacks else usual
        row.promoted_by, row.lacks = printable(_signatures(by, found)), [printable(one) for one in lacks]


def _signatures(by: str, found: Examination) -> str:
    if found.force:
        return f"forced by {found.force.by}: {found.force.statement.predicate['why']}; tag signed by {by}"
    people = ", ".join(f"{item} by {one.by}" for item, one in found.sign_offs.items())
    return f"tag signed by {by}; signed off: {people or 'nothing'}"


def _judged(
    row: EnvironmentRow, environment: Environment, remote: GitRemote | None, following: Environment | None
) -> None:
    """The newest verdict about the release, and what it still needs for the next stage."""
    one = _signed_verdict(row, remote, following or environment) if remote and row.commit else None
    if one is None or remote is None:
        row.verdict = _unsigned_verdict(row, environment)
        return
    predicate = one.statement.predicate
    why = until = None
    if following:
        found = _examined(row, following, remote)
        why = printable("; ".join(found.faults)) or None
        until = timestamp(one.statement.at.astimezone(UTC) + timedelta(seconds=following.valid_for_s))
        row.unsigned = [item for item in SIGN_OFFS[following.stage] if item not in found.sign_offs]
        row.entered = str(Tag(following.name, row.phase or "")) in remote.tags()
    row.verdict = Judged(
        predicate["state"], predicate["run"], predicate["rehearsal"], by=printable(one.by), until=until, why=why,
        started_at=predicate["started_at"], report=_report(environment, predicate["run"]),
    )  # fmt: skip


def _signed_verdict(row: EnvironmentRow, remote: GitRemote, signers_of: Environment) -> Signed | None:
    """Return the newest verdict whose signature counts; a rehearsal that passed decides nothing."""
    allowed = allowed_signers.read(remote, signers_of)
    for entry, about in reversed(list(signed.about(statements_ref.read(remote), row.commit or "", ""))):
        if (about.kind, about.environment) != (statement.VERDICT, row.environment):
            continue
        if about.predicate["rehearsal"] and about.predicate["state"] == State.PASS:
            continue
        try:
            return signed.check(entry, about, allowed)
        except NotSigned:
            continue
    return None


def _unsigned_verdict(row: EnvironmentRow, environment: Environment) -> Judged | None:
    """Return what the newest evidence on this machine says about the release, None when it is about another."""
    folder: Path = environment.reports / environment.name / "latest"
    if not folder.exists():
        return None
    found = evidence.read_verdict(folder)
    gated = (found.release.phase, found.release.commit) if found.release else (None, None)
    if gated != (row.phase, row.commit):
        return None
    why = "no signature of a gate on it counts" if row.following else None
    report = _report(environment, found.run)
    return Judged(found.state, found.run, found.rehearsal, why=why, started_at=found.started_at, report=report)


def _report(environment: Environment, run: str) -> str | None:
    """Return the gate's report, else its verdict, below the reports folder; None where neither is here."""
    files = (f"{environment.name}/{run}/{name}" for name in (evidence.REPORT, evidence.VERDICT))
    return next((name for name in files if (environment.reports / name).is_file()), None)


def _deployed(row: EnvironmentRow, environment: Environment, _: GitRemote | None, __: Environment | None) -> None:
    """The last deployments and rollbacks on this machine."""
    entries = history.entries(jsonl.read(paths.of(environment).ledger), environment.name)
    row.deployments = [one for one in entries if one.what in ("deploy", "rollback")][: -_DEPLOYMENTS - 1 : -1]


def _examined(row: EnvironmentRow, target: Environment, remote: GitRemote) -> Examination:
    return examine(Entrance(target, row.phase or "", row.commit or "", remote, datetime.now(UTC)))
