"""What a release needs to enter an environment, and what of it is missing: for `promote`, `deploy` and `checklist`.

No folder and no name is trusted: the release is computed from the commit, the order of statements comes from
the chain, and who may sign from the branch of the stage that is entered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gaia_checks import files
from gaia_checks.deploy.git.git_remote import BRANCHES, GitRemote
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import EvidenceError, NotPromoted, NotSigned
from gaia_checks.judge import criteria_file
from gaia_checks.model import STAGES, Release, State
from gaia_checks.printable import printable
from gaia_checks.promotion import evidence_at_hand, ledger_check
from gaia_checks.promotion.statements import (
    allowed_signers,
    authors,
    release_of_commit,
    signed,
    statement,
    statements_ref,
)
from gaia_checks.promotion.statements.signed import Signed

SIGN_OFFS: Mapping[str, Mapping[str, str]] = {
    "dev": {},
    "qa": {"maintainer": "Maintainer approval"},
    "prod": {
        "maintainer": "Maintainer approval",
        "qa": "QA sign-off",
        "performance": "Performance approved by ops",
        "incident-plan": "Incident response plan reviewed",
        "ops-trained": "Ops team trained",
        "rollback": "Rollback procedure tested",
    },
}
"""Stage that is entered -> item -> what a person confirms by signing it."""

_SKEW = timedelta(minutes=5)  # between the clocks of two machines


@dataclass(frozen=True, slots=True)
class Entrance:
    """A release that is to enter an environment."""

    target: Environment
    phase: str
    commit: str
    remote: GitRemote  # fetched
    now: datetime

    @property
    def source(self) -> Environment:
        """The environment of the stage before."""
        return source_of(self.target)


def source_of(target: Environment) -> Environment:
    """Return the environment that a release comes from: named as the stage before, beside the target's file."""
    before = STAGES[STAGES.index(target.stage) - 1]
    beside = target.path.with_name(f"{before}.toml")
    return environment_file.load(str(beside) if beside.exists() else before)


@dataclass(slots=True)
class Examination:
    """What was found."""

    release: Release | None = None
    allowed: str = ""
    verdict: Signed | None = None  # the one that decides
    sign_offs: dict[str, Signed] = field(default_factory=dict)
    force: Signed | None = None
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was relied on, and what was not counted

    @property
    def lacks(self) -> list[str]:
        """What keeps the release out: nothing where it is forced."""
        return [] if self.force else self.missing

    @property
    def faults(self) -> list[str]:
        """What is missing beside sign-offs."""
        return [one for one in self.missing if ": not signed" not in one]


def examine(entrance: Entrance) -> Examination:
    """Check everything that a release needs; never stops at the first fault."""
    found = Examination()
    try:
        found.allowed = allowed_signers.read(entrance.remote, entrance.target)
        found.release = release_of_commit.read(
            entrance.remote, entrance.commit, entrance.phase, by_digest=bool(entrance.target.server.artifact)
        )
    except NotPromoted as error:
        found.missing.append(str(error))
        return found
    statements = list(_counted(entrance, found))
    found.missing += [*_off_branch(entrance), *_verdict(entrance, found, statements)]
    found.missing += [*_sign_offs(entrance, found, statements), *_ledgers(entrance)]
    found.force = _force(entrance, found, statements)
    return found


def _ledgers(entrance: Entrance) -> Iterator[str]:
    return ledger_check.faults((entrance.source, entrance.target), entrance.remote)


def _off_branch(entrance: Entrance) -> Iterator[str]:
    for environment in (entrance.source, entrance.target):
        branch = BRANCHES[environment.stage]
        if not entrance.remote.contains(branch, entrance.commit):
            yield f"branch {branch} does not contain {entrance.commit[:12]}: merge it first"


def _counted(entrance: Entrance, found: Examination) -> Iterator[Signed]:
    """Yield the statements about the release whose signature counts; name the others."""
    assert found.release is not None  # noqa: S101 - for the type checker: examine returned else
    entries = statements_ref.read(entrance.remote)
    for entry, one in signed.about(entries, entrance.commit, found.release.sha256):
        if one.environment not in (entrance.source.name, entrance.target.name):
            continue
        try:
            yield signed.check(entry, one, found.allowed)
        except NotSigned as error:
            found.notes.append(
                f"statement {entry.position} ({one.kind} {one.environment}) does not count: {printable(error)}"
            )


def _verdict(entrance: Entrance, found: Examination, statements: list[Signed]) -> Iterator[str]:
    """Find the newest verdict of the stage before, and yield why it does not let the release in."""
    source = entrance.source
    verdicts = [
        one
        for one in statements
        if one.statement.kind == statement.VERDICT and one.statement.environment == source.name
        if not (one.statement.predicate["rehearsal"] and one.statement.predicate["state"] == State.PASS)
    ]
    if not verdicts:
        ignored = f" ({'; '.join(found.notes)})" if found.notes else ""
        yield f"no signed verdict of {source.name} on {entrance.commit[:12]} is recorded{ignored}: gate it there first"
        return
    wanted = (entrance.phase, entrance.commit)  # of the same executable elsewhere, only what is no pass counts
    of_this = [
        one
        for one in verdicts
        if (one.statement.release.phase, one.statement.release.commit) == wanted
        or one.statement.predicate["state"] != State.PASS
    ]
    found.verdict = newest = (of_this or verdicts)[-1]
    yield from _not_passing(newest)
    for one in verdicts[:-1]:
        if one.statement.at > newest.statement.at and one.statement.predicate["state"] != State.PASS:
            yield f"run {one.statement.predicate['run']} is later and resulted in {one.statement.predicate['state']}"
    yield from _not_comparable(entrance, found, newest)
    yield from _wrong_age(entrance, newest)
    try:
        found.notes.append(evidence_at_hand.compare(source, newest.statement))
    except EvidenceError as error:
        yield str(error)


def _not_passing(newest: Signed) -> Iterator[str]:
    predicate = newest.statement.predicate
    if predicate["state"] != State.PASS or predicate["rehearsal"]:
        kind = "rehearsal" if predicate["rehearsal"] else "gate"
        which = f"the newest {kind} (run {predicate['run']}, statement {newest.position})"
        yield f"{which} resulted in {predicate['state']}"
    if predicate["gate"].get("dirty"):
        yield f"run {predicate['run']} was measured by a modified gaia-checks: gate with a clean checkout"
    if foreign := predicate["gate"].get("foreign_plugins"):
        yield f"run {predicate['run']} was measured with foreign pytest plugins: {printable(foreign)}"


def _not_comparable(entrance: Entrance, found: Examination, newest: Signed) -> Iterator[str]:
    predicate, gated, expected = newest.statement.predicate, newest.statement.release, found.release
    assert expected is not None  # noqa: S101 - for the type checker
    run = f"run {predicate['run']}"
    if (gated.phase, gated.commit) != (expected.phase, expected.commit):
        yield f"{run} gated {gated.phase} at {str(gated.commit)[:12]}, not {expected.phase} at {entrance.commit[:12]}"
    if gated.sha256 != expected.sha256:
        yield f"{run} gated executable {gated.sha256[:12]}; the commit's is {expected.sha256[:12]}"
    if list(gated.migrations.items()) != list(expected.migrations.items()):
        yield f"{run} gated other migrations than the commit's"
    if STAGES.index(predicate["stage"]) < STAGES.index(entrance.source.stage):
        yield f"{run} judged stage {predicate['stage']}, not {entrance.source.stage}"
    if predicate["criteria"].get("sha256") != files.sha256(criteria_file.PATH):
        yield f"{run} was judged by other criteria than those installed here: gate again with this gaia-checks"
    own = entrance.source.criteria
    if predicate["criteria"].get("own_sha256") != (own and files.sha256(own)):
        yield f"{run} was judged by other criteria of your own than {own or 'none'}: gate it again with these"


def _wrong_age(entrance: Entrance, one: Signed) -> Iterator[str]:
    age = entrance.now - one.statement.at
    limit = timedelta(seconds=entrance.target.valid_for_s)
    what = f"the {one.statement.kind} of {one.by} (statement {one.position})"
    if age > limit:
        yield f"{what} is {age.total_seconds() / 3600:.0f} h old, valid for {limit.total_seconds() / 3600:.0f} h"
    if age < -_SKEW:
        yield f"{what} is from the future ({one.statement.at:%Y-%m-%d %H:%M} UTC): compare the clocks of both machines"


def _sign_offs(entrance: Entrance, found: Examination, statements: list[Signed]) -> Iterator[str]:
    """Find who signed each item for the deciding verdict, and yield what is not signed."""
    environment = entrance.target.name
    wrong: dict[str, str] = {}
    people = authors.of(entrance.remote, entrance.commit)
    for one in statements:
        if one.statement.kind != statement.SIGN_OFF or one.statement.environment != environment:
            continue
        item = one.statement.predicate["item"]
        why = _does_not_count(one, found, people) or next(_wrong_age(entrance, one), None)
        if why:
            wrong[item] = f" ({why})"
        else:
            found.sign_offs[item] = one
    for item, claim in SIGN_OFFS[entrance.target.stage].items():
        if item not in found.sign_offs:
            command = f"gaia sign-off {environment} {entrance.phase} --item {item}"
            yield f"{claim}: not signed{wrong.get(item, '')}: {command}"


def _does_not_count(one: Signed, found: Examination, people: frozenset[str]) -> str | None:
    if found.verdict is None or one.statement.predicate["approves"] != found.verdict.statement.digest:
        return f"{one.by} signed for another verdict"
    if one.statement.release != found.release:
        return f"{one.by} signed for another release"
    if one.by.casefold() in people and not one.own:
        return f"{one.by} is an author of the commit"
    return None


def _force(entrance: Entrance, found: Examination, statements: list[Signed]) -> Signed | None:
    """Return the newest force that is younger than every verdict, None without one."""
    forces = [
        one
        for one in statements
        if one.statement.kind == statement.FORCE and one.statement.environment == entrance.target.name
        if one.statement.release == found.release and not list(_wrong_age(entrance, one))
    ]
    latest = max((one.position for one in statements if one.statement.kind == statement.VERDICT), default=0)
    return forces[-1] if forces and forces[-1].position > latest else None
