"""The processes that measure beside the tests."""

import json
import sys
from pathlib import Path

import pytest

from gaia_checks.gate import background
from gaia_checks.judge import criteria

LOOKS = criteria.load().looks


def test_one_process_records_everything_that_is_wanted() -> None:
    """The recorders get their looks' own parameters; what a test does itself starts nothing."""
    argv = background.commands(Path("run"), LOOKS, {"log", "soak", "health"})
    assert set(argv) == {"recorders"}
    assert argv["recorders"][:5] == (sys.executable, "-m", "gaia_checks.recorders", "--folder", "run")
    assert json.loads(argv["recorders"][-1]) == {"log": {"window_s": 300}, "soak": {"clients": 50, "window_s": 1800}}


@pytest.mark.parametrize(
    ("max_window_s", "told"), [(1200, ("1200", "--looks-s", "300,600")), (300, ("300", "--looks-s", ""))]
)
def test_the_load_is_told_its_rate_and_how_long_it_may_last(max_window_s: float, told: tuple[str, ...]) -> None:
    """No address and no secret stands on a command line: the target goes in by standard input."""
    looks = {"load": {"rate_per_s": 100, "window_s": 300, "max_window_s": max_window_s}}
    argv = background.commands(Path("run"), looks, {"load"})
    assert argv == {
        "load": (
            sys.executable, "-m", "gaia_checks.load", "--folder", "run", "--rate-per-s", "100", "--window-s", *told,
        )
    }  # fmt: skip


def test_every_background_look_has_its_process() -> None:
    """What is recorded comes from the recorders, what is sent from the load, the rest from the tests."""
    assert {look: background.process_of(look) for look in ("log", "soak", "memory", "connections", "load", "api")} == {
        "log": "recorders",
        "soak": "recorders",
        "memory": "recorders",
        "connections": "recorders",
        "load": "load",
        "api": None,
    }
