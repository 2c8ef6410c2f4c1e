"""The figures that the server reports."""

import pytest

from gaia_checks.probes.figures import figures_probe
from gaia_checks.suite import Look


@pytest.mark.criterion("qa.figures")
def test_figures_are_right(look: Look) -> None:
    """Usage, violations, analytics, lists, WebSocket and metrics report exactly what was sent."""
    look(figures_probe.probe, rate_per_s=look.load_rate_per_s)
