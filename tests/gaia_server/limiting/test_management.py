"""The budget of rule management."""

from gaia_server.limiting.management import BURST, RATE_PER_S, Budget

NOW = 1000.0


def test_the_budget_refills() -> None:
    """A burst at once, then a steady rate."""
    budget = Budget()
    assert [budget.take(NOW) for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert not budget.take(NOW + 0.5 / RATE_PER_S)
    assert budget.take(NOW + 1.1 / RATE_PER_S)
    assert [budget.take(NOW + 60) for _ in range(BURST + 1)] == [True] * BURST + [False]
