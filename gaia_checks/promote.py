"""May this release go to the next stage? The gate's evidence, judged again, and a named person's sign-off say so.

The ledger only points to evidence. Every file is hashed again, the verdict computed again, and what was gated is held
against the tag's commit and the release that is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaia_checks import environment_file, files
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.git.tag import WORKTREE, Tag, parse
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment_file import Environment
from gaia_checks.errors import ArtifactError, ConfigurationError, EvidenceError, GaiaError, NotPromoted
from gaia_checks.judge import criteria_file
from gaia_checks.model import STAGES, Release, State, Verdict
from gaia_checks.report import evidence


@dataclass(frozen=True, slots=True)
class Promotion:
    """A release on its way from one stage's environment to the next."""

    source: Environment
    target: Environment
    phase: str
    remote: GitRemote

    @property
    def came_by(self) -> Tag:
        """The tag that it was deployed by."""
        return Tag(self.source.name, self.phase)

    @property
    def goes_by(self) -> Tag:
        """The tag that is to be cut."""
        return Tag(self.target.name, self.phase)


def promote(phase: str, to: str, url: str | None = None) -> str:
    """Cut and push the tag of the next stage, on the same commit; return what was done, in one line.

    Raises NotPromoted naming everything that is missing, ConfigurationError for what makes no sense, RemoteAway.
    """
    promotion = _promotion(phase, to, url)
    promotion.remote.fetch()
    tags = promotion.remote.tags()
    commit = tags.get(str(promotion.came_by))
    if commit is None:
        raise NotPromoted(f"{phase}: there is no tag {promotion.came_by} on a commit; deploy and gate it first")
    there = tags.get(str(promotion.goes_by))
    if there == commit:
        return f"{promotion.goes_by} is on {commit[:12]} already"
    if str(promotion.goes_by) in tags:
        raise NotPromoted(f"{promotion.goes_by} is on another commit ({(there or 'none')[:12]}); choose another phase")
    folder = newest_evidence(promotion.source, phase)
    missing = [*_off_branch(promotion, commit), *_lacking(promotion, commit, folder)]
    if missing or folder is None:
        raise NotPromoted(f"{phase} does not go to {to}: {'; '.join(missing)}")
    return _cut(promotion, commit, folder)


def record_gate(environment: Environment, phase: str, commit: str, folder: Path) -> State:
    """Let the ledger point to the evidence of the gate of a tag; return what it says.

    Raises EvidenceError without a verdict, and where another release was gated than the tag's.
    """
    verdict = evidence.read_verdict(folder)
    if verdict.release and (wrong := _other_tag(verdict.release, phase, commit)):
        raise EvidenceError(f"{folder}: {wrong}: deploy and gate again")
    _point(environment, phase, "gate", verdict, folder, rehearsal=verdict.rehearsal)
    return verdict.state


def sign_off(folder: Path, name: str) -> str:
    """Record that the person `name` approves of the evidence in `folder`; return that in one line.

    Raises NotPromoted for evidence that can promote nothing, EvidenceError for what was changed.
    """
    if not name.strip():
        raise ConfigurationError('sign-off: give the name of a person: --by "Ada Lovelace"')
    verdict = evidence.recompute(folder)
    wrong = [*_not_passing(verdict)]
    if verdict.release and verdict.release.phase == WORKTREE:
        wrong.append("the working tree was gated, which no tag names: deploy a tag, gate that")
    if wrong or verdict.release is None:
        raise NotPromoted(f"{folder}: nothing to sign off: {'; '.join(wrong) or 'it does not say what was gated'}")
    environment = environment_file.load(verdict.environment)
    _point(environment, verdict.release.phase, "sign-off", verdict, folder, name=name.strip())
    return f"{verdict.environment}: {verdict.release.phase}, run {verdict.run}: signed off by {name.strip()}"


def newest_evidence(environment: Environment, phase: str) -> Path | None:
    """Return the newest evidence that the ledger points to for a phase: a sign-off does not hide a later gate."""
    folders = [Path(record["evidence"]) for record in _pointers(environment, phase)]
    return max(folders, key=lambda folder: folder.name, default=None)


def _promotion(phase: str, to: str, url: str | None) -> Promotion:
    if to not in STAGES[1:]:
        raise ConfigurationError(f"promote: --to {to}: not one of {', '.join(STAGES[1:])}")
    parse(str(Tag(to, phase)))
    source = environment_file.load(STAGES[STAGES.index(to) - 1])
    target = environment_file.load(to)
    return Promotion(source, target, phase, git_remote.of(source, url or source.remote or target.remote))


def _off_branch(promotion: Promotion, commit: str) -> Iterator[str]:
    """A tag must be on its stage's branch: the old one and the one to be cut."""
    for tag, environment in ((promotion.came_by, promotion.source), (promotion.goes_by, promotion.target)):
        branch = git_remote.BRANCHES[environment.stage]
        if not promotion.remote.contains(branch, commit):
            yield f"branch {branch} does not contain {commit[:12]}, so {tag} is outside of it: merge it first"


def _lacking(promotion: Promotion, commit: str, folder: Path | None) -> Iterator[str]:
    source, phase = promotion.source, promotion.phase
    if folder is None:
        yield f"no gate of {promotion.came_by} is recorded: run pytest --env={source.name}, then gaia sign-off"
        return
    try:
        written, verdict = evidence.read_verdict(folder), evidence.recompute(folder)
    except EvidenceError as error:
        yield str(error)
        return
    digest = files.sha256(folder / evidence.VERDICT)
    pointers = [record for record in _pointers(source, phase) if Path(record["evidence"]) == folder]
    if any(record["verdict_sha256"] != digest for record in pointers):
        yield f"{folder / evidence.VERDICT}: not the one that the ledger points to: run the gate again"
    if (written.state, written.stage, written.rehearsal) != (verdict.state, verdict.stage, verdict.rehearsal):
        yield f"{folder}: its files say {verdict.state}, its verdict.json {written.state}: run the gate again"
    yield from _not_passing(verdict)
    if verdict.environment != source.name or STAGES.index(verdict.stage) < STAGES.index(source.stage):
        yield f"{folder}: judged stage {verdict.stage} of {verdict.environment}, not {source.stage} of {source.name}"
    if files.sha256(folder / "criteria.toml") != files.sha256(criteria_file.PATH):
        yield f"{folder}: judged by other criteria than today's: run the gate again"
    yield from _another_release(source, phase, commit, verdict.release)
    if not _signed(pointers, folder):
        yield f"nobody has signed it off: gaia sign-off {folder} --by NAME"


def _not_passing(verdict: Verdict) -> Iterator[str]:
    if verdict.state is not State.PASS:
        fine = (State.PASS, State.NOT_APPLICABLE)
        not_passed = ", ".join(criterion.id for criterion in verdict.criteria if criterion.state not in fine)
        yield f"the verdict of run {verdict.run} is {verdict.state} ({not_passed})"
    if verdict.rehearsal:
        yield f"run {verdict.run} is a rehearsal: gate with criteria.toml's own windows, rates and counts"


def _another_release(source: Environment, phase: str, commit: str, gated: Release | None) -> Iterator[str]:
    """What was gated must be what the tag's commit was deployed as, file by file."""
    if gated is None:
        yield "the evidence does not say which release was gated"
        return
    if wrong := _other_tag(gated, phase, commit):
        yield wrong
        return
    kept = [folder for folder in sorted(paths.of(source).releases.glob(f"{phase}-*")) if _describes(folder, gated)]
    if not kept:
        yield (
            f"executable {gated.sha256[:12]} with the migrations that were gated is none of the releases that "
            f"{source.name} keeps: deploy and gate again"
        )
    for folder in kept:
        yield from _changed(folder, gated)


def _other_tag(gated: Release, phase: str, commit: str) -> str | None:
    """Return what was gated in place of the tag's commit; None where that was gated."""
    if (gated.phase, gated.commit) == (phase, commit):
        return None
    return f"{gated.phase} at {(gated.commit or 'no commit')[:12]} was gated, the tag is at {commit[:12]}"


def _describes(folder: Path, gated: Release) -> bool:
    try:
        return release_folder.describe(folder) == gated
    except ArtifactError:
        return False


def _changed(folder: Path, gated: Release) -> Iterator[str]:
    """A release's files must be what its description says."""
    try:
        release_folder.read(folder)
        found = {one.version: one.checksum for one in migration_files.read(folder / "migrations")}
    except (GaiaError, OSError) as error:
        yield str(error)
    else:
        if found != gated.migrations:
            yield f"{folder}: its migrations are not those that were released: deploy and gate again"


def _cut(promotion: Promotion, commit: str, folder: Path) -> str:
    name = _signed(_pointers(promotion.source, promotion.phase), folder)[-1]
    digest = files.sha256(folder / evidence.VERDICT)
    why = f"{promotion.came_by} passed its gate\n\nRun: {folder.name}\nVerdict: {digest}\nSigned off by: {name}"
    promotion.remote.cut(str(promotion.goes_by), commit, why)
    ledger = paths.of(promotion.target).ledger
    deployment_ledger.note(
        ledger, promotion.target.name, promotion.phase, "promote", "cut",
        commit=commit, evidence=str(folder), verdict_sha256=digest, name=name,
    )  # fmt: skip
    return f"{promotion.goes_by} cut on {commit[:12]} and pushed: gated in run {folder.name}, signed off by {name}"


def _point(environment: Environment, phase: str, step: str, verdict: Verdict, folder: Path, **facts: Any) -> None:
    whole = folder.resolve()
    digest = files.sha256(whole / evidence.VERDICT)
    deployment_ledger.note(
        paths.of(environment).ledger, environment.name, phase, step, verdict.state,
        evidence=str(whole), verdict_sha256=digest, commit=verdict.release and verdict.release.commit, **facts,
    )  # fmt: skip


def _pointers(environment: Environment, phase: str) -> list[dict[str, Any]]:
    ledger = paths.of(environment).ledger
    return [
        one
        for one in deployment_ledger.about_phase(ledger, environment.name, phase, "gate", "sign-off")
        if "evidence" in one
    ]


def _signed(pointers: list[dict[str, Any]], folder: Path) -> list[str]:
    """Return who signed `folder` off."""
    return [
        record["name"] for record in pointers if record["step"] == "sign-off" and Path(record["evidence"]) == folder
    ]
