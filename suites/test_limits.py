"""Rate limits and quotas."""

import pytest

from gaia_checks.gate.look import Look


@pytest.mark.criterion("qa.rate_limiting")
def test_rate_limiting_enforced(look: Look) -> None:
    """No request too many is let through, and none too few."""
    look.recorded()


@pytest.mark.criterion("qa.quotas")
def test_quotas_tracked(look: Look) -> None:
    """Quotas count what was sent, across restarts and period edges."""
    look.not_built("this gate has no oracle for quotas yet")
