"""Which criteria a target can be judged by, which cannot pass, and which setting would change that."""

import textwrap
from collections.abc import Iterator, Sequence

from gaia_checks.environment.environment import Environment
from gaia_checks.errors import GaiaError
from gaia_checks.gate.run import capabilities, gated_target
from gaia_checks.gate.run.capabilities import Capability, missing
from gaia_checks.judge import criteria_file
from gaia_checks.judge.applicability import fact_name, why_not_judged
from gaia_checks.model import Criterion, Measurement

_WIDTH = 136
"""Of a line where there is no terminal."""


def lines(
    criteria: Sequence[Criterion], found: Sequence[Capability], facts: Sequence[Measurement] = (), width: int = _WIDTH
) -> Iterator[str]:
    """Yield the table: what the target has, what is judged, and for each missing capability what cannot pass. Pure."""
    for head, text in _rows(criteria, found, facts):
        yield from _wrapped(head, text, width)


def _rows(
    criteria: Sequence[Criterion], found: Sequence[Capability], facts: Sequence[Measurement]
) -> Iterator[tuple[str, str]]:
    there, absent = ([each.name for each in found if each.present is state] for state in (True, False))
    unknown = [each.name for each in found if each.present is None]
    yield "has", ", ".join(there) or "nothing"
    yield "has not", ", ".join(absent)
    yield "shown by the gate", ", ".join(unknown)
    several = next((fact for fact in facts if fact.name == fact_name("instances") and fact.value), None)
    yield "instances", several.how if several else ""
    applicable = [each for each in criteria if not why_not_judged(each, facts)]
    lacking = {each.id: missing(each, found) for each in applicable}
    yield "judged", " ".join(name for name, without in lacking.items() if not without)
    for capability in found:
        without = [name for name, absent_here in lacking.items() if capability in absent_here]
        yield "cannot pass", f"{' '.join(without)}: {capability.why}" if without else ""
    for each in criteria:
        yield "not applicable", f"{each.id}: {why_not_judged(each, facts)}" if each not in applicable else ""


def of_environment(environment: Environment, width: int | None = None) -> list[str]:
    """Return the table for what serves there now, by requests that change nothing; empty where nothing can be found."""
    criteria = criteria_file.load(
        overrides=environment.looks, own=environment.criteria, limits=environment.no_regression
    )
    promised = criteria.for_stage(environment.stage)
    try:
        target = gated_target.find(environment, "doctor")
        found = capabilities.observe(target)
        facts = gated_target.facts(environment, target)
    except GaiaError:
        return []
    return list(map(environment.redact, lines(promised, found, facts, width or _WIDTH)))


def _wrapped(head: str, text: str, width: int) -> list[str]:
    """Return the lines of one row; none without a text."""
    if not text:
        return []
    indent = " " * 19
    return textwrap.wrap(
        f"{head:<17}  {text}", width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
