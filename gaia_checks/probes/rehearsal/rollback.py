"""Whether one can go back: to the previous release on what the current one has stored, and to the schema before it."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from gaia_checks.errors import DeployError, GaiaError, MigrationError
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import process
from gaia_checks.probes.rehearsal.copy_protocol import Copy
from gaia_checks.probes.rehearsal.counted_rules import Counting, Rule, counting, wrong_split, wrong_usage
from gaia_checks.target.samples import Watch

_KINDS = ("daily_quota", "requests_per_hour")
_LIMIT = 100
_EACH_TIME = 3  # requests under each rule, whenever another release serves

_RESTORED = {"previous_restored": "bool", "seconds": "s"}
_SCHEMA = {"schema_equal": "bool"}


def probe(_target: Target, *, copy: AbstractContextManager[Copy]) -> list[Measurement]:
    """Measure `rollback.previous_restored`, `rollback.seconds` and `rollback.schema_equal`, all on a copy.

    What could not be looked at has no samples, and says why.
    """
    watch = Watch()
    try:
        with copy as place:
            return [*_restored(place), _schema(place)]
    except GaiaError as error:
        return _unseen(watch, _RESTORED | _SCHEMA, error)


@dataclass
class _Story:
    """What a way there and back has shown so far."""

    wrong: list[str] = field(default_factory=list)
    doing: str = ""
    seconds: float | None = None  # that the rollback took

    def note(self, wrong: str | None) -> None:
        """Remember what was wrong, None when nothing was."""
        if wrong:
            self.wrong.append(f"{self.doing}: {wrong}")


def _restored(place: Copy) -> list[Measurement]:
    watch, story = Watch(), _Story()
    try:
        before, what = place.before()
    except GaiaError as error:
        return _unseen(watch, _RESTORED, error)
    try:
        _there_and_back(place, before, story)
    except GaiaError as error:
        # the copy is ready, so what is not deployed there does not come up; and what was seen before stays wrong
        if not isinstance(error, DeployError) and not story.wrong:
            return _unseen(watch, _RESTORED, error)
        story.note(str(error))
    how = f"{what}, then the current one deployed over it; gone back and forward again; rules and counts kept"
    restored = watch.saw("rollback.previous_restored", not story.wrong, "bool", 1, how, story.wrong)
    took = watch.saw("rollback.seconds", story.seconds or 0, "s", int(story.seconds is not None), how, story.wrong)
    return [restored, took]


def _there_and_back(place: Copy, before: Path, story: _Story) -> None:
    """Let the release before serve, then the current one, the one before and the current one. Raises GaiaError."""
    story.doing = "deploying the release before"
    place.deploy(before)
    old = place.target
    with counting(old) as counts:
        counts.known()
        rules = [counts.rule(f"rollback-{kind}", kind, _LIMIT) for kind in _KINDS]
        counts.settle()
        _count(counts, rules, story, used=0)
        story.doing = "deploying the current release over it"
        place.deploy(place.current)
        new = place.target
        _count(counts, rules, story, used=_EACH_TIME)
        story.doing = "going back"
        began = time.monotonic()
        place.rollback()
        story.seconds = round(time.monotonic() - began, 3)
        story.note(_wrong_identity(place.target, old))
        _count(counts, rules, story, used=2 * _EACH_TIME)
        story.doing = "going forward again"
        place.deploy(place.current)
        story.note(_wrong_identity(place.target, new))
        _count(counts, rules, story, used=3 * _EACH_TIME)


def _count(counts: Counting, rules: Sequence[Rule], story: _Story, *, used: int) -> None:
    """See that the rules and what they have counted are there, and let them count more."""
    for rule in rules:
        story.note(counts.lost(rule))
        story.note(wrong_usage(rule, counts.usage(rule), used=used))
        story.note(wrong_split(rule, counts.send(rule, _EACH_TIME), admitted=_EACH_TIME))


def _wrong_identity(now: Target, expected: Target) -> str | None:
    """Say what else serves than the release that did when it was `expected`, None when it is that one."""
    if now.process is None or expected.process is None or now.process.artifact != expected.process.artifact:
        return (
            f"{now.process and now.process.artifact} serves, should be {expected.process and expected.process.artifact}"
        )
    return next((note for seen in process.probe(now) for note in seen.notes), None)


def _schema(place: Copy) -> Measurement:
    watch = Watch()
    try:
        wrong = place.irreversible()
    except MigrationError as error:
        wrong = (str(error),)
    except GaiaError as error:
        return _unseen(watch, _SCHEMA, error)[0]
    how = (
        "on an empty database: migrations up, down by the rollback files (nothing is left), up (the same schema again)"
    )
    return watch.saw("rollback.schema_equal", not wrong, "bool", 1, how, wrong)


def _unseen(watch: Watch, names: Mapping[str, str], error: GaiaError) -> list[Measurement]:
    how = "on a rehearsal copy"
    return [watch.saw(f"rollback.{name}", 0, unit, 0, how, (str(error),)) for name, unit in names.items()]
