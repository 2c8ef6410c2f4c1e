"""Looks beside the tests: the exit of each is recorded, also when its probe breaks, so that no test waits for it."""

import threading
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.errors import Inconclusive
from gaia_checks.gate.run import beside, gate_plan
from gaia_checks.gate.run.look import Gate, Look
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement, Target

TARGET = Target("local", "http://127.0.0.1:9", "run")


def gate(folder: Path) -> Gate:
    """A gate of a server that does not run."""
    loaded = criteria_file.load()
    return Gate(environment_file.load("local", variables={}), "prod", folder, loaded, folder, TARGET, None)


def test_every_look_beside_the_tests_has_a_probe() -> None:
    """The plan and the probes agree."""
    assert set(beside.PROBES) == {*gate_plan.BESIDE, gate_plan.COMPARISON}


def test_a_probe_that_breaks_leaves_its_criterion_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting test reads why."""

    def broken(*_: object, **__: object) -> list[Measurement]:
        raise ZeroDivisionError("seeded")

    monkeypatch.setitem(beside.PROBES, "outage", broken)
    here = gate(tmp_path)
    beside.take(here, TARGET, "outage", threading.Event(), {"outage"})
    criterion = next(each for each in here.criteria.criteria if each.id == "qa.outage")
    with pytest.raises(Inconclusive, match=r"the outage process exited with code 1.*ZeroDivisionError"):
        Look(here, criterion, (), lambda _: None).recorded()
