"""The health endpoint."""

import pytest

from gaia_checks.probes import health
from gaia_checks.suite import Look


@pytest.mark.criterion("dev.health")
def test_health_answers_200(look: Look) -> None:
    """Every one of many spaced requests answers 200 with the right body."""
    look(health.probe)
