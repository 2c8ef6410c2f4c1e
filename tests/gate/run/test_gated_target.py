"""What the gate measures of its target before anything else."""

from gaia_checks.gate.run import gated_target
from gaia_checks.judge.applicability import FACTS, fact_name
from gaia_checks.model import Target


def test_every_fact_is_measured_from_the_target() -> None:
    """Each fact that a criterion may name, as a truth value, with the reason."""
    several = ("http://a:8080", "http://b:8080")
    secure = gated_target.facts(Target("qa", "https://qa:8080", "run", instances=several))
    plain = gated_target.facts(Target("qa", "http://qa:8080", "run"))
    assert [(fact.name, fact.value) for fact in secure] == [(fact_name(fact), True) for fact in FACTS]
    assert [(fact.name, fact.value) for fact in plain] == [(fact_name(fact), False) for fact in FACTS]
    assert plain[0].how == "the target's address is plain http: it has no TLS"
    assert secure[1].how == "2 behind https://qa:8080: http://a:8080, http://b:8080"
    assert plain[1].how == "the environment file names no instances: the gate knows one address"
