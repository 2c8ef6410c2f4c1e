"""The admin dashboard."""

import pytest

from gaia_checks.probes.dashboard import dashboard_probe
from gaia_checks.suite import Look


@pytest.mark.criterion("qa.dashboard")
def test_dashboard_works(look: Look) -> None:
    """Six tabs work in a real browser, update live, and reconnect after a connection loss."""
    look(dashboard_probe.probe, pictures=look.pictures)
