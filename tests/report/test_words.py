"""Values in words."""

import pytest

from gaia_checks.model import CriterionVerdict, State
from gaia_checks.report import words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "–"),
        (True, "bool", "yes"),
        (False, "bool", "no"),
        (30, "count", "30"),
        (6000, "count", "6,000"),
        (0.9995, "ratio", "99.95 %"),
        (0.99983, "ratio", "99.983 %"),
        (1, "ratio", "100 %"),
        (12.3456, "ms", "12.35 ms"),
        (99.96, "ms", "99.96 ms"),
        (0.0, "s", "0 s"),
        ("050_x", "text", "050_x"),
    ],
)
def test_values_are_written_with_their_unit(value: float | str | bool | None, unit: str, text: str) -> None:
    """Enough digits to see on which side of a threshold a value is."""
    assert words.amount(value, unit) == text


@pytest.mark.parametrize(
    ("needs_s", "text"),
    [
        (None, ""),
        (0.0, ""),
        (240.0, " (about 4 min 00 s more would decide)"),
        (440_120.0, " (too close to the threshold for any longer window)"),
    ],
)
def test_a_forecast_is_something_a_person_can_use(needs_s: float | None, text: str) -> None:
    """Nobody waits five days for a gate."""
    assert words.forecast(needs_s) == text


@pytest.mark.parametrize(
    ("relation", "threshold"), [("≤", "≤ 100 %"), ("≥", "≥ 100 %"), ("", "100 %")], ids=["most", "least", "equal"]
)
def test_a_threshold_shows_its_direction(relation: str, threshold: str) -> None:
    """Nobody reads 98 % of 100 % as a failure where 100 % is the most that is allowed."""
    judged = CriterionVerdict(
        "prod.protection", "", State.PASS, "", 0.98039, None, 1, "ratio", 6001, None, relation=relation
    )
    assert words.columns(judged) == ("98.039 %", "–", threshold, "6,001")
