"""The server's process."""

import pytest

from gaia_checks.probes import process
from gaia_checks.suite import Look


@pytest.mark.criterion("dev.process")
def test_server_process_runs(look: Look) -> None:
    """After all other tests, the process observed first still runs the release's executable."""
    first_observed = look.target.process
    look(process.probe, look.after_all_others(), first_observed=first_observed)
