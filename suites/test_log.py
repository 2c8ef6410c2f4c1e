"""The server's log."""

import pytest

from gaia_checks.suite import Look


@pytest.mark.criterion("dev.log")
def test_log_has_no_errors(look: Look) -> None:
    """The log since the start of the process contains no error and no traceback."""
    look.recorded()
