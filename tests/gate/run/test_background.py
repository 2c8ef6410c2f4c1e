"""The processes that measure beside the tests."""

import json
import sys
from pathlib import Path

import pytest

from gaia_checks.gate.run import background, plan
from gaia_checks.judge import criteria
from gaia_checks.model import Measurement, Target

LOOKS = criteria.load().looks


def test_one_process_records_everything_that_is_wanted() -> None:
    """The recorders get their looks' own parameters; what a test does itself starts nothing."""
    argv = background.recorders(Path("run"), LOOKS, {"log", "soak", "health"}, Path("notes"))
    assert set(argv) == {"recorders"}
    assert argv["recorders"][:-1] == (
        sys.executable, "-m", "gaia_checks.recorders", "--folder", "run", "--so-far", "notes", "--looks",
    )  # fmt: skip
    assert json.loads(argv["recorders"][-1]) == {"log": {"window_s": 300}, "soak": {"clients": 50, "window_s": 1800}}


def test_a_look_of_the_process_is_recorded_until_the_gate_ends() -> None:
    """What a test looks at last is watched from the beginning, for as long as everything else takes."""
    argv = background.recorders(Path("run"), LOOKS, {"process", "soak"}, Path("notes"))
    assert json.loads(argv["recorders"][-1])["restarts"] == {"window_s": 1800}
    assert background.recorders(Path("run"), LOOKS, {"health"}, Path("notes")) == {}


@pytest.mark.parametrize(
    ("max_window_s", "told"), [(1200, ("1200", "--looks-s", "300,600")), (300, ("300", "--looks-s", ""))]
)
@pytest.mark.parametrize("look", plan.LOADS)
def test_a_load_is_told_its_rate_and_how_long_it_may_last(
    look: str, max_window_s: float, told: tuple[str, ...]
) -> None:
    """No address and no secret stands on a command line: the target goes in by standard input."""
    looks = {look: {"rate_per_s": 100, "window_s": 300, "max_window_s": max_window_s}}
    assert background.a_load(Path("run"), looks, look, Path("notes")) == (
        sys.executable, "-m", "gaia_checks.load", "--folder", "run", "--so-far", "notes", "--look", look,
        "--rate-per-s", "100", "--window-s", *told,
    )  # fmt: skip


def test_what_sends_much_is_recorded_apart() -> None:
    """Who waits for WebSockets must not be held up by who races for limits."""
    argv = background.recorders(Path("run"), LOOKS, {"soak", "limits"}, Path("notes"))
    assert {process: set(json.loads(command[-1])) for process, command in argv.items()} == {
        "recorders": {"soak"},
        "limits": {"limits"},
    }


def test_every_background_look_has_its_process() -> None:
    """What is recorded comes from the recorders, what is sent from the load, the rest from the tests."""
    looks = ("log", "soak", "memory", "connections", "limits", "load", "api")
    assert {look: background.process_of(look) for look in looks} == {
        "log": "recorders",
        "soak": "recorders",
        "memory": "recorders",
        "connections": "recorders",
        "limits": "limits",
        "load": "load",
        "api": None,
    }


def test_nothing_is_started_any_more_once_it_was_stopped(tmp_path: Path) -> None:
    """A gate that is lost just when the load's turn comes must not begin it: nobody would end it."""
    target, recorded = Target("test", "http://127.0.0.1:9", "run"), list[Measurement]()
    processes = background.Background(tmp_path, target, recorded.append)
    processes.start({"first": (sys.executable, "-c", "input(); input()")})
    processes.stop()
    processes.start({"second": (sys.executable, "-c", "input(); input()")})
    processes.wait("second")
    assert [measurement.name for measurement in recorded] == ["gate.exit.first"]
