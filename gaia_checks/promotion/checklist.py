"""The checklist of an environment: what a criterion has proven, who has signed what and when, and what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass

from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.git.tag import Tag
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import NotPromoted
from gaia_checks.judge import criteria_file
from gaia_checks.model import State
from gaia_checks.printable import printable
from gaia_checks.promotion.examination import SIGN_OFFS, Entrance, Examination, examine
from gaia_checks.promotion.promote import entrance
from gaia_checks.promotion.statements import release_of_commit, statements_ref


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist."""

    item: str
    state: str  # "proven", "not applicable", "signed", "missing" or "forced"
    by: str | None = None
    at: str | None = None


def checklist(target: Environment, phase: str, url: str | None = None) -> list[Item]:
    """Return the checklist of `target`. Raises as `promote.entrance` does."""
    if not target.promoted:
        return list(_before_dev(target, phase, url))
    wanted = entrance(target, phase, url)
    found = examine(wanted)
    return [*criteria_items(wanted, found), *_people(wanted, found), *_missing(found)]


def _before_dev(target: Environment, phase: str, url: str | None) -> Iterator[Item]:
    """The first stage is entered by a tag: its commit must contain a release, and be on the stage's branch."""
    remote, tag = git_remote.of(target, url), str(Tag(target.name, phase))
    statements_ref.fetch(remote)
    commit = remote.tags().get(tag)
    if commit is None:
        yield Item(f"Tag {tag}", "missing", f"git tag {tag} -m ... && git push origin {tag}")
        return
    yield Item(f"Tag {tag}", "proven", commit[:12])
    try:
        release = release_of_commit.read(remote, commit, phase, by_digest=bool(target.server.artifact))
        yield Item("Binary compiled, migrations created", "proven", f"executable {release.sha256[:12]}")
    except NotPromoted as error:
        yield Item("Binary compiled, migrations created", "missing", str(error))
    branch = git_remote.BRANCHES[target.stage]
    on_branch = remote.contains(branch, commit)
    yield Item(
        f"Merged to {branch}", "proven" if on_branch else "missing", branch if on_branch else f"merge it to {branch}"
    )


def criteria_items(wanted: Entrance, found: Examination) -> Iterator[Item]:
    """Yield what each criterion of the stage before has proven; one that does not apply keeps no release out."""
    states = found.verdict.statement.predicate["criteria"].get("states", {}) if found.verdict else {}
    for criterion in criteria_file.load(own=wanted.source.criteria).for_stage(wanted.source.stage):
        state = states.get(criterion.id)
        if found.verdict and state in (State.PASS, State.NOT_APPLICABLE):
            run = found.verdict.statement.predicate["run"]
            at = f"{found.verdict.statement.at:%Y-%m-%d %H:%M} UTC"
            what = "proven" if state == State.PASS else "not applicable"
            yield Item(criterion.claim, what, f"{criterion.id}, run {run}", at)
        else:
            yield Item(criterion.claim, "missing", f"{criterion.id}: {printable(state or 'not gated')}")


def _people(wanted: Entrance, found: Examination) -> Iterator[Item]:
    for item, claim in SIGN_OFFS[wanted.target.stage].items():
        if one := found.sign_offs.get(item):
            yield Item(claim, "signed", printable(one.by), f"{one.statement.at:%Y-%m-%d %H:%M} UTC")
        else:
            yield Item(claim, "missing", f"gaia sign-off {wanted.target.name} {wanted.phase} --item {item}")


def _missing(found: Examination) -> Iterator[Item]:
    """Yield what else keeps the release out."""
    yield from (Item(one, "missing") for one in found.faults)
    if found.force:
        why = printable(found.force.statement.predicate["why"])
        yield Item(
            f"forced: {why}", "forced", printable(found.force.by), f"{found.force.statement.at:%Y-%m-%d %H:%M} UTC"
        )
