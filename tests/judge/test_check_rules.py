"""Every rule of criteria.toml: the whole finding of each of its states, with its figures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from gaia_checks.judge.check_rules import RELATIONS, RULES, Analysis
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.model import Check, Finding, Measurement, State

ONLY = Analysis((60.0,), 0, rehearsal=False)
"""The single analysis of a minute: its alphas are 5 %."""

THREE_GOOD = Check("look.good", "all_good", 1, "ratio", min_n=3)
AT_MOST = Check("look.late", "at_most", 10, "ms")
AT_LEAST = Check("look.tables", "at_least", 7, "count")
ALIVE = Check("look.alive", "equals", True, "bool")
SUCCESS = Check("load.outcomes", "proportion", 0.9995, "ratio")
LATENCY = Check("load.latency", "percentile", 100, "ms", percentile=99)
MEMORY = Check("memory.series", "trend", 500, "MB")


def measured(name: str, value: Any, n: int, *notes: str) -> Measurement:
    """Make a measurement of a minute."""
    return Measurement(name, value, "", n, 60, "2026-02-26T10:00:00.000Z", "how", notes)


def outcomes(failures: int, n: int, *notes: str) -> Measurement:
    """Make n requests of one block of time, of which some failed."""
    return measured("load.outcomes", {"failures": failures, "blocks": [[n, failures]]}, n, *notes)


def latencies(quick: int, slow: int, *notes: str) -> Measurement:
    """Make some requests of 10 ms and some of 200 ms, in one block of time."""
    histogram = Histogram()
    for latency_s in [0.01] * quick + [0.2] * slow:
        histogram.record(latency_s)
    return measured("load.latency", [histogram.encode()], quick + slow, *notes)


def lower(failures: float, n: float, alpha: float = 0.05) -> float:
    """Return Clopper and Pearson's lower bound by the quantile of the beta distribution."""
    return float(beta.ppf(alpha, n - failures, failures + 1))


def upper(failures: float, n: float, alpha: float = 0.05) -> float:
    """Return Clopper and Pearson's upper bound."""
    return float(beta.ppf(1 - alpha, n - failures + 1, failures))


def finding(
    check: Check, state: State, why: str, n: int, value: Any, bound: float | None = None, needs_s: float | None = None
) -> Finding:
    """Make the finding that a rule should return; figures are compared to six digits."""
    relation = RELATIONS.get(check.rule, "")
    return Finding(
        check.measurement, state, why, near(value), near(bound), check.threshold, check.unit, n, near(needs_s), relation
    )


def near(figure: Any) -> Any:
    """Compare a figure to six digits."""
    return pytest.approx(figure) if isinstance(figure, float) else figure


PASS, FAIL, OPEN = State.PASS, State.FAIL, State.INCONCLUSIVE


@pytest.mark.parametrize(
    ("check", "measurement", "expected"),
    [
        (THREE_GOOD, measured("look.good", 3, 3), (PASS, "3 of 3 correct (how)", 3, 1.0)),
        (THREE_GOOD, measured("look.good", 1, 4), (FAIL, "3 of 4 wrong (how)", 4, 0.25)),
        (THREE_GOOD, measured("look.good", 1, 4, "a", "b"), (FAIL, "3 of 4 wrong (how); worst: a", 4, 0.25)),
        (AT_MOST, measured("look.late", 10.0, 5, "a"), (PASS, "look.late is 10 ms; required: at most 10 ms", 5, 10.0)),
        (AT_MOST, measured("look.late", 11, 5, "a"), (FAIL, "look.late is 11 ms; required: at most 10 ms; a", 5, 11)),
        (AT_LEAST, measured("look.tables", 7, 1), (PASS, "look.tables is 7; required: at least 7", 1, 7)),
        (AT_LEAST, measured("look.tables", 6, 1), (FAIL, "look.tables is 6; required: at least 7", 1, 6)),
        (ALIVE, measured("look.alive", True, 2), (PASS, "look.alive is true; required: true", 2, True)),
        (ALIVE, measured("look.alive", False, 2), (FAIL, "look.alive is false; required: true", 2, False)),
        (ALIVE, measured("look.alive", 1, 2), (FAIL, "look.alive is 1; required: true", 2, 1)),
    ],
)
def test_an_exact_rule_states_what_was_measured_and_what_is_required(
    check: Check, measurement: Measurement, expected: tuple[State, str, int, Any]
) -> None:
    """The first note is the example of a failure; a pass needs none."""
    assert RULES[check.rule](check, measurement, ONLY) == finding(check, *expected)


def test_a_proportion_passes_by_its_lower_bound() -> None:
    """The bound is Clopper and Pearson's, of the alpha of passing."""
    why = f"0 of 6000 requests failed; at least {lower(0, 6000):.5%} succeed"
    assert RULES["proportion"](SUCCESS, outcomes(0, 6000, "a"), ONLY) == finding(
        SUCCESS, PASS, why, 6000, 1.0, lower(0, 6000)
    )


def test_a_proportion_fails_by_its_upper_bound() -> None:
    """The reason ends with an example."""
    why = f"60 of 6000 requests failed; at most {upper(60, 6000):.5%} succeed; e.g. a"
    assert RULES["proportion"](SUCCESS, outcomes(60, 6000, "a", "b"), ONLY) == finding(
        SUCCESS, FAIL, why, 6000, 0.99, upper(60, 6000)
    )


def test_a_proportion_between_its_bounds_says_what_would_decide() -> None:
    """One failure of 6,000 leaves 99.95 % open; a longer run at the same rate of failures would pass."""
    found = RULES["proportion"](SUCCESS, outcomes(1, 6000, "a"), ONLY)
    why = (
        f"1 of 6000 requests failed; between {lower(1, 6000):.5%} and {upper(1, 6000):.5%} succeed: "
        "99.95% is undecided; e.g. a"
    )
    assert replace(found, needs_s=None) == finding(SUCCESS, OPEN, why, 6000, 1 - 1 / 6000, lower(1, 6000))
    assert found.needs_s is not None
    for needs_s, passes in ((found.needs_s, True), (found.needs_s * 0.99 - 1, False)):
        factor = (60 + needs_s) / 60
        assert (lower(factor, 6000 * factor) >= 0.9995) is passes


def test_each_analysis_has_the_alpha_of_its_own() -> None:
    """The second of two analyses passes at 2 % and, where the first could not pass, at 5 %; it fails at 2 %."""
    second = Analysis((60.0, 119.0), 1, rehearsal=False)
    passes = RULES["proportion"](SUCCESS, outcomes(0, 20_000), second)  # the first had 10,084: it could have passed
    assert passes.bound == pytest.approx(lower(0, 20_000, 0.02))
    carried = RULES["proportion"](SUCCESS, outcomes(0, 10_000), second)  # the first had 5,042: it could not, at 3 %
    assert carried.bound == pytest.approx(lower(0, 10_000, 0.05))
    fails = RULES["proportion"](SUCCESS, outcomes(100, 10_000), second)
    assert fails.bound == pytest.approx(upper(100, 10_000, 0.02))


def test_bursts_count_only_where_a_release_is_promoted() -> None:
    """With bursts of 5 s, 60,000 clean requests in a minute are twelve units; a rehearsal counts each on its own."""
    bursts = replace(SUCCESS, burst_s=5)
    found = RULES["proportion"](bursts, outcomes(0, 60_000), ONLY)
    assert found.state is OPEN
    assert found.bound == pytest.approx(lower(0, 12))
    assert ", even if requests fail 5000 at a time" in found.why
    rehearsal = RULES["proportion"](bursts, outcomes(0, 60_000), replace(ONLY, rehearsal=True))
    assert rehearsal == RULES["proportion"](SUCCESS, outcomes(0, 60_000), ONLY)


@pytest.mark.parametrize(("burst_s", "window_s", "burst"), [(5, 60, 500), (0.001, 60, 1), (5, 0.5, 60_000), (5, 0, 1)])
def test_a_burst_is_what_is_sent_in_its_time(burst_s: float, window_s: float, burst: float) -> None:
    """6,000 requests: their share of the window, at least one request, and one where there is no window."""
    measurement = replace(outcomes(0, 6000), window_s=window_s)
    assert ONLY.burst(replace(SUCCESS, burst_s=burst_s), measurement) == pytest.approx(burst)


def test_failures_that_come_together_are_shown_as_design_effect() -> None:
    """The effect stands beside the count, and widens the bound."""
    together = measured("load.outcomes", {"failures": 100, "blocks": [[1000, 0]] * 5 + [[1000, 100]]}, 6000)
    found = RULES["proportion"](SUCCESS, together, ONLY)
    assert found.why.startswith("100 of 6000 requests failed (design effect 101.7); ")
    assert found.bound is not None
    assert found.bound > upper(100, 6000)


EDGE_10_MS, EDGE_200_MS = 10.008, 200.064
"""Upper edges of the buckets of 10 and of 200 ms; their widths are 8 and 64 microseconds."""


def test_a_percentile_passes_by_its_upper_bound() -> None:
    """Ten slow requests of 6,000 do not reach the p99, nor its bound."""
    found = RULES["percentile"](LATENCY, latencies(5990, 10, "a"), ONLY)
    why = "p99 is 10.0 ms, upper bound 10.0 ms"
    assert found == finding(LATENCY, PASS, why, 6000, found.measured, found.bound)
    assert (found.measured, found.bound) == pytest.approx((EDGE_10_MS, EDGE_10_MS), abs=0.01)


def test_a_percentile_fails_by_its_lower_bound() -> None:
    """The reason ends with an example."""
    found = RULES["percentile"](LATENCY, latencies(5900, 100, "a", "b"), ONLY)
    why = "p99 is 200.1 ms, lower bound 199.9 ms; e.g. a"
    assert found == finding(LATENCY, FAIL, why, 6000, found.measured, found.bound)
    assert (found.measured, found.bound) == pytest.approx((EDGE_200_MS, 199.936), abs=0.01)


def test_a_percentile_between_its_bounds_says_what_would_decide() -> None:
    """55 slow requests of 6,000 leave 1 % open; at the same rates a longer load would decide."""
    found = RULES["percentile"](LATENCY, latencies(5945, 55, "a"), ONLY)
    why = "p99 is 10.0 ms, but 6000 samples do not decide 100 ms"
    assert replace(found, needs_s=None) == finding(LATENCY, OPEN, why, 6000, found.measured, found.bound)
    assert (found.measured, found.bound) == pytest.approx((EDGE_10_MS, EDGE_200_MS), abs=0.01)
    assert found.needs_s is not None
    for needs_s, passes in ((found.needs_s, True), (found.needs_s * 0.99 - 1, False)):
        factor = (60 + needs_s) / 60
        assert (lower(55 * factor, 6000 * factor) >= 0.99) is passes


def test_a_percentile_with_bursts_names_them() -> None:
    """Bursts of 5 s are 500 of 6,000 requests."""
    found = RULES["percentile"](replace(LATENCY, burst_s=5), latencies(6000, 0), ONLY)
    assert found.why == "p99 is 10.0 ms, but 6000 samples do not decide 100 ms, even if requests fail 500 at a time"
    assert found.bound is None
    assert found.needs_s is not None
    assert found.needs_s > 1000  # 299 bursts of 5 s


def test_a_percentile_of_nothing_is_refused() -> None:
    """A check without the percentile that it is about names the file to correct."""
    with pytest.raises(ValueError, match=r"^the check has no percentile; set it in criteria\.toml$"):
        RULES["percentile"](replace(LATENCY, percentile=None), latencies(10, 0), ONLY)


def series(mb_per_day: float) -> Measurement:
    """Make half an hour of memory that rises from 100 MB."""
    return measured("memory.series", [[t, 100 + mb_per_day * t / 86_400] for t in range(0, 1801, 10)], 181)


@pytest.mark.parametrize(
    ("mb_per_day", "state", "why", "bound"),
    [
        (0, PASS, "in 7 days between 100 and 100 MB", 100.0),
        (50, PASS, "in 7 days between 451 and 451 MB", 100 + 50 * (7 + 1800 / 86_400)),
        (60, FAIL, "in 7 days between 521 and 521 MB", 100 + 60 * (7 + 1800 / 86_400)),
    ],
)
def test_a_trend_is_judged_by_its_projection(mb_per_day: float, state: State, why: str, bound: float) -> None:
    """Without noise the interval is a point; `measured` is the last sample."""
    expected = finding(MEMORY, state, why, 181, 100 + mb_per_day * 1800 / 86_400, bound)
    assert RULES["trend"](MEMORY, series(mb_per_day), ONLY) == expected


@pytest.mark.parametrize(("rehearsal", "state"), [(False, OPEN), (True, PASS)])
def test_a_series_without_a_trend_passes_only_in_a_rehearsal(rehearsal: bool, state: State) -> None:
    """The peak is judged by a check of its own."""
    short = replace(series(0), value=series(0).value[:30])
    why = "peak only: a trend requires 20 minutes of samples after 5 minutes of warm-up"
    expected = finding(MEMORY, state, why, 181, 100.0)
    assert RULES["trend"](MEMORY, short, replace(ONLY, rehearsal=rehearsal)) == expected


def test_a_trend_whose_interval_contains_the_threshold_is_open() -> None:
    """Noise of 4 MB leaves open what half an hour makes of a week."""
    chance = np.random.default_rng(20261123)
    noisy = [[t, 440 + chance.normal(0, 4)] for t in range(0, 1801, 10)]
    assert RULES["trend"](replace(MEMORY, threshold=442), replace(series(0), value=noisy), ONLY).state is OPEN


def exactly(mb: float, threshold: float) -> Finding:
    """Judge a flat series that is exactly at `mb`."""
    flat = replace(series(0), value=[[t, mb] for t in range(0, 1801, 10)])
    return RULES["trend"](replace(MEMORY, threshold=threshold), flat, ONLY)


def test_a_trend_may_end_exactly_on_the_threshold() -> None:
    """At most 500 MB includes 500 MB."""
    assert exactly(500, 500).state is PASS


@pytest.mark.parametrize(("effect", "shown"), [(1.0, ""), (1.5, " (design effect 1.4)")])
def test_any_design_effect_above_one_is_shown(effect: float, shown: str) -> None:
    """Two blocks whose failures differ a little more than chance would let them."""
    apart = round((effect * 2 * 100 * 0.9) ** 0.5 / 2) if effect > 1 else 0
    blocks = [[1000, 100 + apart], [1000, 100 - apart]]
    found = RULES["proportion"](SUCCESS, measured("load.outcomes", {"failures": 200, "blocks": blocks}, 2000), ONLY)
    assert found.why.startswith(f"200 of 2000 requests failed{shown}")


ALLOWS = Check("limits.answers", "false_allows", 0, "count", min_n=2)
DENIES = Check("limits.answers", "false_denies", 0, "count", min_n=2)


def answers(**keys: Sequence[tuple[float, bool]]) -> Measurement:
    """Make answers of keys that a rule of 1 in 1 s limits: (moment in s, whether it was admitted)."""
    value = [
        {"key": key, "rules": [[1, 1]], "answers": [[int(at_s * 1e6), 2000, admitted] for at_s, admitted in given]}
        for key, given in keys.items()
    ]
    return measured("limits.answers", value, sum(map(len, keys.values())))


ONCE, TWICE_WRONG = [(0, True), (0.5, True)], [(0, True), (0.5, True), (3, True), (3.5, True)]
REFUSED, TWICE_REFUSED = [(0, False)], [(0, False), (2, False)]


@pytest.mark.parametrize(
    ("check", "measurement", "expected"),
    [
        (
            ALLOWS,
            answers(a=ONCE, b=TWICE_WRONG, c=ONCE),
            (FAIL, "at least 4 admissions beyond a limit, most of them by b, 1 in 1 s", 4, 4),
        ),
        (
            DENIES,
            answers(a=REFUSED, b=TWICE_REFUSED, c=REFUSED),
            (FAIL, "at least 4 refusals within a limit, most of them by b, 1 in 1 s", 4, 4),
        ),
        (
            ALLOWS,
            answers(a=[(0, True), (0.5, False)]),
            (
                OPEN,
                "only 1 responses were fast enough to reveal admissions beyond a limit; required: 2",
                1,
                0,
            ),
        ),
        (
            DENIES,
            answers(a=[(0, True), (2, True)]),
            (PASS, "0 refusals within a limit; 2 responses could have revealed one", 2, 0),
        ),
    ],
)
def test_wrong_decisions_name_the_worst_key(
    check: Check, measurement: Measurement, expected: tuple[State, str, int, int]
) -> None:
    """A failure counts what is wrong and what could have been; a pass says how much it is worth."""
    assert RULES[check.rule](check, measurement, ONLY) == finding(check, *expected)
