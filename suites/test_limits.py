"""Rate limits and quotas."""

import pytest

from gaia_checks.gate.run.look import Look
from gaia_checks.probes.rehearsal import quotas


@pytest.mark.criterion("qa.rate_limiting")
def test_rate_limiting_enforced(look: Look) -> None:
    """No request too many is let through, and none too few."""
    look.recorded()


@pytest.mark.criterion("qa.quotas")
def test_quotas_tracked(look: Look) -> None:
    """Quotas count what was sent; on a copy of the target also over a crash and at the edges of their periods."""
    look(quotas.probe, copy=look.copy("quotas"))
