"""Tests of the exit code of a load by hand: thresholds, bounds, and the generator first."""

import argparse
import subprocess
import sys
from typing import Any

import pytest

from gaia_checks.load.results.aggregate import Total
from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.per_second import Arrival, SecondCounter
from gaia_checks.load.results.thresholds import Thresholds, duration_ms, judge, share


def result(n: int = 6000, took_s: float = 0.01, failed: int = 0, cpu: float = 0.1, **changes: Any) -> dict[str, Any]:
    """Return the result of a load of `n` requests of this latency, some of them failed."""
    tally, total = SecondCounter(60), Total(60)
    for index in range(n):
        due_s = index * 60 / n
        tally.intend()
        tally.send(due_s, due_s)
        tally.end(
            Arrival(
                due_s, due_s, due_s + took_s, "500" if failed and index % (n // failed) == 0 else None, answered=True
            )
        )
    total.add(tally.close(59, 60, Shares(cpu, 0, 0), last=True))
    return {**total.result(), **changes}


@pytest.mark.parametrize(
    ("observed", "limits", "code"),
    [
        (result(), Thresholds(), 0),
        (result(), Thresholds(p99_ms=100, success=0.9995), 0),
        (result(took_s=0.0996), Thresholds(p99_ms=100), 0),
        (result(took_s=0.1004), Thresholds(p99_ms=100), 1),
        (result(failed=20), Thresholds(success=0.9995), 1),
        (result(failed=3), Thresholds(success=0.9995), 8),
        (result(n=200), Thresholds(p99_ms=100), 8),
        (result(n=200, took_s=1), Thresholds(p99_ms=100), 1),
        (result(failed=20, took_s=0.01), Thresholds(p99_ms=100), 0),
        (result(failed=3, took_s=1), Thresholds(p99_ms=100, success=0.9995), 1),
    ],
)
def test_the_exit_code_follows_from_the_bounds(observed: dict[str, Any], limits: Thresholds, code: int) -> None:
    """The exit code is 0 when all thresholds are proven, 1 when one is disproven, else 8."""
    assert judge(observed, limits)[0] == code


def test_requests_that_were_slow_together_decide_less() -> None:
    """A stall of 0.45 s makes 0.6 % of a minute slow: below 1 %, but undecided, because they are correlated."""
    tally, total = SecondCounter(60), Total(60)
    for index in range(6000):
        due_s = index / 100
        tally.intend()
        tally.send(due_s, due_s)
        finished_s = 30.45 if 30 <= due_s < 30.45 else due_s + 0.01
        tally.end(Arrival(due_s, due_s, finished_s, None, answered=True))
    total.add(tally.close(59, 60, Shares(0.1, 0, 0), last=True))
    code, findings = judge(total.result(), Thresholds(p99_ms=100))
    assert (code, findings[0].text) == (
        8,
        "inconclusive: p99 of 6000 (bounds 10.000 ms to 330.240 ms, 100 ms required)",
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"broken": "locust stumbled"}, "inconclusive: the load was not measured: locust stumbled"),
        ({"done": 0}, "inconclusive: no request finished"),
        ({"sent": 5900}, "load.sent_of_intended is 0.983333 ratio, at least 0.999 is required"),
        ({"lateness_p99_ms": 11.0}, "load.send_lateness_p99 is 11 ms, at most 10 is required"),
        ({"lateness_max_ms": 1500.0}, "load.send_lateness_max is 1500 ms, at most 1000 is required"),
        ({"generator_errors": 1, "generator_notes": ["E"]}, "generator_errors is 1 count, at most 0 is required (E)"),
        ({"cpu_p95": 0.9}, "load.generator_cpu is 0.9 ratio, at most 0.7 is required"),
        ({"steal_p95": 0.2}, "load.cpu_steal is 0.2 ratio, at most 0.1 is required"),
        ({"limited": 2, "limited_notes": ["429"]}, "load.limited is 2 count, at most 0 is required (429)"),
    ],
)  # fmt: skip
def test_an_unreliable_generator_is_inconclusive(changes: dict[str, Any], text: str) -> None:
    """The server neither passes nor fails."""
    for took_s in (0.01, 5):
        code, findings = judge({**result(took_s=took_s), **changes}, Thresholds(p99_ms=100))
        assert code == 8
        assert text in findings[0].text


@pytest.mark.parametrize(("admitted", "code"), [(61, 0), (62, 1)])
def test_a_flood_may_not_be_admitted_beyond_its_limit(admitted: int, code: int) -> None:
    """An admitted flood fails even without other thresholds."""
    flood = {"route": "GET flood", "sent": 600, "admitted": admitted, "allowed": 61.0}
    found, findings = judge(result(floods=[flood]), Thresholds())
    assert found == code
    assert f"flood GET flood: {admitted} of 600 admitted, 61 allowed" in findings[0].text


def test_a_finding_shows_its_bounds_and_sample() -> None:
    """The finding contains the bounds, the sample size and an example."""
    _, findings = judge(result(failed=20), Thresholds(p99_ms=100, success=0.9995))
    assert findings[0].text.startswith("fail: success 99.6667% of 6000 (bounds 99.")
    assert findings[0].text.endswith("required); 500, due at 0.00 s")
    assert findings[1].text == "pass: p99 of 6000 (bounds 10.000 ms to 10.008 ms, 100 ms required)"


def test_durations_and_shares_are_read() -> None:
    """Durations accept ms and s, shares accept a percent sign or a fraction."""
    assert [duration_ms(text) for text in ("100ms", "0.1s", "2s")] == [100, 100, 2000]
    assert [share(text) for text in ("99.95%", "0.9995", "100%")] == [pytest.approx(0.9995), 0.9995, 1]


@pytest.mark.parametrize("text", ["", "100", "ms", "0ms", "-1s", "1m"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    """A duration without a valid unit is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        duration_ms(text)


@pytest.mark.parametrize("text", ["", "%", "0%", "101%", "99.95", "-1", "nan"])
def test_an_invalid_share_is_refused(text: str) -> None:
    """A share outside 0 to 1 is refused, such as 99.95 without its percent sign."""
    with pytest.raises(argparse.ArgumentTypeError):
        share(text)


def test_the_latency_histogram_contains_every_judged_request() -> None:
    """The latency histogram contains every judged request."""
    assert Histogram.decode(result(n=100)["latency"]).total == 100


def test_a_load_starts_without_scipy() -> None:
    """Only judging needs it, and its import takes as long as locust's own."""
    code = "import sys, gaia_checks.locustfile; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
