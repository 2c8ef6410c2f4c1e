"""The bounds: known values, edges, and how often they err when the truth is known."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from gaia_checks.judge import statistics

SEED = 20261123


def histogram(values_us: list[int]) -> HdrHistogram:
    """Record whole microseconds."""
    made = HdrHistogram(1, 60_000_000, 3)
    for value in values_us:
        made.record_value(value)
    return made


def test_alpha_is_spent_over_three_looks_or_at_once_in_a_rehearsal() -> None:
    """Three looks together err as often as a rehearsal's single one."""
    assert [statistics.alpha(rehearsal=False, look=look) for look in range(3)] == [0.03, 0.01, 0.01]
    assert sum(statistics.ALPHAS) == pytest.approx(statistics.alpha(rehearsal=True)) == 0.05


# success rates


@pytest.mark.parametrize(("failures", "n"), [(0, 5_990), (1, 9_490), (3, 15_510)])
def test_known_sample_sizes_prove_9995_in_10000(failures: int, n: int) -> None:
    """So many requests with so few failures prove 99.95 %, and one percent fewer do not."""
    assert statistics.clopper_pearson(failures, n, 0.05)[0] >= 0.9995
    assert statistics.clopper_pearson(failures, n * 0.99, 0.05)[0] < 0.9995


@pytest.mark.parametrize(
    ("failures", "n", "lower", "upper"),
    [
        (0, 10, 0.05 ** (1 / 10), 1.0),
        (10, 10, 0.0, 1 - 0.05 ** (1 / 10)),
        (1, 2, 1 - 0.95**0.5, 0.95**0.5),
        (2, 20, 0.717381, 0.981935),
    ],
)
def test_proportion_bounds_equal_the_closed_forms(failures: int, n: int, lower: float, upper: float) -> None:
    """Where the bound can be written down by hand, that is what comes out."""
    assert statistics.clopper_pearson(failures, n, 0.05) == pytest.approx((lower, upper), abs=1e-6)


@pytest.mark.parametrize(("failures", "n"), [(0, 0), (-1, 5), (6, 5), (float("nan"), 5), (0, float("nan"))])
def test_no_proportion_comes_from_impossible_counts(failures: float, n: float) -> None:
    """Nothing seen, or more failures than requests, is an error and not a bound."""
    with pytest.raises(ValueError, match="is no proportion"):
        statistics.clopper_pearson(failures, n, 0.05)


@pytest.mark.parametrize(
    ("blocks", "effect"),
    [
        ([], 1.0),
        ([[1000, 5]], 1.0),
        ([[1000, 0]] * 6, 1.0),
        ([[1000, 1000]] * 6, 1.0),
        ([[1000, 1]] * 6, 1.0),
        ([[1000, 0]] * 5 + [[1000, 100]], 100 / (1 - 100 / 6000)),
        ([[0, 0], [1000, 3], [0, 0]], 1.0),
    ],
)
def test_design_effect_is_the_failures_per_stall(blocks: list[list[int]], effect: float) -> None:
    """Failures that come a hundred at a time count as one; even ones as themselves; never less than that."""
    assert statistics.design_effect(blocks) == pytest.approx(effect)


def test_a_service_on_the_limit_rarely_passes_even_when_it_fails_in_stalls() -> None:
    """With failures in bursts of 30 the design effect keeps a rate of exactly 99.95 % from being taken for better."""
    chance = np.random.default_rng(SEED)
    passes, runs = 0, 400
    for _ in range(runs):
        blocks = [[1000, 30 * int(chance.poisson(1000 * 0.0005 / 30))] for _ in range(60)]
        effect = statistics.design_effect(blocks)
        failures = sum(failed for _, failed in blocks)
        passes += failures > 0 and statistics.clopper_pearson(failures / effect, 60_000 / effect, 0.05)[0] >= 0.9995
    assert passes / runs < 0.08


def test_seconds_needed_follow_from_the_rate_seen() -> None:
    """100 clean requests a second for 30 s need another 30 s to prove 99.95 %."""
    assert statistics.seconds_needed_for_proportion(0, 3_000, 30, 0.9995, 0.05) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("failures", "n", "needed"),
    [
        (0, 6_000, 0.0),  # passes already
        (100, 6_000, 0.0),  # fails already
        (3, 6_000, None),  # exactly on the limit: more of the same never decides
    ],
)
def test_seconds_needed_are_none_or_no_answer(failures: int, n: int, needed: float | None) -> None:
    """What is decided needs nothing; what sits on the limit would never be decided."""
    assert statistics.seconds_needed_for_proportion(failures, n, 60, 0.9995, 0.05) == needed


def test_seconds_needed_do_decide() -> None:
    """After so many more seconds of the same the bounds decide; after two thirds of them they do not."""
    needed = statistics.seconds_needed_for_proportion(1, 6_000, 60, 0.9995, 0.05)
    assert needed is not None
    for more_s, decided in ((needed, True), (needed * 0.6, False)):
        factor = (60 + more_s) / 60
        assert (statistics.clopper_pearson(factor, 6_000 * factor, 0.05)[0] >= 0.9995) is decided


# percentiles


@pytest.mark.parametrize(("n", "known"), [(298, False), (299, True)])
def test_p99_has_an_upper_bound_from_299_samples_on(n: int, known: bool) -> None:
    """Below that even the largest sample may lie under the true p99."""
    _, upper = statistics.percentile_bounds(histogram([1000] * n), 99, 0.05)
    assert (upper is not None) is known


def test_an_empty_histogram_bounds_nothing() -> None:
    """No samples, no bounds."""
    assert statistics.percentile_bounds(histogram([]), 99, 0.05) == (None, None)


@pytest.mark.parametrize(("us", "lower_ms", "upper_ms"), [(99_600, 99.584, 99.648), (100_400, 100.352, 100.416)])
def test_rounding_of_the_histogram_does_not_decide(us: int, lower_ms: float, upper_ms: float) -> None:
    """99.6 ms stays below 100 ms by its bucket's upper edge, 100.4 ms above it by the lower one."""
    assert statistics.percentile_bounds(histogram([us] * 6000), 99, 0.05) == (lower_ms, upper_ms)


def test_ranks_are_those_of_the_binomial_interval() -> None:
    """At n = 6,000 the two-sided 95 % interval of p99 runs from about p98.75 to p99.25."""
    lower, upper = statistics.percentile_bounds(histogram(list(range(1, 2001)) * 3), 99, 0.025)
    assert lower is not None
    assert upper is not None
    assert lower / 2 == pytest.approx(0.9875, abs=5e-4)
    assert upper / 2 == pytest.approx(0.9925, abs=1.1e-3)  # the samples are three alike each


def test_percentile_bounds_err_no_more_than_promised() -> None:
    """Each bound is on the wrong side of the true p99 in at most 5 % of the samples."""
    chance = np.random.default_rng(SEED)
    true_ms = -np.log(0.01)  # p99 of an exponential distribution of mean 1 ms
    runs = 200
    bounds = [
        statistics.percentile_bounds(histogram(list(map(int, chance.exponential(1000, 400)))), 99, 0.05)
        for _ in range(runs)
    ]
    too_high = sum(lower is not None and lower > true_ms for lower, _ in bounds)
    too_low = sum(upper is not None and upper < true_ms for _, upper in bounds)
    assert max(too_high, too_low) / runs < 0.10


def test_an_encoded_histogram_is_read_back() -> None:
    """What the load writes, the judge reads."""
    text = histogram([5, 500_000]).encode().decode()
    assert statistics.decode(text).get_total_count() == 2


@pytest.mark.parametrize("text", ["", "no histogram", 5, None])
def test_what_is_no_histogram_is_refused(text: object) -> None:
    """A damaged measurement is a ValueError, whatever the decoder raises."""
    with pytest.raises(ValueError, match="not an encoded histogram"):
        statistics.decode(text)  # type: ignore[arg-type]


# trends


def memory(seconds: int, mb_per_hour: float, noise_mb: float = 0.2) -> list[list[float]]:
    """A process that starts at 100 MB, warms up to 120 and rises from there."""
    chance = np.random.default_rng(SEED)
    return [
        [float(t), 120 - 20 * float(np.exp(-t / 20)) + mb_per_hour * t / 3600 + float(chance.normal(0, noise_mb))]
        for t in range(seconds)
    ]


@pytest.mark.parametrize("seconds", [0, 2, 60, 1490])
def test_a_short_look_has_no_trend(seconds: int) -> None:
    """Twenty minutes after five of warm-up, or nothing is said."""
    assert statistics.project(memory(seconds, 0), 0.05) is None


@pytest.mark.parametrize(("mb_per_hour", "expected_mb"), [(0.0, 120), (1.0, 288), (-0.1, 103)])
def test_a_long_look_projects_seven_days(mb_per_hour: float, expected_mb: float) -> None:
    """The interval holds the truth and is narrower than what the criterion is about."""
    seen = statistics.project(memory(1800, mb_per_hour), 0.01)
    assert seen is not None
    assert seen.lower < expected_mb < seen.upper
    assert seen.upper - seen.lower < 100


def test_outliers_do_not_make_a_trend() -> None:
    """A tenth of the samples doubled by a dump that was running does not move the slope."""
    series = [[t, value * 2 if 1500 < t < 1620 else value] for t, value in memory(1800, 0)]
    slope = statistics.theil_sen(series[300:], 0.05)
    assert abs(slope.per_s) * 3600 < 0.5
    assert slope.level == pytest.approx(120, abs=0.5)


def test_two_samples_have_no_slope() -> None:
    """Less than three samples is an error."""
    with pytest.raises(ValueError, match="2 samples have no trend"):
        statistics.theil_sen([[0, 1], [1, 1]], 0.05)
