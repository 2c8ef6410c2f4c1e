"""The order of a gate's tests."""

import pytest

from gaia_checks.gate.pytest_hooks.items import rank
from gaia_checks.judge import criteria_file


@pytest.mark.parametrize(
    ("longest_s", "last"),
    [(1620, ["soak", "instances", "memory", "process"]), (7200, ["load", "load", "load", "process"])],
)
def test_tests_that_decide_first_come_first(longest_s: float, last: list[str]) -> None:
    """The test of a load of two hours comes after that of the soak of half an hour, a shorter one before it."""
    loaded = criteria_file.load(overrides={"load": {"max_window_s": longest_s}})
    in_order = [criterion.look for criterion in sorted(loaded.for_stage("prod"), key=rank)]
    assert in_order[-len(last) :] == last
    assert in_order[:2] == ["health", "api"]
    assert in_order.index("health") < in_order.index("websocket") < in_order.index("rollback") < in_order.index("log")
