"""The admin API."""

import pytest

from gaia_checks.probes import api
from gaia_checks.suite import Look


@pytest.mark.criterion("dev.api")
def test_admin_api_accessible(look: Look) -> None:
    """The five endpoints keep their contract and reject bad input, never with a 5xx."""
    look(api.probe)
