"""The order in which a gate decides."""

import pytest

from gaia_checks.gate.pytest_hooks.items import rank
from gaia_checks.judge import criteria


@pytest.mark.parametrize(
    ("longest_s", "last"), [(1620, ["soak", "memory", "process"]), (7200, ["load", "load", "load", "process"])]
)
def test_what_is_decided_first_comes_first(longest_s: float, last: list[str]) -> None:
    """A load of two hours is waited for after the soak of half an hour, one of less before it."""
    loaded = criteria.load(overrides={"load": {"max_window_s": longest_s}})
    in_order = [criterion.look for criterion in sorted(loaded.for_stage("prod"), key=rank)]
    assert in_order[-len(last) :] == last
    assert in_order.index("health") < in_order.index("websocket") < in_order.index("rollback") < in_order.index("log")
