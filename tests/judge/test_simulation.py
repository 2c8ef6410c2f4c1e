"""How often the whole decision errs on services of known quality: `make bench-statistics`, small and seeded.

Whatever the machine, these draw the same requests. docs/statistics.md has the rates of 2,000 runs each.
"""

import pytest

from benchmarks.statistics import BURSTS, Service, as_promised, simulate, succeeding, with_p99_of

RUNS = 60
SUCCESS, LATENCY = as_promised()


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize(
    ("promise", "service"), [(SUCCESS, succeeding(0.9995)), (LATENCY, with_p99_of(100))], ids=["success", "latency"]
)
def test_a_service_on_the_limit_is_rarely_decided(promise: object, service: Service, burst: int) -> None:
    """Neither passed nor failed by mistake, however its failures come: 5 % of 60 runs are 3, give or take."""
    rates = simulate(promise, Service(service.name, service.share, burst), RUNS)  # type: ignore[arg-type] # of as_promised
    assert rates.passed <= 7 / RUNS
    assert rates.failed <= 7 / RUNS


@pytest.mark.parametrize("burst", BURSTS)
def test_a_service_that_is_clearly_better_passes(burst: int) -> None:
    """One failure in a million requests, and a p99 of 80 ms: at most one run of 60 is not decided."""
    for promise, service in ((SUCCESS, succeeding(0.999999)), (LATENCY, with_p99_of(80))):
        rates = simulate(promise, Service(service.name, service.share, burst), RUNS)
        assert rates.passed >= 1 - 1 / RUNS
        assert rates.failed == 0


@pytest.mark.parametrize("burst", [1, 10])
def test_a_service_that_is_clearly_worse_fails(burst: int) -> None:
    """Twice the failures that were promised, and a p99 of 125 ms, in bursts that an hour shows often enough."""
    for promise, service in ((SUCCESS, succeeding(0.999)), (LATENCY, with_p99_of(125))):
        assert simulate(promise, Service(service.name, service.share, burst), RUNS).failed >= 1 - 1 / RUNS
