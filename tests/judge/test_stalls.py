"""Stalls of the machine explain part of a failure, and never make it a pass."""

from dataclasses import replace
from typing import Any

import pytest

from gaia_checks.errors import CriteriaFileError
from gaia_checks.judge import certain, criteria_file, statistics
from gaia_checks.judge.analyses import ends_s
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.judge.stalls import reconsidered
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.model import Check, Criterion, Finding, Measurement, State

SUCCESS = Check("load.outcomes", "proportion", 0.9995, "ratio", explained_by="load.machine_stalls")
LATENCY = Check("load.latency", "percentile", 100, "ms", percentile=99, explained_by="load.machine_stalls")
RATE = 100


def measured(name: str, value: Any, n: int, window_s: float) -> Measurement:
    """Make a measurement."""
    return Measurement(name, value, "", n, window_s, "2026-02-26T10:00:00.000Z", "measured")


def outcomes(*failures: int) -> Measurement:
    """Make 100 requests a second, of which this many failed in each 10 s."""
    value = {"failures": sum(failures), "blocks": [[10 * RATE, failed] for failed in failures]}
    return measured("load.outcomes", value, 10 * RATE * len(failures), 10 * len(failures))


def histograms(*latencies_s: list[float]) -> Measurement:
    """Make 100 requests a second with these latencies in each 10 s."""
    encoded = []
    for block in latencies_s:
        histogram = Histogram()
        for latency_s in block:
            histogram.record(latency_s)
        encoded.append(histogram.encode())
    return measured("load.latency", encoded, 10 * RATE * len(encoded), 10 * len(encoded))


def latencies(*slow: int) -> Measurement:
    """Make 100 requests a second, of which this many took 200 ms in each 10 s, and the others 10 ms."""
    return histograms(*([0.2] * count + [0.01] * (10 * RATE - count) for count in slow))


def stalls(*stalled_s: float, window_s: float | None = None) -> Measurement:
    """Make the measurement of a machine that stalled for this long in each 10 s."""
    count = sum(each > 0 for each in stalled_s)
    value = {"block_s": 10, "stalled_s": list(stalled_s), "stalls": count, "longest_s": max(stalled_s, default=0.0)}
    return measured("load.machine_stalls", value, len(stalled_s) * 10, window_s or 10 * len(stalled_s))


def judged(check: Check, *measurements: Measurement, rehearsal: bool = True) -> tuple[State, str]:
    """Judge a load of a minute."""
    minute = Criterion("prod.thing", "It works", "load", 60, 60, (60,), (check,))
    verdict = judge_measured(minute, measurements, rehearsal=rehearsal)
    return verdict.state, verdict.why


BAD, STILL = (20,) * 6, (0.1,) * 6
SLOW = (50,) * 6


@pytest.mark.parametrize(
    ("check", "sample", "still", "state"),
    [
        # no stalls, or they were not observed: a failure stays one
        (SUCCESS, outcomes(*BAD), (), State.FAIL),
        (SUCCESS, outcomes(*BAD), (0, 0, 0, 0, 0, 0), State.FAIL),
        (LATENCY, latencies(*SLOW), (), State.FAIL),
        (LATENCY, latencies(*SLOW), (0, 0, 0, 0, 0, 0), State.FAIL),
        # half a second at 100 a second, twice: 100 requests of each block
        (SUCCESS, outcomes(*[100] * 6), (0.5,) * 6, State.INCONCLUSIVE),
        (LATENCY, latencies(*SLOW), (0.25,) * 6, State.INCONCLUSIVE),
        # more are bad than that explains
        (SUCCESS, outcomes(*[120] * 6), (0.5,) * 6, State.FAIL),
        (LATENCY, latencies(*SLOW), STILL, State.FAIL),
        # a stall that outlasts no timeout makes requests slow, and none fail
        (SUCCESS, outcomes(*BAD), (0.4,) * 6, State.FAIL),
        # a long stall explains nothing of the other blocks
        (SUCCESS, outcomes(*BAD), (9, 0, 0, 0, 0, 0), State.FAIL),
        (LATENCY, latencies(*SLOW), (9, 0, 0, 0, 0, 0), State.FAIL),
        # everything is explained: nothing is left to judge
        (SUCCESS, outcomes(*[1000] * 6), [10] * 6, State.INCONCLUSIVE),
        (LATENCY, latencies(*[1000] * 6), [10] * 6, State.INCONCLUSIVE),
        # a pass is never reconsidered, and inconclusive stays inconclusive
        (SUCCESS, outcomes(0, 0, 0, 0, 0, 0), STILL, State.PASS),
        (SUCCESS, outcomes(1, 0, 0, 0, 0, 0), STILL, State.INCONCLUSIVE),
        (LATENCY, latencies(10, 0, 0, 0, 0, 0), STILL, State.PASS),
    ],
)
def test_a_stall_explains_only_the_requests_due_in_it(
    check: Check, sample: Measurement, still: tuple[float, ...], state: State
) -> None:
    """Each block is reduced by at most twice the requests due; the rest decides whether the failure stays."""
    assert judged(check, sample, stalls(*still, window_s=60))[0] is state


def remaining(check: Check, sample: Measurement, still: Measurement) -> Measurement | None:
    """Return what is judged again without the requests that the stalls explain; None where nothing is."""
    judged_again = list[Measurement]()

    def judge(rest: Measurement) -> Finding:
        judged_again.append(rest)
        return Finding(check.measurement, State.PASS, "passes", 1.0, None, check.threshold, check.unit, rest.n, None)

    failed = Finding(check.measurement, State.FAIL, "fails", 1.0, None, check.threshold, check.unit, sample.n, None)
    reconsidered(check, failed, sample, still, judge)
    return judged_again[0] if judged_again else None


def test_failures_are_removed_from_their_own_blocks() -> None:
    """The rest of a proportion has fewer failures, fewer requests, and so has each block that a stall explains."""
    rest = remaining(SUCCESS, outcomes(30, 40, 300), stalls(0, 0.1, 0.5))
    assert rest is not None
    assert rest.value == {"failures": 30 + 20 + 200, "blocks": [[1000, 30], [980, 20], [900, 200]]}
    assert rest.n == 3000 - 20 - 100


def test_the_slowest_are_removed_first() -> None:
    """The rest of a percentile is without the slowest requests of each block, and no request below the threshold."""
    slow = [0.15] * 5 + [0.2] * 5 + [0.4] * 3 + [0.01] * 987
    rest = remaining(LATENCY, histograms(slow, slow, slow), stalls(0.04, 0, 1))
    assert rest is not None
    left = [statistics.decode(text) for text in rest.value]
    counts = [[histogram.get_count_at_value(us) for us in (10_000, 150_000, 200_000, 400_000)] for histogram in left]
    assert counts == [[987, 5, 0, 0], [987, 5, 5, 3], [987, 0, 0, 0]]
    assert [histogram.get_total_count() for histogram in left] == [992, 1000, 987]
    assert rest.n == 3000 - 8 - 13


def test_what_remains_open_says_how_much_longer_it_must_be() -> None:
    """The rest is judged by the check's own rule; every slow request is counted, of each length."""
    slow = [0.15] * 40 + [0.2] * 40 + [0.4] * 20 + [0.01] * 900
    minute = Criterion("prod.thing", "It works", "load", 60, 60, (60,), (LATENCY,))
    verdict = judge_measured(minute, [histograms(*[slow] * 6), stalls(*[0.45] * 6)], rehearsal=True)
    assert verdict.why.endswith("which explains up to 540 of the 600 slow requests; without them p99 is 150.0 ms")
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.needs_s is not None


def test_stalls_end_with_the_last_block_that_was_observed() -> None:
    """Later blocks had no stall."""
    rest = remaining(SUCCESS, outcomes(30, 30), stalls(0.5, window_s=20))
    assert rest is not None
    assert rest.value["blocks"] == [[970, 0], [1000, 30]]


def test_a_histogram_of_a_whole_load_is_reduced_like_those_of_its_blocks() -> None:
    """A percentile may be measured as one histogram."""
    one = replace(histograms([0.2] * 5 + [0.01] * 995), value=histograms([0.2] * 5 + [0.01] * 995).value[0])
    rest = remaining(LATENCY, one, stalls(0.02))
    assert rest is not None
    assert rest.n == 996


def test_one_stall_is_not_counted() -> None:
    """A single stall, which may last from one block into the others, is named as such."""
    still = stalls(*[10] * 6)
    _, why = judged(LATENCY, latencies(*SLOW), replace(still, value={**still.value, "stalls": 1}))
    assert "; but the machine stood still for 60.00 s in one stall, which explains up to 300 of the 300 slow" in why


def test_nothing_may_remain() -> None:
    """A load whose every request is explained is not judged again, and the reason says so."""
    assert remaining(SUCCESS, outcomes(1000), stalls(10)) is None
    assert judged(SUCCESS, outcomes(*[1000] * 6), stalls(*[10] * 6))[1].endswith("; no request remains without them")


def test_the_reason_names_what_stalls_explain() -> None:
    """It gives the total stall time, the share of the failure it may explain, and the result without it."""
    _, why = judged(LATENCY, latencies(*SLOW), stalls(0.25, 0.3, 0.22, 0.25, 0.25, 0.25))
    assert why == (
        "p99 is 200.1 ms, lower bound 199.9 ms; but the machine stood still for 1.52 s in 6 stalls (longest 0.30 s), "
        "which explains up to 294 of the 300 slow requests; without them p99 is 10.0 ms"
    )
    _, why = judged(SUCCESS, outcomes(*BAD), stalls(0.6, 0.1, 0.1, 0.1, 0.1, 0.1))
    assert why.endswith(
        "; but the machine stood still for 1.10 s in 6 stalls (longest 0.60 s), which explains up to 120 of the 120 "
        "failed requests; without them 100.000% succeed"
    )


@pytest.mark.parametrize(
    "unusable",
    [
        measured("load.machine_stalls", None, 0, 60),
        measured("load.machine_stalls", "long", 60, 60),
        measured("load.machine_stalls", {"stalled_s": ["long"]}, 60, 60),
        stalls(0.5, 0, 0, 0, 0, 0, 0, window_s=60),  # more blocks than the load has
        stalls(*STILL, window_s=30),  # of another analysis
    ],
)
def test_stalls_that_cannot_be_read_change_nothing(unusable: Measurement) -> None:
    """The failure and its reason stay as they were."""
    assert judged(SUCCESS, outcomes(*BAD), unusable) == judged(SUCCESS, outcomes(*BAD))
    assert judged(SUCCESS, outcomes(*BAD), unusable)[0] is State.FAIL


def test_a_check_without_explained_by_ignores_stalls() -> None:
    """Stalls explain a failure only where criteria.toml sets explained_by."""
    assert judged(replace(SUCCESS, explained_by=None), outcomes(*BAD), stalls(*STILL))[0] is State.FAIL


@pytest.mark.parametrize(
    ("check", "sample", "still"),
    [(SUCCESS, outcomes(*[60] * 40), [0.5] * 40), (LATENCY, latencies(*[500] * 40), [2.5] * 40)],
)
def test_a_failure_that_stalls_explain_is_not_certain(check: Check, sample: Measurement, still: list[float]) -> None:
    """A stall does not stop a gate early, even if the sample is assumed to be flawless until its next analysis."""
    long = Criterion("prod.thing", "It works", "load", 300, 1620, ends_s(300, 1620), (check,))
    assert certain.failed(long, [sample], rehearsal=True)
    assert certain.failed(long, [sample, stalls(*[0.0] * 40)], rehearsal=True)
    assert not certain.failed(long, [sample, stalls(*still)], rehearsal=True)


def test_the_criteria_name_what_stalls_explain() -> None:
    """Stalls explain success rate and latency of both loads, and nothing else."""
    explained = {
        check.measurement: check.explained_by
        for criterion in criteria_file.load().criteria
        for check in criterion.checks
        if check.explained_by
    }
    assert explained == {
        f"{look}.{what}": f"{look}.machine_stalls"
        for look in ("load", "protection")
        for what in ("outcomes", "latency")
    }


def test_only_shares_are_explained_by_stalls(tmp_path: Any) -> None:
    """An exact value has no requests that could be removed."""
    path = tmp_path / "criteria.toml"
    check = 'measurement = "load.x", rule = "at_most", threshold = 0, unit = "count", explained_by = "load.y"'
    claim = 'claim = "It works"\nlook = "load"'
    path.write_text(f'[looks.load]\n[criteria."dev.thing"]\n{claim}\nchecks = [{{ {check} }}]\n')
    with pytest.raises(CriteriaFileError, match="explained_by requires the rule proportion or percentile, not at_most"):
        criteria_file.load(path)
