"""The server under load."""

import pytest

from gaia_checks.gate.run.look import Look


@pytest.mark.criterion("qa.load")
def test_load_is_served(look: Look) -> None:
    """Everything that is offered at the promised rate is served."""
    look.recorded()


@pytest.mark.criterion("prod.success_rate")
def test_success_rate(look: Look) -> None:
    """The lower bound of the success rate is what was promised."""
    look.recorded()


@pytest.mark.criterion("prod.latency")
def test_latency(look: Look) -> None:
    """The upper bound of p99, from the intended send, is below what was promised."""
    look.recorded()


@pytest.mark.criterion("prod.protection")
def test_protection_against_floods(look: Look) -> None:
    """Flooding clients are held to their limit while others are served."""
    look.recorded()
