"""The bounds: known values, edges, and their error rates when the true value is known."""

import weakref

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from scipy.stats import binom

from gaia_checks.judge import statistics
from gaia_checks.judge.statistics import Latencies, Sample

SEED = 20261123


def histogram(values_us: list[int]) -> HdrHistogram:
    """Record whole microseconds."""
    made = HdrHistogram(1, 60_000_000, 3)
    for value in values_us:
        made.record_value(value)
    return made


def bounds(values_us: list[int], alpha: float = 0.05) -> tuple[float | None, float | None]:
    """Return the bounds of p99 of independent latencies, in ms."""
    return Latencies([histogram(values_us)]).bounds_ms(99, (alpha, alpha))


# success rates


@pytest.mark.parametrize(("failures", "n"), [(0, 5_990), (1, 9_490), (3, 15_510)])
def test_known_sample_sizes_prove_9995_in_10000(failures: int, n: int) -> None:
    """This many requests with this few failures prove 99.95 %, and one percent fewer do not."""
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
    """The bounds equal those calculated by hand."""
    assert statistics.clopper_pearson(failures, n, 0.05) == pytest.approx((lower, upper), abs=1e-6)


@pytest.mark.parametrize(("failures", "n"), [(0, 0), (-1, 5), (6, 5), (float("nan"), 5), (0, float("nan"))])
def test_no_proportion_comes_from_impossible_counts(failures: float, n: float) -> None:
    """No requests, or more failures than requests, are an error and not a bound."""
    with pytest.raises(ValueError, match="is not a proportion"):
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
    """A hundred failures at a time count as one, evenly spread ones count each; the effect is never below 1."""
    assert statistics.design_effect(blocks) == pytest.approx(effect)


@pytest.mark.parametrize(("failures", "n"), [(0, 6_000), (3, 6_000), (60, 6_000)])
def test_bursts_of_one_are_clopper_and_pearsons(failures: int, n: int) -> None:
    """Where every request fails on its own, the lower bound is the exact binomial one."""
    sample = Sample.of([[n, failures]])
    assert sample.lower(0.05) == pytest.approx(statistics.clopper_pearson(failures, n, 0.05)[0])


@pytest.mark.parametrize("burst", [1, 10, 100])
def test_a_clean_sample_is_worth_as_many_requests_as_bursts_fit_into_it(burst: int) -> None:
    """5,990 clean requests prove 99.95 %; bursts of a hundred require a hundred times as many."""
    assert Sample.of([[5_990 * burst, 0]], burst).lower(0.05) >= 0.9995
    assert Sample.of([[5_930 * burst, 0]], burst).lower(0.05) < 0.9995


def test_small_failures_cost_less_than_whole_bursts() -> None:
    """With bursts of 100, one failure is a hundredth of a burst; a hundred at once are one."""
    clean, one, burst = (Sample.of([[600_000, failed]] + [[1000, 0]] * 2, 100).lower(0.05) for failed in (0, 1, 100))
    assert clean > one > burst
    assert clean - one < (clean - burst) / 50


def test_a_burst_that_is_longer_than_expected_counts_as_several() -> None:
    """250 failures in one block are two and a half bursts of 100."""
    assert Sample.of([[30_000, 250], [30_000, 0]], 100).bursts == ((1.0, 2.0), (0.5, 1.0))


@pytest.mark.parametrize("blocks", [[], [[0, 0]], [[5, 6]], [[5, -1]]])
def test_no_sample_comes_from_impossible_blocks(blocks: list[list[int]]) -> None:
    """No requests, or more failures than requests, are an error and not a sample."""
    with pytest.raises(ValueError, match="are not a sample"):
        Sample.of(blocks)


BOTH = (0.05, 0.05)


def test_seconds_needed_follow_from_the_observed_rate() -> None:
    """100 clean requests a second for 30 s need another 30 s to prove 99.95 %."""
    assert statistics.seconds_needed(Sample.of([[3_000, 0]]), 30, 0.9995, BOTH) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("failures", "n", "needed"),
    [
        (0, 6_000, 0.0),  # passes already
        (100, 6_000, 0.0),  # fails already
        (3, 6_000, None),  # exactly on the limit: more of the same never decides
    ],
)
def test_seconds_needed_are_zero_or_unknown(failures: int, n: int, needed: float | None) -> None:
    """A decided sample needs no more time; a sample exactly on the limit would never be decided."""
    assert statistics.seconds_needed(Sample.of([[n, failures]]), 60, 0.9995, BOTH) == needed


@pytest.mark.parametrize("burst", [1, 100])
def test_seconds_needed_do_decide(burst: int) -> None:
    """After so many more seconds of the same the bounds decide; after 60 % of them they do not."""
    sample = Sample.of([[6_000, 1]], burst)
    needed_s = statistics.seconds_needed(sample, 60, 0.9995, BOTH)
    assert needed_s is not None
    for more_s, decided in ((needed_s, True), (needed_s * 0.6, False)):
        assert (sample.times((60 + more_s) / 60).lower(0.05) >= 0.9995) is decided


def test_seconds_needed_are_the_fewest_that_decide() -> None:
    """A hundredth less does not decide: with failures, whole and parts of bursts, and a design effect."""
    samples = (
        Sample.of([[6_000, 1]]),
        Sample.of([[60_000, 250], [540_000, 0]], 100),
        Sample.of([[1000, 0]] * 5 + [[1000, 4]]),
    )
    for sample, required in zip(samples, (0.9995, 0.9985, 0.998), strict=True):
        needed_s = statistics.seconds_needed(sample, 60, required, BOTH)
        assert needed_s is not None
        assert needed_s > 10
        for more_s, decided in ((needed_s, True), (needed_s * 0.99 - 1, False)):
            longer = sample.times((60 + more_s) / 60)
            assert (longer.lower(0.05) >= required or longer.upper(0.05) < required) is decided


def test_a_longer_sample_has_more_of_everything() -> None:
    """Requests, failures and bursts grow alike; their size, the design effect and the burst stay."""
    sample = Sample.of([[30_000, 250], [30_000, 0]], 100)
    assert sample.times(3) == Sample(180_000, 750, sample.effect, 100, ((1.0, 6.0), (0.5, 3.0)))


# percentiles


@pytest.mark.parametrize(("n", "known"), [(298, False), (299, True)])
def test_p99_has_an_upper_bound_from_299_samples_on(n: int, known: bool) -> None:
    """Below that even the largest sample may lie under the true p99."""
    _, upper = bounds([1000] * n)
    assert (upper is not None) is known


def test_an_empty_histogram_bounds_nothing() -> None:
    """No samples, no bounds."""
    assert bounds([]) == (None, None)
    with pytest.raises(ValueError, match="no samples"):
        Latencies([histogram([])]).percentile_ms(99)


def test_the_lowest_percentile_is_the_fastest_request() -> None:
    """Rank 1, by the upper edge of its bucket."""
    sample = Latencies([histogram([10, 20, 30])])
    assert [sample.percentile_ms(percentile) for percentile in (0, 1, 50, 100)] == [0.011, 0.011, 0.021, 0.031]
    assert sample.below(0.03).failures == 1
    assert sample.below(0.03).burst == 1


@pytest.mark.parametrize(("us", "lower_ms", "upper_ms"), [(99_600, 99.584, 99.648), (100_400, 100.352, 100.416)])
def test_rounding_of_the_histogram_does_not_decide(us: int, lower_ms: float, upper_ms: float) -> None:
    """99.6 ms stays below 100 ms by its bucket's upper edge, 100.4 ms above it by the lower one."""
    assert bounds([us] * 6000) == (lower_ms, upper_ms)


@pytest.mark.parametrize("n", [299, 400, 6_000])
def test_ranks_are_those_of_the_binomial_distribution(n: int) -> None:
    """The bounds of independent latencies are the order statistics that the binomial quantiles name."""
    lower, upper = bounds([rank * 2 for rank in range(1, 1001)] * (n // 1000) + list(range(2, n % 1000 * 2 + 1, 2)))
    ordered = sorted([rank * 2 for rank in range(1, 1001)] * (n // 1000) + list(range(2, n % 1000 * 2 + 1, 2)))
    low_rank, high_rank = int(binom.ppf(0.05, n, 0.99)), int(binom.ppf(0.95, n, 0.99)) + 1
    assert (lower, upper) == (ordered[low_rank - 1] / 1000, (ordered[high_rank - 1] + 1) / 1000)


def test_ranks_are_those_of_the_binomial_interval() -> None:
    """At n = 6,000 the two-sided 95 % interval of p99 runs from about p98.75 to p99.25."""
    lower, upper = bounds(list(range(1, 2001)) * 3, alpha=0.025)
    assert lower is not None
    assert upper is not None
    assert lower / 2 == pytest.approx(0.9875, abs=5e-4)
    assert upper / 2 == pytest.approx(0.9925, abs=1.1e-3)  # the samples are three alike each


def test_each_bound_of_a_percentile_has_an_alpha_of_its_own() -> None:
    """The upper bound is one-sided at the alpha of passing, the lower one at that of failing."""
    sample = Latencies([histogram(list(range(1, 2001)) * 3)])
    lower, upper = sample.bounds_ms(99, (0.2, 0.2))
    assert sample.bounds_ms(99, (0.001, 0.2))[0] == lower
    assert sample.bounds_ms(99, (0.2, 0.001))[1] == upper
    assert sample.bounds_ms(99, (0.001, 0.2))[1] != upper
    assert sample.bounds_ms(99, (0.2, 0.001))[0] != lower


def test_percentile_bounds_err_no_more_than_promised() -> None:
    """Each bound is on the wrong side of the true p99 in at most 5 % of the samples."""
    chance = np.random.default_rng(SEED)
    true_ms = -np.log(0.01)  # p99 of an exponential distribution of mean 1 ms
    runs = 200
    drawn = [bounds(list(map(int, chance.exponential(1000, 400)))) for _ in range(runs)]
    too_high = sum(lower is not None and lower > true_ms for lower, _ in drawn)
    too_low = sum(upper is not None and upper < true_ms for _, upper in drawn)
    assert max(too_high, too_low) / runs < 0.10


def test_an_encoded_histogram_is_read_back() -> None:
    """The judge reads the histogram that the load writes."""
    text = histogram([5, 500_000]).encode().decode()
    assert statistics.decode(text).get_total_count() == 2


def test_an_unreferenced_histogram_is_freed_at_once() -> None:
    """Every analysis reads hundreds: waiting for the garbage collector, they took half a gigabyte."""
    decoded = statistics.decode(histogram([5]).encode().decode())
    gone = weakref.ref(decoded)
    del decoded
    assert gone() is None


@pytest.mark.parametrize("text", ["", "no histogram", 5, None])
def test_an_invalid_histogram_is_refused(text: object) -> None:
    """A damaged measurement is a ValueError, whatever the decoder raises."""
    with pytest.raises(ValueError, match="not an encoded histogram"):
        statistics.decode(text)  # type: ignore[arg-type]


def test_latencies_that_come_together_widen_the_bounds() -> None:
    """A hundred slow requests in one block are less informative than one in each of a hundred."""
    even = [histogram([1000] * 99 + [200_000]) for _ in range(60)]
    together = [histogram([1000] * 100) for _ in range(59)] + [histogram([200_000] * 60 + [1000] * 40)]
    assert Latencies(even).below(100).effect == 1
    assert Latencies(together).below(100).effect > 50
    assert Latencies(together).percentile_ms(99.5) == Latencies(even).percentile_ms(99.5) > 200
    assert Latencies(together).below(100).lower(0.05) < Latencies(even).below(100).lower(0.05)


def test_slow_latencies_that_may_come_together_need_more_samples() -> None:
    """299 fast ones bound p99; if a hundred may be slow at a time, it takes 29,900."""
    quick = histogram([1000] * 29_800)
    assert Latencies([quick]).bounds_ms(99, BOTH)[1] is not None
    assert Latencies([quick]).bounds_ms(99, BOTH, burst=100)[1] is None
    assert Latencies([quick, histogram([1000] * 200)]).bounds_ms(99, BOTH, burst=100)[1] is not None
