"""Tests of the benchmark results and exit codes."""

import json
from pathlib import Path

import pytest

from benchmarks.limiter import speed
from benchmarks.limiter.generator import Offered
from benchmarks.limiter.results import Promise, Section, finish


def offered(requests: int, statuses: dict[str, int] | None = None, lost: int = 0) -> Offered:
    """Return the generator's result of one second."""
    return Offered(requests, 1.0, lost, 0, statuses or {"200": requests}, 1.0, 2.0, 3.0, 4.0, 0.0, 0.1)


def test_ratios_are_taken_within_a_round() -> None:
    """A temporarily slow machine slows both sides of a ratio; the benchmark reports the median of the rounds."""
    paces = {speed.EMPTY: 100, speed.PRODUCT: 60, speed.HOT: 66, speed.ONE_CALL: 20, speed.LEAN_CALL: 24}
    rounds = [
        {variant: offered(paces.get(variant, 50) * machine) for variant in speed.VARIANTS} for machine in (10, 3, 7)
    ]
    found = speed.section("speed", rounds)
    assert [one.value for one in found.promises] == pytest.approx([0.6, 2.5, 1.1, 1.2])  # 2.5: of the faster one
    assert all(one.kept for one in found.promises)
    assert [row[0] for row in found.rows] == [variant.name for variant in speed.VARIANTS]


@pytest.mark.parametrize(
    ("promise", "kept"),
    [
        (Promise("rate", 0.45, at_least=0.45), True),
        (Promise("rate", 0.449, at_least=0.45), False),
        (Promise("p99", 5.0, at_most=5), True),
        (Promise("p99", 5.01, at_most=5), False),
        (Promise("rate", float("nan"), at_least=0.45), False),
    ],
)
def test_a_broken_promise_is_the_exit_code(promise: Promise, kept: bool, tmp_path: Path) -> None:
    """The exit code is 0 when every promise is kept, else 1; the file has the same results."""
    path = tmp_path / "made" / "found.json"
    with pytest.raises(SystemExit) as exited:
        finish([Section("s", ("what", "n"), [("a", 1)], [Promise("always", 1, at_most=1), promise])], path)
    assert exited.value.code == (0 if kept else 1)
    (section,) = json.loads(path.read_text())
    assert section["rows"] == [{"what": "a", "n": 1}]
    assert [one["kept"] for one in section["promises"]] == [True, kept]


@pytest.mark.parametrize("found", [offered(9, {"200": 8, "503": 1}), offered(9, lost=1), offered(9, {"429": 9})])
def test_a_run_with_other_statuses_has_no_rate(found: Offered) -> None:
    """Refusals, errors and lost connections are fast, so a run that contains them reports no rate."""
    with pytest.raises(SystemExit, match="not every answer was 200"):
        found.expect_only("200")
    assert offered(9).expect_only("200").per_s == 9
