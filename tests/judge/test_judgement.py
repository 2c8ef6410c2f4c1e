"""The verdict: a pass requires evidence, a failure is final, everything else is inconclusive."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from gaia_checks.judge import judgement
from gaia_checks.judge.analyses import ends_s
from gaia_checks.model import Check, Criterion, CriterionVerdict, Measurement, State

ALL_GOOD = Check("look.good", "all_good", 1, "ratio", min_n=3)
AT_MOST = Check("look.errors", "at_most", 0, "count")
AT_LEAST = Check("look.tables", "at_least", 7, "count")
EQUALS = Check("look.alive", "equals", True, "bool")
PROPORTION = Check("load.outcomes", "proportion", 0.9995, "ratio")
PERCENTILE = Check("load.latency", "percentile", 100, "ms", percentile=99)
TREND = Check("memory.series", "trend", 500, "MB")
HONEST = Check("load.sent", "at_least", 0.999, "ratio", generator=True)
EXCUSE = Check("load.cpu_of_others", "at_most", 0.4, "ratio", generator=True, excuses=True)


def criterion(*checks: Check, window_s: float = 0, max_window_s: float = 0) -> Criterion:
    """Make a criterion of some checks."""
    return Criterion("dev.thing", "It works", "look", window_s, max_window_s, ends_s(window_s, max_window_s), checks)


def measured(name: str, value: Any, n: int = 3, window_s: float = 60, notes: tuple[str, ...] = ()) -> Measurement:
    """Make a measurement."""
    return Measurement(name, value, "", n, window_s, "2026-02-26T10:00:00.000Z", "measured", notes)


def judged(what: Criterion, *measurements: Measurement) -> CriterionVerdict:
    """Judge measurements of a test that ran to its end, in a gate that finished, as a rehearsal."""
    end = (measured("gate.outcome.dev.thing", "passed"), measured(judgement.FINISHED, True))
    return judgement.judge([what], [*measurements, *end], rehearsal=True)[0]


def latency(milliseconds: float, n: int) -> Measurement:
    """Make a histogram of n equal latencies."""
    histogram = HdrHistogram(1, 60_000_000, 3)
    histogram.record_value(round(milliseconds * 1000), n)
    return measured("load.latency", histogram.encode().decode(), n)


def outcomes(failures: int, n: int, window_s: float = 60) -> Measurement:
    """Make n outcomes in one block."""
    return measured("load.outcomes", {"failures": failures, "blocks": [[n, failures]]}, n, window_s)


@pytest.mark.parametrize(
    ("check", "measurement", "state"),
    [
        (ALL_GOOD, measured("look.good", 3), State.PASS),
        (ALL_GOOD, measured("look.good", 2), State.FAIL),
        (AT_MOST, measured("look.errors", 0), State.PASS),
        (AT_MOST, measured("look.errors", 1), State.FAIL),
        (AT_LEAST, measured("look.tables", 7), State.PASS),
        (AT_LEAST, measured("look.tables", 6), State.FAIL),
        (EQUALS, measured("look.alive", True), State.PASS),
        (EQUALS, measured("look.alive", False), State.FAIL),
        (EQUALS, measured("look.alive", 1), State.FAIL),
        (PROPORTION, outcomes(0, 5_990), State.PASS),
        (PROPORTION, outcomes(0, 5_989), State.INCONCLUSIVE),
        (PROPORTION, outcomes(1, 5_990), State.INCONCLUSIVE),
        (PROPORTION, outcomes(60, 6_000), State.FAIL),
        (PERCENTILE, latency(99.6, 6_000), State.PASS),
        (PERCENTILE, latency(100.4, 6_000), State.FAIL),
        (PERCENTILE, latency(10, 100), State.INCONCLUSIVE),
        (TREND, measured("memory.series", [[t, 40.0] for t in range(60)], 60), State.PASS),
    ],
)
def test_each_rule_decides_on_both_sides(check: Check, measurement: Measurement, state: State) -> None:
    """Every rule has a value that passes and one that does not."""
    assert judged(criterion(check), measurement).state is state


@pytest.mark.parametrize(
    ("measurements", "why"),
    [
        ([], "look.good was not measured"),
        ([measured("look.good", 0, n=0)], "look.good has no samples"),
        (
            [measured("look.good", 0, n=0, notes=("no log file: set log in qa.toml",))],
            "no log file: set log in qa.toml",
        ),
        ([measured("look.good", 2, n=2)], "2 samples, required: 3"),
        ([measured("look.good", math.nan)], "look.good is nan, not a number"),
        ([measured("look.good", "three")], "look.good cannot be read: "),
        ([measured("look.good", None)], "look.good cannot be read: "),
    ],
)
def test_missing_evidence_decides_nothing(measurements: list[Measurement], why: str) -> None:
    """Without usable samples a criterion is inconclusive and names what is missing."""
    result = judged(criterion(ALL_GOOD), *measurements)
    assert result.state is State.INCONCLUSIVE
    assert result.why.startswith(why)


def test_a_pass_needs_the_whole_window_and_reports_how_much_is_missing() -> None:
    """Sixty seconds without an error line prove nothing about five minutes."""
    result = judged(criterion(AT_MOST, window_s=300), measured("look.errors", 0))
    assert (result.state, result.needs_s) == (State.INCONCLUSIVE, 240)


def test_what_is_measured_on_a_copy_needs_no_window() -> None:
    """It is complete when it was measured, however long the look of the target lasts."""
    on_copy = Check("look.kept", "at_most", 20, "bytes", optional=True, on_copy=True)
    verdicts = [judged(criterion(on_copy, window_s=300), measured("look.kept", kept, n=5000)) for kept in (3, 30)]
    assert [verdict.state for verdict in verdicts] == [State.PASS, State.FAIL]


def test_a_failure_needs_no_window() -> None:
    """One error line after a minute is one too many after five."""
    assert judged(criterion(AT_MOST, window_s=300), measured("look.errors", 1)).state is State.FAIL


def slow(share: float, n: int, window_s: float) -> Measurement:
    """Make a histogram of n latencies, of which this share took 122 ms and the others 8 ms."""
    histogram = HdrHistogram(1, 60_000_000, 3)
    histogram.record_value(122_000, round(n * share))
    histogram.record_value(8_000, n - round(n * share))
    return measured("load.latency", histogram.encode().decode(), n, window_s)


@pytest.mark.parametrize(
    ("check", "measurement", "state"),
    [
        (PERCENTILE, slow(0.03, 600, 6), State.INCONCLUSIVE),  # 3 % of 6 s are 0.3 % of a minute
        (PERCENTILE, slow(0.03, 6_000, 60), State.FAIL),
        (PERCENTILE, slow(0.5, 3_000, 30), State.FAIL),  # a quarter of the minute is slow, whatever is to come
        (PROPORTION, outcomes(6, 600, 6), State.INCONCLUSIVE),
        (PROPORTION, outcomes(60, 6_000, 60), State.FAIL),
    ],
)
def test_a_sample_that_was_cut_short_fails_only_for_certain(
    check: Check, measurement: Measurement, state: State
) -> None:
    """Its end was not planned, and judging at any time would fail a healthy server at its first hiccup."""
    result = judged(criterion(check, window_s=60), measurement)
    assert result.state is state
    if state is State.INCONCLUSIVE:
        assert (result.why.partition(";")[0], result.needs_s) == ("observed 6 s of 60 s", 54)


def test_a_repeated_measurement_must_pass_twice() -> None:
    """Running a test again does not turn its first failure into a pass."""
    result = judged(criterion(ALL_GOOD), measured("look.good", 2), measured("look.good", 3))
    assert result.state is State.FAIL


def test_all_checks_must_pass() -> None:
    """The worst check represents the criterion, and all findings are kept."""
    result = judged(criterion(ALL_GOOD, AT_MOST), measured("look.good", 3), measured("look.errors", 2, notes=("boom",)))
    assert result.state is State.FAIL
    assert result.why == "look.errors is 2; required: at most 0; boom"
    assert [finding.state for finding in result.checks] == [State.PASS, State.FAIL]


@pytest.mark.parametrize("failures", [0, 600])
def test_a_generator_that_was_late_decides_nothing(failures: int) -> None:
    """An unreliable generator allows neither a pass nor a failure."""
    result = judged(criterion(HONEST, PROPORTION), measured("load.sent", 0.98), outcomes(failures, 6_000))
    assert result.state is State.INCONCLUSIVE
    assert result.why.startswith("the load generator is unreliable: load.sent is 0.98")


@pytest.mark.parametrize("outcome", ["skipped: no reason", "expected to fail (xfail): ", "failed in setup: boom"])
def test_a_pass_needs_a_test_that_ran_to_its_end(outcome: str) -> None:
    """Skipped, expected to fail or broken: the measurements may be fine, the criterion is inconclusive."""
    measurements = [
        measured("look.good", 3),
        measured("gate.outcome.dev.thing", outcome),
        measured(judgement.FINISHED, True),
    ]
    result = judgement.judge([criterion(ALL_GOOD)], measurements, rehearsal=True)[0]
    assert (result.state, result.why) == (State.INCONCLUSIVE, f"its test did not run to its end: {outcome}")


def test_the_verdict_gives_the_reason_of_an_inconclusive_test() -> None:
    """It reports the test's own reason instead of the measurements that are missing."""
    measurements = [
        measured("gate.outcome.dev.thing", "inconclusive: connection refused"),
        measured(judgement.FINISHED, True),
    ]
    result = judgement.judge([criterion(ALL_GOOD)], measurements, rehearsal=True)[0]
    assert (result.state, result.why) == (State.INCONCLUSIVE, "connection refused")


def test_a_criterion_whose_test_did_not_run_is_not_checked() -> None:
    """Deselected or missing tests leave the criterion inconclusive."""
    result = judgement.judge(
        [criterion(ALL_GOOD)], [measured("look.good", 3), measured(judgement.FINISHED, True)], rehearsal=True
    )[0]
    assert result.state is State.INCONCLUSIVE
    assert result.why.startswith("not checked")


def test_a_killed_gate_passes_nothing() -> None:
    """Without the gate's last measurement even a passed test proves nothing."""
    measurements = [measured("look.good", 3), measured("gate.outcome.dev.thing", "passed")]
    result = judgement.judge([criterion(ALL_GOOD)], measurements, rehearsal=True)[0]
    assert (result.state, result.why) == (State.INCONCLUSIVE, "the gate was stopped before it finished; run it again")


def test_an_unknown_trend_passes_only_in_a_rehearsal() -> None:
    """A minute of memory samples proves nothing about a week."""
    minute = measured("memory.series", [[t, 40.0] for t in range(60)], 60)
    states = [
        judgement.judge_measured(criterion(TREND), [minute], rehearsal=rehearsal).state for rehearsal in (True, False)
    ]
    assert states == [State.PASS, State.INCONCLUSIVE]


BURSTY = replace(PROPORTION, burst_s=1)
EXTENDED = criterion(PROPORTION, window_s=60, max_window_s=240)


@pytest.mark.parametrize(
    ("what", "n", "rehearsal", "state"),
    [
        (criterion(PROPORTION, window_s=60, max_window_s=60), 5_990, False, State.PASS),
        (EXTENDED, 5_990, False, State.INCONCLUSIVE),
        (EXTENDED, 7_020, False, State.PASS),
        (criterion(BURSTY, window_s=60), 5_990, True, State.PASS),
        (criterion(BURSTY, window_s=60), 59_900, False, State.INCONCLUSIVE),
    ],
)
def test_how_much_evidence_a_pass_requires(what: Criterion, n: int, rehearsal: bool, state: State) -> None:
    """The first of three analyses requires more than a single one, bursts require more, a rehearsal ignores them."""
    assert judgement.judge_measured(what, [outcomes(0, n)], rehearsal=rehearsal).state is state


def test_a_pass_names_the_bursts_that_it_takes_into_account() -> None:
    """The burst is one second of requests at the measured rate."""
    result = judgement.judge_measured(
        criterion(BURSTY, window_s=7_200), [outcomes(0, 720_000, window_s=7_200)], rehearsal=False
    )
    assert result.state is State.PASS
    assert result.why.endswith("succeed, even if requests fail 100 at a time")


@pytest.mark.parametrize(
    ("looks", "state", "when"),
    [
        ([(0, 6_000)], State.INCONCLUSIVE, "analysis 1 of 3, after 60 s"),
        ([(0, 6_000), (0, 12_000)], State.PASS, "analysis 2 of 3, after 120 s"),
        ([(0, 6_000), (2, 12_000), (1, 24_000)], State.PASS, "analysis 3 of 3, after 240 s"),
        ([(1, 6_000), (6, 12_000), (12, 24_000)], State.INCONCLUSIVE, "analysis 3 of 3, after 240 s"),
        ([(60, 6_000)], State.FAIL, "analysis 1 of 3, after 60 s"),
        ([(0, 9_000), (0, 12_000), (90, 24_000)], State.FAIL, "analysis 3 of 3, after 240 s"),
    ],
)
def test_a_growing_sample_is_judged_at_each_analysis(looks: list[tuple[int, int]], state: State, when: str) -> None:
    """The first analysis that decides gives the verdict and is named; a failure at any analysis is final."""
    ends = zip(looks, EXTENDED.looks_s, strict=False)
    result = judgement.judge_measured(
        EXTENDED, [outcomes(failures, n, end_s) for (failures, n), end_s in ends], rehearsal=False
    )
    assert (result.state, result.why.endswith(when)) == (state, True), result.why


def test_one_look_is_not_mentioned() -> None:
    """The reason names no analysis where there is only one."""
    assert "analysis" not in judged(criterion(PROPORTION), outcomes(0, 6_000)).why


HONEST_EXTENDED = criterion(HONEST, PROPORTION, window_s=60, max_window_s=240)


@pytest.mark.parametrize(
    ("measurements", "more"),
    [
        ([measured("load.sent", 1.0), outcomes(0, 6_000)], True),
        ([measured("load.sent", 1.0), outcomes(0, 9_000)], False),  # passed
        ([measured("load.sent", 1.0), outcomes(60, 6_000)], False),  # failed
        ([measured("load.sent", 0.9), outcomes(0, 6_000)], False),  # more of a starved generator does not help
        ([measured("load.sent", 1.0)], False),  # the outcomes are missing
        ([], False),
        ([measured("load.sent", 1.0, window_s=240), outcomes(1, 6_000, 240)], False),  # no analysis follows
    ],
)
def test_only_an_open_statistical_check_extends_the_look(measurements: list[Measurement], more: bool) -> None:
    """A look is extended while its statistics are undecided and no other check fails."""
    assert judgement.undecided(HONEST_EXTENDED, measurements, rehearsal=False) is more


def test_latency_is_judged_by_its_variation_between_blocks() -> None:
    """Two percent of slow requests, spread evenly, fail; in a single stall they decide nothing."""
    even, stall = HdrHistogram(1, 60_000_000, 3), HdrHistogram(1, 60_000_000, 3)
    even.record_value(10_000, 98)
    even.record_value(500_000, 2)
    quick = HdrHistogram(1, 60_000_000, 3)
    quick.record_value(10_000, 100)
    stall.record_value(500_000, 100)
    spread = [even.encode().decode()] * 50
    together = [quick.encode().decode()] * 49 + [stall.encode().decode()]
    states = [
        judged(criterion(PERCENTILE), measured("load.latency", value, 5_000)).state for value in (spread, together)
    ]
    assert states == [State.FAIL, State.INCONCLUSIVE]


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([], State.INCONCLUSIVE),
        ([State.PASS, State.PASS], State.PASS),
        ([State.PASS, State.INCONCLUSIVE], State.INCONCLUSIVE),
        ([State.INCONCLUSIVE, State.FAIL, State.PASS], State.FAIL),
    ],
)
def test_the_stage_is_as_good_as_its_worst_criterion(states: list[State], state: State) -> None:
    """Fail before inconclusive before pass; nothing at all is inconclusive."""
    one = judged(criterion(ALL_GOOD), measured("look.good", 3))
    assert judgement.overall([replace(one, state=each) for each in states]) is state


@pytest.mark.parametrize(
    ("failures", "others", "state"),
    [
        (0, 0.1, State.PASS),
        (0, 0.9, State.PASS),  # passes despite the other processes
        (500, 0.1, State.FAIL),
        (500, 0.9, State.INCONCLUSIVE),
        (8, 0.9, State.INCONCLUSIVE),
    ],
)
def test_a_busy_machine_excuses_a_failure_and_revokes_no_pass(failures: int, others: float, state: State) -> None:
    """CPU time taken by other processes can only make the server look worse."""
    found = judged(criterion(EXCUSE, PROPORTION), measured("load.cpu_of_others", others), outcomes(failures, 20_000))
    assert found.state is state
    if failures == 500 and state is State.INCONCLUSIVE:
        assert found.why == ("other processes kept this machine busy: load.cpu_of_others is 0.9; required: at most 0.4")


def test_neither_a_late_generator_nor_a_busy_machine_explains_a_certain_failure() -> None:
    """Eight times too many admissions fail the server, however late its requests were sent."""
    late = Check("load.send_lateness_p99", "at_most", 10, "ms", generator=True)
    flood = Check("load.admitted_of_limit", "at_most", 1, "ratio", certain=True)
    reliable = [measured("load.send_lateness_p99", 3), measured("load.cpu_of_others", 0.1)]
    unreliable = [measured("load.send_lateness_p99", 67), measured("load.cpu_of_others", 0.9)]
    what = criterion(late, EXCUSE, flood)
    for generator in (reliable, unreliable):
        found = judged(what, *generator, measured("load.admitted_of_limit", 8.4))
        assert found.state is State.FAIL
        assert found.why.startswith("load.admitted_of_limit is 8.4; required: at most 1")
    assert judged(what, *unreliable, measured("load.admitted_of_limit", 0.9)).state is State.INCONCLUSIVE


def test_an_excuse_that_was_not_measured_excuses_nothing() -> None:
    """A missing excuse changes neither a failure nor a pass."""
    what = criterion(EXCUSE, PROPORTION)
    assert judged(what, outcomes(500, 20_000)).state is State.FAIL
    assert judged(what, outcomes(0, 20_000)).state is State.PASS


def test_a_busy_machine_does_not_prevent_the_extension_of_a_load() -> None:
    """An undecided criterion may still pass."""
    what = criterion(EXCUSE, PROPORTION, window_s=60, max_window_s=240)
    measurements = [measured("load.cpu_of_others", 0.9), outcomes(1, 6000)]
    assert judgement.undecided(what, measurements, rehearsal=True)


CLOSING = Check("gate.left", "at_most", 0, "count", optional=True, closing=True)


@pytest.mark.parametrize(
    ("left", "state", "why"),
    [
        ([measured("gate.left", 0, window_s=0)], State.PASS, "3 of 3"),
        ([measured("gate.left", 2)], State.FAIL, "gate.left is 2"),
        ([measured("gate.left", 0, n=0, notes=("not searched",))], State.PASS, "3 of 3"),
        ([], State.INCONCLUSIVE, "gate.left was not measured when the gate closed"),
    ],
)
def test_what_is_measured_at_the_close_decides_after_the_test(left: list[Measurement], state: State, why: str) -> None:
    """It fails a criterion that its test passed; a target that does not show it is not judged on it."""
    what, good = criterion(ALL_GOOD, CLOSING, window_s=60), measured("look.good", 3)
    verdict = judged(what, good, *left)
    assert verdict.state is state
    assert why in verdict.why
    assert judgement.judge_measured(what, [good], rehearsal=True).state is State.PASS


def test_of_several_wrong_samples_the_reason_gives_the_count_and_the_worst() -> None:
    """The first note of such a measurement is the worst fault."""
    notes = ("GET /a: no answer", "title missing")
    verdict = judged(criterion(ALL_GOOD), measured("look.good", 26, 43, notes=notes))
    assert verdict.why.startswith("17 of 43 wrong (")
    assert verdict.why.endswith("; worst: GET /a: no answer")


def test_a_verdict_takes_every_figure_from_the_finding_that_decided() -> None:
    """Of two checks, the failed one gives state, reason and figures; identity and claim are the criterion's."""
    result = judged(criterion(ALL_GOOD, AT_MOST), measured("look.good", 3), measured("look.errors", 2, n=7))
    assert result == CriterionVerdict(
        id="dev.thing",
        claim="It works",
        state=State.FAIL,
        why="look.errors is 2; required: at most 0",
        measured=2,
        bound=None,
        threshold=0,
        unit="count",
        n=7,
        needs_s=None,
        checks=result.checks,
        relation="≤",
    )
    assert [finding.measurement for finding in result.checks] == ["look.good", "look.errors"]


def test_a_verdict_has_the_bound_that_decided() -> None:
    """A statistical check passes by its bound, not by what was measured."""
    result = judged(criterion(PROPORTION), outcomes(0, 6_000))
    assert result.bound == result.checks[0].bound == pytest.approx(0.99950, abs=2e-5)


def test_when_all_pass_the_first_check_represents_the_criterion() -> None:
    """criteria.toml lists the one that the claim is about first."""
    result = judged(criterion(AT_LEAST, ALL_GOOD), measured("look.tables", 8), measured("look.good", 3))
    assert (result.state, result.measured, result.relation) == (State.PASS, 8, "≥")


def test_the_worst_check_represents_an_open_criterion() -> None:
    """A pass of the first check does not hide what is undecided."""
    result = judged(criterion(AT_LEAST, ALL_GOOD), measured("look.tables", 8), measured("look.good", 2, n=2))
    assert (result.state, result.why) == (State.INCONCLUSIVE, "2 samples, required: 3")


def test_nothing_measured_has_the_figures_of_the_first_check_of_its_own() -> None:
    """Checks of the generator represent nothing."""
    nothing = judgement.unmeasured(criterion(HONEST, PERCENTILE), State.NOT_APPLICABLE, "no load")
    assert nothing == CriterionVerdict(
        "dev.thing", "It works", State.NOT_APPLICABLE, "no load", None, None, 100, "ms", 0, None, (), "<"
    )


def test_one_sample_is_evidence() -> None:
    """A single sample passes where no more are required."""
    assert judged(criterion(AT_MOST), measured("look.errors", 0, n=1)).state is State.PASS
    assert judged(criterion(replace(AT_MOST, optional=True)), measured("look.errors", 1, n=1)).state is State.FAIL


@pytest.mark.parametrize("n", [1, 5])
def test_what_cannot_be_read_or_is_no_number_keeps_its_count(n: int) -> None:
    """The finding still says how many samples there were."""
    for value in ("many", math.nan):
        result = judged(criterion(AT_MOST), measured("look.errors", value, n=n))
        assert (result.state, result.n) == (State.INCONCLUSIVE, n)


def test_an_open_sample_says_how_much_longer_it_must_be() -> None:
    """Only where the sample itself is the reason: no longer window helps a test that did not run to its end."""
    open_sample = judged(criterion(PROPORTION), outcomes(1, 6_000))
    assert open_sample.needs_s is not None
    assert open_sample.needs_s > 30
    stopped = [
        outcomes(1, 6_000),
        measured("gate.outcome.dev.thing", "failed: boom"),
        measured(judgement.FINISHED, True),
    ]
    assert judgement.judge([criterion(PROPORTION)], stopped, rehearsal=True)[0].needs_s is None
    same_reason = [
        outcomes(1, 6_000),
        measured("gate.outcome.dev.thing", f"{judgement.UNDECIDED}{open_sample.why}"),
        measured(judgement.FINISHED, True),
    ]
    again = judgement.judge([criterion(PROPORTION)], same_reason, rehearsal=True)[0]
    assert (again.why, again.needs_s) == (open_sample.why, open_sample.needs_s)


def test_a_single_sample_may_be_extended() -> None:
    """One request of an open look is enough to continue it."""
    one = [measured("load.sent", 1.0), outcomes(0, 1)]
    assert judgement.undecided(HONEST_EXTENDED, one, rehearsal=False)


def test_a_rehearsal_extends_by_its_own_rules() -> None:
    """Without bursts it has passed; with them the same sample is open."""
    bursty = criterion(BURSTY, window_s=60, max_window_s=240)
    assert judgement.undecided(bursty, [outcomes(0, 9_000)], rehearsal=False)
    assert not judgement.undecided(bursty, [outcomes(0, 9_000)], rehearsal=True)
