"""The interim analyses: when a growing sample is judged, and the error rate of each analysis."""

import pytest

from gaia_checks.judge import analyses
from gaia_checks.judge.statistics import ONLY_ALPHA


@pytest.mark.parametrize(
    ("window_s", "max_window_s", "ends_s"),
    [
        (300, 1200, (300, 600, 1200)),
        (300, 7200, (300, 1470, 7200)),
        (60, 120, (60, 85, 120)),
        (60, 119, (60, 119)),
        (60, 60, (60,)),
        (60, 0, (60,)),
        (0, 0, (0,)),
    ],
)
def test_analyses_are_at_the_nominal_end_the_longest_and_between(
    window_s: float, max_window_s: float, ends_s: tuple[float, ...]
) -> None:
    """Four times the window gives analyses at 1, 2 and 4 times; less than twice gives two, no longer window one."""
    assert analyses.ends_s(window_s, max_window_s) == ends_s


@pytest.mark.parametrize(("count", "alphas"), [(1, (0.05,)), (2, (0.03, 0.02)), (3, (0.03, 0.01, 0.01))])
def test_several_analyses_together_err_as_often_as_a_single_one(count: int, alphas: tuple[float, ...]) -> None:
    """The alphas of all analyses add up to that of a single one."""
    spent = [analyses.alphas(count, look, lambda *_: True) for look in range(count)]
    assert spent == [(alpha, alpha) for alpha in alphas]
    assert sum(alphas) == pytest.approx(ONLY_ALPHA)


@pytest.mark.parametrize(
    ("possible", "to_pass"), [(set(), (0.03, 0.04, 0.05)), ({0}, (0.03, 0.01, 0.02)), ({1}, (0.03, 0.04, 0.01))]
)
def test_an_analysis_that_no_sample_could_pass_spends_no_alpha(possible: set[int], to_pass: tuple[float, ...]) -> None:
    """Its alpha of passing goes to the next analysis; failing was possible at each, so the alpha of failing stays."""
    spent = [analyses.alphas(3, look, lambda earlier, _: earlier in possible) for look in range(3)]
    assert [each[0] for each in spent] == pytest.approx(to_pass)
    assert [each[1] for each in spent] == [0.03, 0.01, 0.01]


@pytest.mark.parametrize(
    ("window_s", "look"), [(0, 0), (60, 0), (299, 0), (300, 0), (600, 1), (1199, 1), (1200, 2), (1300, 2)]
)
def test_a_sample_belongs_to_the_last_analysis_that_it_has_reached(window_s: float, look: int) -> None:
    """A sample that was cut short belongs to the first analysis."""
    assert analyses.look_at(window_s, (300, 600, 1200)) == look
