"""The first and the last thing a gate does in its target: observe the limits as a client that nothing announces."""

from collections.abc import Sequence
from typing import Any

import httpx

from gaia_checks.errors import AdapterError
from gaia_checks.gate.run import traces
from gaia_checks.model import Criterion, Measurement, Target
from gaia_checks.probes import unannounced
from gaia_checks.probes.unannounced import UnannouncedAnswers


class Enforcement:
    """The observations of one gate, made where a promised criterion is about them."""

    def __init__(self, promised: Sequence[Criterion]) -> None:
        self._wanted = any(check.measurement == unannounced.NAME for each in promised for check in each.checks)
        self._before = UnannouncedAnswers((), "the gate did not open")
        self._rules: list[dict[str, Any]] | None = []  # None: they could not be listed

    def before(self, target: Target) -> None:
        """Observe the target before it gets a rule, a key or the token."""
        if self._wanted:
            self._before = unannounced.observe(target)
            unannounced.forget(self._before)

    def announced(self, target: Target) -> None:
        """Read the rules that were in force then."""
        if self._wanted and not target.no_rules:
            self._rules = _listed(target)

    def after(self, target: Target) -> Measurement | None:
        """Observe it again, with nothing of the gate left in it; return the measurement, None if nobody wants it."""
        if not self._wanted:
            return None
        if target.no_rules:
            return unannounced.not_observed(target.no_rules)
        observed = {unannounced.BEFORE: self._before, unannounced.AFTER: unannounced.observe(target)}
        before, after = self._rules, _listed(target)
        if before is None or after is None:
            return unannounced.not_observed("the rules in force could not be listed")
        return unannounced.measured(observed, unannounced.in_force(before, after))


def _listed(target: Target) -> list[dict[str, Any]] | None:
    try:
        return traces.listed(target)
    except (httpx.HTTPError, traces.RulesUnavailable, AdapterError):
        return None
