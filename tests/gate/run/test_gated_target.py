"""What the gate measures of its target before anything else."""

from dataclasses import replace
from pathlib import Path

from gaia_checks.deploy.state import paths
from gaia_checks.environment import environment_file
from gaia_checks.gate.run import gated_target
from gaia_checks.judge.applicability import FACTS, fact_name
from gaia_checks.model import Release, Target


def test_every_fact_is_measured_from_the_target(tmp_path: Path) -> None:
    """Each fact that a criterion may name, as a truth value, with the reason."""
    environment = environment_file.load("local", variables={"GAIA_HOME": str(tmp_path)})
    releases = paths.of(environment).releases
    releases.mkdir(parents=True)
    here = Target("local", "http://qa:8080", "run", release=Release("phase-2", None, "a" * 64, {}))
    elsewhere = replace(here, release=None)
    plain, first = gated_target.facts(environment, elsewhere), gated_target.facts(environment, here)
    (releases / "phase-1").mkdir()
    (releases / "previous").symlink_to("phase-1")
    several = replace(here, base_url="https://qa:8080", instances=("http://a:8080", "http://b:8080"))
    secure = gated_target.facts(environment, several)
    assert [(fact.name, fact.value) for fact in secure] == [(fact_name(fact), True) for fact in FACTS]
    assert [(fact.name, fact.value) for fact in plain] == [(fact_name(fact), False) for fact in FACTS]
    assert [(fact.name, fact.value) for fact in first] == [(fact_name(fact), False) for fact in FACTS]
    assert [fact.how for fact in plain] == [
        "the target's address is plain http: it has no TLS",
        "no previous release is kept here",
        "the environment file names no instances: the gate knows one address",
    ]
    assert secure[2].how == "2 behind https://qa:8080: http://a:8080, http://b:8080"
    assert gated_target.facts(environment, elsewhere)[1].value is False
