"""Criteria that do not apply to a target by its nature: `applies_when` names a fact, which the gate measures. Pure.

Only the measured absence of the fact makes a criterion not applicable. An environment file has no key that exempts: of
"tls" none at all; `instances` names addresses, so that more is judged.
"""

from collections.abc import Iterable

from gaia_checks.model import Criterion, Measurement

FACTS = ("tls", "instances")
"""The facts that a criterion's `applies_when` may name: the target's address is https; its instances are named."""


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
