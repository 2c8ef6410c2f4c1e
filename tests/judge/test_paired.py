"""Intervals from paired blocks: exact values, known distributions, and the failures that other tools are known for."""

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest

from gaia_checks.judge import paired
from gaia_checks.judge.criteria_file import load
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State

LIMITS = {"p99_ratio": 1.25, "p50_ratio": 1.1}
NOTHING_FAILED = [[100, 0]] * 12
ALL_FAILED = [[20, 20]]


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(4, 0.05, 0), (5, 0.05, 1), (6, 0.05, 3), (10, 0.05, 11), (12, 0.05, 18), (12, 0.01, 10), (20, 0.05, 61)],
)
def test_ranks_are_those_of_the_tables(n: int, alpha: float, rank: int) -> None:
    """Critical values of the signed-rank statistic, plus one."""
    values = np.sort(np.random.default_rng(n).normal(size=n))
    means = sorted((one + other) / 2 for one, other in itertools.combinations_with_replacement(values, 2))
    found = paired.centre(values, alpha)
    assert (found is None) == (rank == 0)
    if found:
        assert (found.lower, found.upper) == (means[rank - 1], means[-rank])
        assert found.estimate == pytest.approx(np.median(means))


@pytest.mark.parametrize("n", [5, 8, 10])
def test_the_bounds_err_as_often_as_the_signs_of_the_values_allow(n: int) -> None:
    """Over all signs, the lower bound exceeds 0 in at most 5 %, and in more than that at the next rank."""
    sizes = np.random.default_rng(1).exponential(size=n)
    wrong = [
        found.lower > 0
        for signs in itertools.product((-1, 1), repeat=n)
        if (found := paired.centre(sizes * np.array(signs), 0.05))
    ]
    assert 0.05 - 2**-n * 10 < sum(wrong) / 2**n <= 0.05


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_cauchy"])
def test_a_known_ratio_is_covered(draw: str) -> None:
    """Whatever the distribution, each bound is beyond the true ratio in at most 5 % of the samples."""
    chance, below, above = np.random.default_rng(7), 0, 0
    for _ in range(400):
        previous = chance.lognormal(1, 0.3, 12)
        new = previous * np.exp(math.log(1.25) + 0.1 * getattr(chance, draw)(size=12))
        found = paired.ratio(np.column_stack((previous, new)).tolist(), 0.05)
        assert found
        below, above = below + (found.upper < 1.25), above + (found.lower > 1.25)
    assert max(below, above) / 400 <= 0.05 + 2 * 0.011


def test_the_same_ratio_in_every_block_is_certain() -> None:
    """Counts without scatter give a point."""
    found = paired.ratio([[2, 3]] * 6, 0.05)
    assert found
    assert (found.estimate, found.lower, found.upper) == pytest.approx((1.5, 1.5, 1.5))


@pytest.mark.parametrize("pairs", [[[0, 1]] * 9, [[1, 0]] * 9, [[1, math.nan]] * 9, [[1, math.inf]] * 9, [[-1, 1]] * 9])
def test_what_is_no_quotient_is_no_ratio(pairs: list[list[float]]) -> None:
    """Nothing is compared with a latency of 0."""
    with pytest.raises(ValueError, match="values above 0"):
        paired.ratio(pairs, 0.05)


def test_errors_are_bounded_though_none_was_observed() -> None:
    """1,200 good requests of each prove that at most 0.31 % more fail."""
    found = paired.more_failures({"previous": NOTHING_FAILED, "new": NOTHING_FAILED}, 0.05)
    assert found.estimate == 0
    assert found.upper == pytest.approx(-found.lower)
    assert found.upper == pytest.approx(1 - 0.025 ** (1 / 1200))
    assert paired.more_failures({"previous": NOTHING_FAILED, "new": ALL_FAILED}, 0.05).lower > 0.8
    with pytest.raises(ValueError, match="no requests"):
        paired.more_failures({"previous": [], "new": NOTHING_FAILED}, 0.05)


def test_more_pairs_decide_what_is_near_the_limit() -> None:
    """Half the distance takes four times the pairs; beside the limit none are enough."""
    found = paired.Interval(1.0, 0.9, 1.2)
    assert found.times_more(1.1) == pytest.approx(4)
    assert found.times_more(1.2) == pytest.approx(1)
    assert found.times_more(0.95) == pytest.approx(4)
    assert math.isinf(found.times_more(1.0))


# what the criterion makes of it -----------------------------------------------------------------------


def judged(limits: Mapping[str, float] = LIMITS, /, **values: object) -> CriterionVerdict:
    """Judge measurements of `no_regression`; None is one without samples."""
    (criterion,) = (each for each in load(limits=limits).criteria if each.id == "prod.no_regression")
    good = {
        "serves": True,
        "errors_more": {"previous": NOTHING_FAILED, "new": NOTHING_FAILED},
        "p50_ratio": blocks(1.0),
        "p99_ratio": blocks(1.0),
    }
    measurements = [
        Measurement(f"no_regression.{name}", value, "", 0 if value is None else 1200, 9, "", "", ("the reason",))
        for name, value in {**good, **values}.items()
        if value != "missing"
    ]
    return judge_measured(criterion, measurements, rehearsal=False)


def blocks(ratio: float, number: int = 12, spread: float = 0.02) -> list[list[float]]:
    """Return blocks whose ratios scatter around `ratio`."""
    around = np.exp(np.linspace(-spread, spread, number))
    return [[4.0, 4 * ratio * float(one)] for one in around]


def test_an_equal_release_passes() -> None:
    """Every interval is below its limit."""
    assert judged().state is State.PASS


@pytest.mark.parametrize("name", ["serves", "errors_more", "p50_ratio", "p99_ratio"])
@pytest.mark.parametrize("value", [None, "missing", []])
def test_no_data_is_no_pass(name: str, value: object) -> None:
    """Without samples, without the measurement, or with an empty one nothing is decided, and the reason is given."""
    verdict = judged(LIMITS, **{name: value})
    assert verdict.state is (State.FAIL if name == "serves" and value == [] else State.INCONCLUSIVE)
    if value is None:
        assert verdict.why.startswith("the reason")


def test_an_obvious_regression_fails() -> None:
    """One limit that is exceeded is enough, though all the rest is good, and the figure is named."""
    verdict = judged(p99_ratio=blocks(2.0))
    assert verdict.state is State.FAIL
    assert "no_regression.p99_ratio: 2, between 1.99 and 2.01; required: at most 1.25" in verdict.why


def test_only_errors_fail_at_once_whatever_is_limited() -> None:
    """Twenty answers are enough, where no latency can be compared."""
    errors = {"previous": [[20, 0]], "new": ALL_FAILED}
    verdict = judged({"cpu_ratio": 1.2}, errors_more=errors, p50_ratio=None, p99_ratio=None, cpu_ratio=None)
    assert (verdict.state, verdict.measured) == (State.FAIL, 1.0)


def test_a_release_that_does_not_serve_fails() -> None:
    """Nothing else could be measured."""
    verdict = judged(serves=False, errors_more=None, p50_ratio=None, p99_ratio=None)
    assert verdict.state is State.FAIL
    assert "the reason" in verdict.why


@pytest.mark.parametrize(
    ("p99", "helps"),
    [(blocks(1.2, spread=0.4), "about"), (blocks(1.25, spread=0.4), "too close"), (blocks(9.0, 4), "too few for an")],
)
def test_an_interval_around_the_limit_decides_nothing(p99: list[list[float]], helps: str) -> None:
    """The reason says what would help."""
    verdict = judged(p99_ratio=p99)
    assert verdict.state is State.INCONCLUSIVE
    assert helps in verdict.why
