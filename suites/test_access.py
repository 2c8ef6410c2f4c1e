"""Who may, and who is counted as whom."""

import pytest

from gaia_checks.probes.access import access_probe
from gaia_checks.probes.identity import identity_probe
from gaia_checks.suite import Look


@pytest.mark.criterion("qa.access")
def test_only_administrators_have_access(look: Look) -> None:
    """Every admin route and the WebSocket refuse everybody else, and what is refused changes nothing."""
    look(access_probe.probe)


@pytest.mark.criterion("qa.identity")
def test_clients_are_counted_as_themselves(look: Look) -> None:
    """Every accepted rule is in force, and counts whom it names and nobody else."""
    look(identity_probe.probe)


@pytest.mark.criterion("qa.fresh_install")
def test_a_fresh_installation_protects_itself(look: Look) -> None:
    """On a rehearsal copy, a new database limits everybody, and two server processes on it act as one."""
    look.recorded()
