"""Whether rollback works: to the previous release with the current release's data, and to the previous schema."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from gaia_checks.errors import DeployError, GaiaError, MigrationError
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import process
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, without_samples
from gaia_checks.probes.rehearsal.copy_protocol import CopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, Counting, counting, wrong_split, wrong_usage
from gaia_checks.target.samples import Watch

_KINDS = ("daily_quota", "requests_per_hour")
_LIMIT = 100
_EACH_TIME = 3  # requests under each rule after every change of release

_RESTORED = {"rollback.previous_restored": "bool", "rollback.seconds": "s"}
_SCHEMA = {"rollback.schema_equal": "bool"}


def probe(_target: Target, *, copy: AbstractContextManager[CopyProtocol]) -> list[Measurement]:
    """Measure `rollback.previous_restored`, `rollback.seconds` and `rollback.schema_equal`, all on a rehearsal copy.

    An unobservable measurement has no samples, and a note with the reason.
    """
    return measured_on(copy, _RESTORED | _SCHEMA, lambda place: [*_restored(place), _schema(place)])


@dataclass
class _Progress:
    """The faults and the duration so far."""

    wrong: list[str] = field(default_factory=list)
    doing: str = ""
    seconds: float | None = None  # of the rollback

    def note(self, wrong: str | None) -> None:
        """Record a fault; None records nothing."""
        if wrong:
            self.wrong.append(f"{self.doing}: {wrong}")


def _restored(place: CopyProtocol) -> list[Measurement]:
    watch, progress = Watch(), _Progress()
    try:
        before, what = place.before()
    except GaiaError as error:
        return without_samples(_RESTORED, str(error))
    try:
        _roll_back_and_forward(place, before, progress)
    except GaiaError as error:
        # the rehearsal copy is ready, so a DeployError is the release's fault; faults observed before remain
        if not isinstance(error, DeployError) and not progress.wrong:
            return without_samples(_RESTORED, str(error))
        progress.note(str(error))
    how = f"{what}, then the current one deployed over it; rolled back and deployed again; rules and counts kept"
    restored = watch.measurement("rollback.previous_restored", not progress.wrong, "bool", 1, how, progress.wrong)
    took = watch.measurement(
        "rollback.seconds", progress.seconds or 0, "s", int(progress.seconds is not None), how, progress.wrong
    )
    return [restored, took]


def _roll_back_and_forward(place: CopyProtocol, before: Path, progress: _Progress) -> None:
    """Deploy the previous release, then the current one, roll back, deploy the current one. Raises GaiaError."""
    progress.doing = "deploying the previous release"
    place.deploy(before)
    old = place.target
    with counting(old) as counts:
        counts.known()
        rules = [counts.rule(f"rollback-{kind}", kind, _LIMIT) for kind in _KINDS]
        counts.settle()
        _count(counts, rules, progress, used=0)
        progress.doing = "deploying the current release over it"
        place.deploy(place.current)
        new = place.target
        _count(counts, rules, progress, used=_EACH_TIME)
        progress.doing = "rolling back"
        start = time.monotonic()
        place.rollback()
        progress.seconds = round(time.monotonic() - start, 3)
        progress.note(_wrong_identity(place.target, old))
        _count(counts, rules, progress, used=2 * _EACH_TIME)
        progress.doing = "deploying the current release again"
        place.deploy(place.current)
        progress.note(_wrong_identity(place.target, new))
        _count(counts, rules, progress, used=3 * _EACH_TIME)


def _count(counts: Counting, rules: Sequence[CountedRule], progress: _Progress, *, used: int) -> None:
    """Check that the rules and their counts are kept, and count more requests."""
    for rule in rules:
        progress.note(counts.lost(rule))
        progress.note(wrong_usage(rule, counts.usage(rule), used=used))
        progress.note(wrong_split(rule, counts.send(rule, _EACH_TIME), admitted=_EACH_TIME))


def _wrong_identity(now: Target, expected: Target) -> str | None:
    """Return the fault when another release runs than in `expected`; None for the same one."""
    if now.process is None or expected.process is None or now.process.artifact != expected.process.artifact:
        return (
            f"{now.process and now.process.artifact} serves, should be {expected.process and expected.process.artifact}"
        )
    return next((note for measurement in process.probe(now) for note in measurement.notes), None)


def _schema(place: CopyProtocol) -> Measurement:
    watch = Watch()
    try:
        wrong = place.irreversible()
    except MigrationError as error:
        wrong = (str(error),)
    except GaiaError as error:
        return without_samples(_SCHEMA, str(error))[0]
    how = (
        "on an empty database: migrations up, down by the rollback files (nothing is left), up (the same schema again)"
    )
    return watch.measurement("rollback.schema_equal", not wrong, "bool", 1, how, wrong)
