"""What the gate measures of its target before anything else."""

from gaia_checks.gate.run import gated_target
from gaia_checks.judge.applicability import FACTS, fact_name
from gaia_checks.model import Target


def test_every_fact_is_measured_from_the_target() -> None:
    """Each fact that a criterion may name, as a truth value, with the reason."""
    secure, plain = (gated_target.facts(Target("qa", f"{scheme}://qa:8080", "run")) for scheme in ("https", "http"))
    assert [(fact.name, fact.value) for fact in secure] == [(fact_name(fact), True) for fact in FACTS]
    assert [(fact.name, fact.value) for fact in plain] == [(fact_name(fact), False) for fact in FACTS]
    assert plain[0].how == "the target's address is plain http: it has no TLS"
