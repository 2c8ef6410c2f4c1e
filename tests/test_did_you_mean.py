"""Guesses after a typing error."""

import pytest

from gaia_checks.did_you_mean import guess


@pytest.mark.parametrize(
    ("wrong", "text"), [("prd", " (did you mean prod?)"), ("dv", " (did you mean dev?)"), ("nowhere", ""), ("", "")]
)
def test_a_guess_is_made_only_for_what_resembles_a_name(wrong: str, text: str) -> None:
    """A wrong guess would be worse than none."""
    assert guess(wrong, ("dev", "local", "prod", "qa", "stranger")) == text
