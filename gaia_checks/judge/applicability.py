"""Criteria that do not apply to a target by its nature: `applies_when` names a fact, which the gate measures. Pure.

Only the measured absence of the fact makes a criterion not applicable. An environment file has no key that exempts: of
"tls" none at all; `instances` names addresses, so that more is judged. A criterion whose limits are the environment
file's own is measured without them, too, but then not judged.
"""

from collections.abc import Iterable

from gaia_checks.model import Criterion, Measurement

FACTS = ("tls", "previous_release", "instances")
"""The facts that a criterion's `applies_when` may name.

"tls": the target's address is https; "previous_release": the release before is kept on this machine; "instances": the
environment file names the target's instances.
"""

NO_LIMITS = "the environment file gives no limits for it"


def fact_name(fact: str) -> str:
    """Return the name of the measurement that records a fact of the target."""
    return f"target.{fact}"


def why_not(criterion: Criterion, measurements: Iterable[Measurement]) -> str | None:
    """Return why a criterion does not apply to the target; None when it applies, or when that was not measured."""
    if criterion.applies_when is None:
        return None
    name = fact_name(criterion.applies_when)
    facts = [measurement for measurement in measurements if measurement.name == name]
    absent = [fact for fact in facts if fact.value is False and fact.n > 0]
    return absent[0].how if absent and len(absent) == len(facts) else None


def why_not_judged(criterion: Criterion, measurements: Iterable[Measurement]) -> str | None:
    """Return why a criterion is not judged: it does not apply, or has no limits; None when it is."""
    return why_not(criterion, measurements) or (NO_LIMITS if criterion.lacks_limits else None)
