"""Checks in words."""

import pytest

from gaia_checks.judge import criteria_file
from gaia_checks.judge.check_rules import RELATIONS
from gaia_checks.report import check_names


def test_every_check_has_a_name() -> None:
    """A check that is added needs one."""
    checks = [check for each in criteria_file.load(criteria_file.PATH).criteria for check in each.checks]
    assert {check.measurement for check in checks} <= set(check_names.NAMES)


@pytest.mark.parametrize(
    ("why", "text"),
    [
        (
            "load.send_lateness_p99 is 4.119 ms; required: at most 10 ms",
            "lateness of requests, p99: 4.119 ms; required: at most 10 ms",
        ),
        (
            "other processes kept this machine busy: load.cpu_of_others is 0.6; required: at most 0.4",
            "other processes kept this machine busy: CPU of other processes: 0.6; required: at most 0.4",
        ),
        ("process.alive is false; required: true; e.g. x", "the server's process runs: false; required: true; e.g. x"),
        ("log.errors was not measured", "errors in the server's log was not measured"),
        ("mine.answers is 3 ms; required: at most 1 ms", "mine.answers is 3 ms; required: at most 1 ms"),
        ("see load.html of gaia.example.org", "see load.html of gaia.example.org"),
    ],
)
def test_a_reason_names_checks_in_words(why: str, text: str) -> None:
    """Everything else in a reason stays as it is."""
    assert check_names.named(why) == text


def test_a_threshold_has_a_direction_unless_only_it_is_good() -> None:
    """A new rule needs a decision."""
    assert set(criteria_file.RULES) - set(RELATIONS) == {"all_good", "equals"}
