"""What `gaia` alone shows: the path of a release, how far it came on this machine, and the command that comes next.

Reads a few files of this machine, contacts nobody, and starts about as fast as the help.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gaia_checks.deploy.git.tag import WORKTREE
from gaia_checks.deploy.state import deployment_ledger, paths, supervisor_state
from gaia_checks.environment import environment_file, process_variables
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import MARKER, PROJECT, ROOT
from gaia_checks.errors import EvidenceError, GaiaError
from gaia_checks.model import STAGES, State, Verdict, minute, timestamp
from gaia_checks.printable import printable
from gaia_checks.report import document

PATH = """\
path   1 deploy     gaia deploy ENV [PHASE]: completely, or the old one stays
       2 gate       python -m pytest --env=ENV: pass, fail or inconclusive
       3 sign off   gaia sign-off ENV PHASE --item ITEM: what people confirm
       4 promote    gaia promote PHASE --to ENV: cut the next stage's signed tag"""
"""The steps that every release takes."""

ALSO = "also   gaia --help   gaia status --all   gaia doctor ENV"


@dataclass(frozen=True, slots=True)
class ReleaseStanding:
    """How far a release came in one environment, as far as files of this machine say."""

    environment: str
    phase: str | None = None  # in service here, else what the newest gate was about
    newest: str = ""  # when it was deployed or gated, whichever was later, RFC 3339
    running: bool | None = None  # whether the server of the release in service runs; None: none is in service here
    verdict: Verdict | None = None  # of the newest gate, if it was about this release
    report: Path | None = None  # of that gate
    following: str | None = None  # the environment of the next stage
    promoted: bool = False  # the next stage's tag was cut on this machine
    remark: str | None = None  # what could not be read, and why


def lines() -> Iterator[str]:
    """Yield what `gaia` shows."""
    found = sorted(_standings(), key=lambda one: one.newest, reverse=True)
    yield PATH
    for number, one in enumerate(found):
        yield f"{'' if number else 'here':6} {one.environment:6} {_where(one)}"
    if not found:
        yield "here   nothing was deployed or gated yet"
    known = next((one for one in found if one.remark is None), None)
    yield f"next   {next_step(known) if known else first_step()}"
    yield ALSO


def first_step() -> str:
    """Return what to do where nothing was done yet."""
    if PROJECT == ROOT:
        return "make gate   or, to look around first: gaia deploy local"
    return f"gaia doctor {next(iter(environment_file.environment_names()), 'ENV')}"


def next_step(one: ReleaseStanding) -> str:
    """Return the command that brings the release on, and what for. Pure."""
    if one.running is False:
        return f"gaia doctor {one.environment}"
    if one.verdict is None:
        return gate(one.environment)
    if one.verdict.state is not State.PASS:
        return f"open {one.report}"
    if one.phase == WORKTREE:
        return "gaia release PHASE   build it, commit it, and tag it for dev"
    if one.verdict.rehearsal:
        return f"{gate(one.environment)}   with full windows: a rehearsal promotes nothing"
    return _onward(one)


def _onward(one: ReleaseStanding) -> str:
    if one.following is None or one.phase is None:
        return f"nothing: it passed the last gate; after a change: {gate(one.environment)}"
    if one.promoted:
        return f"gaia deploy {one.following} {one.phase}"
    return f"gaia checklist {one.following} {one.phase}   what to sign off before gaia promote"


def gate(name: str) -> str:
    """Return the command that gates an environment."""
    if PROJECT != ROOT:
        return f"python -m pytest -c {MARKER} --env={name}"
    return "make gate" if name == "local" else f"python -m pytest --env={name}"


def _where(one: ReleaseStanding) -> str:
    if one.remark:
        return one.remark
    state = {True: "running", False: "crashed", None: "stopped here"}[one.running]
    gated = f"{one.verdict.state} {minute(one.verdict.started_at)}" if one.verdict else "none finished"
    return f"{printable(one.phase or 'unknown release')}, {state}; gate: {gated}"


def _standings() -> Iterator[ReleaseStanding]:
    """Yield where each environment stands in which this machine did something."""
    for name in environment_file.environment_names():
        try:
            found = _standing(environment_file.load(name))
        except (GaiaError, OSError) as error:
            found = ReleaseStanding(name, remark=printable(process_variables.without_secrets(str(error))))
        if found:
            yield found


def _standing(environment: Environment) -> ReleaseStanding | None:
    here = paths.of(environment)
    record, verdict = supervisor_state.read(here.record), _newest_verdict(environment)
    deployed = Path(record.release).name if record and record.release else None
    if deployed is None and verdict is None:
        return None
    since = (deployed and deployment_ledger.in_service_since(environment, deployed)) or ""
    if verdict and _finished(verdict) < since:  # it is about an earlier release
        verdict = None
    gated = verdict.release.phase if verdict and verdict.release else None
    phase = deployed.rpartition("-")[0] if deployed else gated
    following = _following(environment)
    return ReleaseStanding(
        environment.name,
        phase,
        newest=max(since, _finished(verdict) if verdict else ""),
        running=None if deployed is None else bool(record and record.server and record.server.alive),
        verdict=verdict,
        report=_shown(_report(environment)),
        following=following,
        promoted=bool(following and phase) and _was_promoted(here.ledger, following or "", phase or ""),
    )


def _report(environment: Environment) -> Path:
    report = environment.reports / environment.name / "latest" / "report.html"
    return report if report.exists() else report.with_name("verdict.md")


def _newest_verdict(environment: Environment) -> Verdict | None:
    """Return the verdict of the newest gate, if that gate finished; `report.evidence` itself takes long to import."""
    path = environment.reports / environment.name / "latest" / "verdict.json"
    try:
        verdict, sealed = document.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceError(f"{path}: damaged ({error}); run the gate again") from error
    return None if sealed is None else verdict


def _finished(verdict: Verdict) -> str:
    return timestamp(datetime.fromisoformat(verdict.started_at) + timedelta(seconds=verdict.duration_s))


def _following(environment: Environment) -> str | None:
    """Return the environment of the next stage: a release goes from `dev.toml` to `qa.toml`, as `source_of` has it."""
    later = STAGES[STAGES.index(environment.stage) + 1 :]
    return next(iter(later), None) if environment.name == environment.stage else None


def _was_promoted(ledger: Path, environment: str, phase: str) -> bool:
    """Whether this machine cut the tag."""
    cut = deployment_ledger.about_phase(ledger, environment, phase, "promote")
    return any(line["event"] == "cut" for line in cut)


def _shown(path: Path) -> Path:
    """Return a path relative to the working directory if it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
