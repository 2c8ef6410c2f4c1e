"""Rate limits and quotas, of one server and of several as one."""

import pytest

from gaia_checks.probes.rehearsal import moved_admissions, quotas
from gaia_checks.suite import Look


@pytest.mark.criterion("qa.rate_limiting")
def test_rate_limiting_enforced(look: Look) -> None:
    """No request beyond a limit is admitted, and none within it is refused."""
    look.recorded()


@pytest.mark.criterion("qa.quotas")
def test_quotas_tracked(look: Look) -> None:
    """Quotas count the requests; on a rehearsal copy also across a crash and at the edges of their periods."""
    look(quotas.probe, copy=look.copy("quotas", **moved_admissions.RETENTION))


@pytest.mark.criterion("qa.instances")
def test_instances_serve_as_one(look: Look) -> None:
    """All instances run the same, stay up, and share limits, rules and events."""
    look.recorded()
