"""The background processes of a gate."""

import json
import sys
from pathlib import Path

import pytest

from gaia_checks.environment.environment import LoadSettings
from gaia_checks.gate.run import background, gate_plan
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement, Target

LOOKS = criteria_file.load().looks


def test_one_process_records_everything_that_is_wanted() -> None:
    """The recorders get the parameters of their looks; a look of a test starts no process."""
    argv = background.recorders(Path("run"), LOOKS, {"log", "soak", "health"}, Path("notes"))
    assert set(argv) == {"recorders"}
    assert argv["recorders"][:-1] == (
        sys.executable, "-m", "gaia_checks.recorders", "--folder", "run", "--so-far", "notes", "--looks",
    )  # fmt: skip
    assert json.loads(argv["recorders"][-1]) == {"log": {"window_s": 300}, "soak": {"clients": 50, "window_s": 1800}}


def test_restarts_are_recorded_until_the_gate_ends() -> None:
    """The process is observed from the start, as long as all other looks take."""
    argv = background.recorders(Path("run"), LOOKS, {"process", "soak"}, Path("notes"))
    assert json.loads(argv["recorders"][-1])["restarts"] == {"window_s": 1800}
    assert background.recorders(Path("run"), LOOKS, {"health"}, Path("notes")) == {}


@pytest.mark.parametrize(
    ("max_window_s", "arguments"), [(1200, ("1200", "--looks-s", "300,600")), (300, ("300", "--looks-s", ""))]
)
@pytest.mark.parametrize("look", gate_plan.LOADS)
def test_a_load_gets_its_rate_and_longest_window(look: str, max_window_s: float, arguments: tuple[str, ...]) -> None:
    """Its command line contains no address and no secret: the target is passed by standard input."""
    looks = {look: {"rate_per_s": 100, "window_s": 300, "max_window_s": max_window_s}}
    settings = LoadSettings(workers=2)
    generator = ("--settings", json.dumps(settings.to_json())) if look == "load" else ()
    assert background.a_load(Path("run"), looks, look, Path("notes"), settings) == (
        sys.executable, "-m", "gaia_checks.load", "--folder", "run", "--so-far", "notes", "--look", look,
        "--rate-per-s", "100", "--window-s", *arguments, *generator,
    )  # fmt: skip


def test_a_look_that_sends_many_requests_has_its_own_process() -> None:
    """The bursts against limits must not delay the WebSockets of the soak."""
    argv = background.recorders(Path("run"), LOOKS, {"soak", "limits"}, Path("notes"))
    assert {process: set(json.loads(command[-1])) for process, command in argv.items()} == {
        "recorders": {"soak"},
        "limits": {"limits"},
    }


def test_every_background_look_has_its_process() -> None:
    """Recorded looks belong to the recorders, loads to the load generator, some to a thread, the rest to the tests."""
    recorded = ("log", "soak", "memory", "connections", "limits", "load")
    looks = (*recorded, "fresh_install", "outage", "resources", "no_regression", "api")
    assert {look: background.process_of(look) for look in looks} == {
        "log": "recorders",
        "soak": "recorders",
        "memory": "recorders",
        "connections": "recorders",
        "limits": "limits",
        "load": "load",
        "fresh_install": "fresh_install",
        "outage": "outage",
        "resources": "resources",
        "no_regression": "no_regression",
        "api": None,
    }


def test_a_test_waits_for_all_that_measures_for_its_look() -> None:
    """Some looks have measurements of the upkeep besides their own."""
    assert {look: background.exits_of(look) for look in ("log", "memory", "database", "api")} == {
        "log": {"gate.exit.recorders": "recorders"},
        "memory": {"gate.exit.recorders": "recorders", "gate.exit.upkeep": "upkeep"},
        "database": {"gate.exit.upkeep": "upkeep"},
        "api": {},
    }


def test_nothing_is_started_after_stop(tmp_path: Path) -> None:
    """A gate that is stopped just before its load must not start it: no code would stop it."""
    target, recorded = Target("test", "http://127.0.0.1:9", "run"), list[Measurement]()
    processes = background.Background(tmp_path, target, recorded.append)
    processes.start({"first": (sys.executable, "-c", "input(); input()")})
    processes.stop()
    processes.start({"second": (sys.executable, "-c", "input(); input()")})
    processes.wait("second")
    assert [measurement.name for measurement in recorded] == ["gate.exit.first"]
