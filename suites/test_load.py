"""The server under load."""

import pytest

from gaia_checks.suite import Look


@pytest.mark.criterion("qa.load")
def test_load_is_served(look: Look) -> None:
    """Every request at the required rate is served."""
    look.recorded()


@pytest.mark.criterion("prod.success_rate")
def test_success_rate(look: Look) -> None:
    """The lower bound of the success rate reaches its threshold."""
    look.recorded()


@pytest.mark.criterion("prod.latency")
def test_latency(look: Look) -> None:
    """The upper bound of p99, from the intended send time, is below its threshold."""
    look.recorded()


@pytest.mark.criterion("prod.protection")
def test_protection_against_floods(look: Look) -> None:
    """Flooding clients are limited while others are served."""
    look.recorded()
