"""The health endpoint."""

import pytest

from gaia_checks.gate.run.look import Look
from gaia_checks.probes import health


@pytest.mark.criterion("dev.health")
def test_health_answers_200(look: Look) -> None:
    """Every one of many spaced requests answers 200 with the right body."""
    look(health.probe)
