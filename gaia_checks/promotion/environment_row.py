"""One environment of the overview, the lines that people read, and the command that comes next. Pure."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from gaia_checks.deploy.reporting.history import Entry
from gaia_checks.model import STAGES, State, minute

ELSEWHERE = "elsewhere"
"""The state of a server that this machine never had in service."""

Line = tuple[str, str, str]  # what it is about, its state in one word, what was found


@dataclass(frozen=True, slots=True)
class Judged:
    """The newest verdict about the release."""

    state: str
    run: str
    rehearsal: bool
    by: str | None = None  # whose signature counts; None: unsigned evidence on this machine
    until: str | None = None  # how long it may let the release into the next stage, RFC 3339
    why: str | None = None  # what keeps the release out of the next stage beside missing sign-offs
    started_at: str | None = None  # when its gate started, RFC 3339
    report: str | None = None  # its file below the reports folder; None where this machine does not have it


@dataclass(slots=True)
class EnvironmentRow:
    """What is known about one environment; filled part by part, so that what fails hides nothing else."""

    environment: str
    stage: str | None = None  # None: the environment file cannot be read
    state: str = "unknown"  # as `Status.state`, or ELSEWHERE
    phase: str | None = None  # in service here, else what the newest tag requests
    commit: str | None = None
    since: str | None = None  # in service on this machine, RFC 3339
    waiting: str | None = None  # the phase of a newer tag that was never in service here
    verdict: Judged | None = None
    promotion: str | None = None  # "tag", "signed", "forced", "advisory" or "refused"
    promoted_by: str | None = None  # who let it in, and by which signatures
    lacks: list[str] = field(default_factory=list)  # what would keep it out now
    following: str | None = None  # the environment of the next stage
    entered: bool = False  # the next stage's tag of this phase is cut
    unsigned: list[str] = field(default_factory=list)  # items of the next stage's checklist
    deployments: list[Entry] = field(default_factory=list)  # the last deployments and rollbacks here, newest first
    remarks: list[str] = field(default_factory=list)  # what could not be read, and why

    def to_json(self) -> dict[str, Any]:
        """Return every field, and the next command."""
        return {**asdict(self), "next": next_step(self)}


def next_step(row: EnvironmentRow) -> str | None:
    """Return the command that brings the release of an environment on; None when nothing is left to do there."""
    name, phase = row.environment, row.phase
    if row.stage is None:
        return None
    if row.state == "crashed":
        return f"gaia doctor {name}"
    if row.waiting:
        return f"gaia deploy {name} {row.waiting}"
    if phase is None:
        return f"gaia release PHASE --to {name}" if row.stage == STAGES[0] else None
    if row.promotion == "refused" and row.since is None:
        return f"gaia checklist {name} {phase}"
    if row.state in ("stopped", ELSEWHERE) and row.verdict is None:
        return f"gaia deploy {name} {phase}"
    return _onward(row)


def _onward(row: EnvironmentRow) -> str | None:
    """Return what a release in service needs: a verdict, then signatures, then the next tag."""
    verdict, following = row.verdict, row.following
    if verdict is None or verdict.state == State.INCONCLUSIVE or (following and verdict.by is None):
        return f"python -m pytest --env={row.environment}"
    if verdict.state == State.FAIL:
        return f"gaia history {row.environment}"
    if following is None or row.entered:
        return None
    if verdict.why:
        return f"gaia checklist {following} {row.phase}"
    if row.unsigned:
        return f"gaia sign-off {following} {row.phase} --item {row.unsigned[0]}"
    return f"gaia promote {row.phase} --to {following}"


def lines(row: EnvironmentRow) -> Iterator[Line]:
    """Yield what people read."""
    if row.stage:
        yield "release", row.state, _release(row)
    if row.verdict:
        yield "verdict", row.verdict.state, _verdict(row.verdict, row.following)
    elif row.phase:
        yield "verdict", "-", "not gated"
    if row.promotion:
        yield "let in", row.promotion, _let_in(row)
    if command := next_step(row):
        yield "next", "-", command
    for remark in row.remarks:
        yield "remark", "warning", remark


def _release(row: EnvironmentRow) -> str:
    if row.phase is None:
        return "-"
    since = f", since {minute(row.since)}" if row.since else ""
    waiting = f"; newer tag: {row.waiting}" if row.waiting else ""
    return f"{row.phase}, commit {(row.commit or '-')[:12]}{since}{waiting}"


def _verdict(verdict: Judged, following: str | None) -> str:
    kind = "rehearsal" if verdict.rehearsal else "run"
    signer = f"signed by {verdict.by}" if verdict.by else "unsigned"
    if following is None:
        return f"{kind} {verdict.run}, {signer}"
    if verdict.why:
        return f"{kind} {verdict.run}, {signer}; not valid for {following}: {verdict.why}"
    return f"{kind} {verdict.run}, {signer}; valid for {following} until {minute(verdict.until or '')}"


def _let_in(row: EnvironmentRow) -> str:
    """Who let it in, and the first of what would keep it out: `gaia checklist` names all."""
    more = f" (and {len(row.lacks) - 1} more)" if len(row.lacks) > 1 else ""
    return f"{row.promoted_by or '-'}{f'; now lacks: {row.lacks[0]}{more}' if row.lacks else ''}"
