"""The error rates of the whole decision on services of known quality: `make bench-statistics`, small and seeded.

These draw the same requests on any machine. docs/statistics.md has the rates of 2,000 runs each.
"""

import pytest

from benchmarks.statistics import BURSTS, TWO_HOURS, Promise, Service, as_promised, simulate, succeeding, with_p99_of

RUNS = 60
SUCCESS, LATENCY = as_promised()
HOURS, _ = as_promised(TWO_HOURS)

COVERED = (1, 10)
"""The bursts that half an hour can cover, in arrivals; two hours cover them all."""


@pytest.mark.parametrize(
    ("promise", "service", "burst"),
    [
        *((SUCCESS, succeeding(0.9995), burst) for burst in COVERED),
        *((HOURS, succeeding(0.9995), burst) for burst in BURSTS),
        *((LATENCY, with_p99_of(100), burst) for burst in BURSTS),
    ],
)
def test_a_service_on_the_limit_is_rarely_decided(promise: Promise, service: Service, burst: int) -> None:
    """It rarely passes or fails, whatever the bursts of its failures: 5 % of 60 runs are about 3."""
    rates = simulate(promise, Service(service.name, service.share, burst), RUNS)
    assert rates.passed <= 7 / RUNS
    assert rates.failed <= 7 / RUNS


@pytest.mark.parametrize(
    ("promise", "service", "burst"),
    [
        *((SUCCESS, succeeding(0.999999), burst) for burst in BURSTS),
        *((HOURS, succeeding(0.999999), burst) for burst in BURSTS),
        *((LATENCY, with_p99_of(80), burst) for burst in COVERED),
        (LATENCY, with_p99_of(60), 100),
    ],
)
def test_a_service_that_is_clearly_better_passes(promise: Promise, service: Service, burst: int) -> None:
    """One failure in a million requests, and a p99 well below the limit: nearly all of 60 runs pass, none fails."""
    rates = simulate(promise, Service(service.name, service.share, burst), RUNS)
    assert rates.passed >= 1 - 2 / RUNS
    assert rates.failed == 0


@pytest.mark.parametrize("burst", [1, 10])
def test_a_service_that_is_clearly_worse_fails(burst: int) -> None:
    """Four times the allowed failures, and a p99 of 125 ms, fail in bursts that half an hour often contains."""
    for promise, service in ((SUCCESS, succeeding(0.998)), (LATENCY, with_p99_of(125))):
        assert simulate(promise, Service(service.name, service.share, burst), RUNS).failed >= 1 - 1 / RUNS
