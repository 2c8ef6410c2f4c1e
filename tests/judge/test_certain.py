"""Failures that are certain before the end."""

from typing import Any

import pytest

from gaia_checks.judge import certain
from gaia_checks.judge.analyses import ends_s
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.model import Check, Criterion, Measurement

SERVED = Check("load.served_of_sent", "at_least", 0.999, "ratio")
SUCCESS = Check("load.outcomes", "proportion", 0.9995, "ratio", burst_s=0.25)
LATENCY = Check("load.latency", "percentile", 100, "ms", percentile=99, burst_s=0.25)
DROPS = Check("soak.drops", "at_most", 0, "count")
LATE = Check("load.send_lateness_p99", "at_most", 10, "ms", generator=True)


def criterion(*checks: Check) -> Criterion:
    """Make a criterion that is judged after 300, 698 and 1620 s."""
    return Criterion("qa.load", "It works", "load", 300, 1620, ends_s(300, 1620), checks)


def measured(check: Check, value: Any, n: int, window_s: float) -> Measurement:
    """Return the measurement of a check after `window_s`."""
    return Measurement(check.measurement, value, check.unit, n, window_s, "2026-02-26T10:00:00.000Z", "measured")


def outcomes(failures: int, window_s: float) -> Measurement:
    """Make 100 requests a second, of which this many failed in total."""
    n = int(window_s * 100)
    return measured(SUCCESS, {"failures": failures, "blocks": [[n, failures]]}, n, window_s)


def latencies(slow: int, window_s: float) -> Measurement:
    """Make 100 requests a second, of which this many in every 10 s took 200 ms."""
    histogram, blocks = Histogram(), int(window_s / 10)
    for number in range(1000):
        histogram.record(0.2 if number < slow else 0.01)
    return measured(LATENCY, [histogram.encode()] * blocks, blocks * 1000, window_s)


@pytest.mark.parametrize(
    ("check", "measurement", "certain_failure"),
    [
        # a share: 0.1 % of the 30,000 requests until the first analysis may fail
        (SERVED, measured(SERVED, 0.98, 1000, 10), False),
        (SERVED, measured(SERVED, 0.969, 1000, 10), True),
        (SERVED, measured(SERVED, 0.5, 2, 0.02), False),
        # outcomes: a bad start may improve until it is judged
        (SUCCESS, outcomes(1, 10), False),
        (SUCCESS, outcomes(20, 10), False),
        (SUCCESS, outcomes(900, 10), True),
        (SUCCESS, outcomes(20, 300), False),
        # latency: ten bad seconds of 300 may have been one burst, a bad minute was not
        (LATENCY, latencies(1000, 10), False),
        (LATENCY, latencies(1000, 60), True),
        (LATENCY, latencies(20, 60), False),
        # a value that only gets worse is certain as soon as it is observed, even before any analysis
        (DROPS, measured(DROPS, 0, 50, 3), False),
        (DROPS, measured(DROPS, 1, 50, 3), True),
        (DROPS, measured(DROPS, 1, 0, 3), False),
    ],
)
def test_a_failure_is_certain_when_the_best_end_would_not_help(
    check: Check, measurement: Measurement, *, certain_failure: bool
) -> None:
    """The rest of the sample is assumed to be flawless."""
    assert certain.failed(criterion(check), [measurement], rehearsal=False) is certain_failure


def test_a_certain_failure_is_the_verdict_of_the_judge() -> None:
    """The sample that was cut short fails, too, if the generator is reliable, and can be judged again."""
    from gaia_checks.judge.judgement import judge_measured

    for check, measurement in ((SUCCESS, outcomes(900, 10)), (LATENCY, latencies(1000, 60))):
        honest = measured(LATE, 0.3, measurement.n, measurement.window_s)
        failing, sample = criterion(LATE, check), [honest, measurement]
        assert certain.failed(failing, sample, rehearsal=False)
        verdict = judge_measured(failing, sample, rehearsal=False)
        assert verdict.state == "fail"
        assert verdict.why.endswith(f"; after {measurement.window_s:g} s, before analysis 1 of 3")


def test_an_unreliable_generator_makes_nothing_certain() -> None:
    """Failures in a load that was sent late do not fail the server."""
    late = measured(LATE, 50.0, 1000, 10)
    assert not certain.failed(criterion(LATE, SUCCESS), [late, outcomes(900, 10)], rehearsal=False)


def test_no_measurement_makes_nothing_certain() -> None:
    """A look that has not started may still pass."""
    assert not certain.failed(criterion(DROPS, SUCCESS), [], rehearsal=False)
