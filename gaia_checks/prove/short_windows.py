"""What one trial measures: which criteria, with which tests, and the shortest windows that still decide them."""

import re
from collections.abc import Collection, Iterable, Mapping

from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError
from gaia_checks.gate.run import gate_plan
from gaia_checks.judge.criteria_file import Criteria
from gaia_checks.prove.fault_catalogue import CataloguedFault

CHEAP = ("health", "api", "database", "migrations", "log", "process")
"""Looks of a second or so that every trial takes beside the fault's own: most deadly faults show there."""

_WINDOWS: Mapping[str, Mapping[str, float]] = {
    "health": {"requests": 15, "spacing_s": 0.02},
    "log": {"window_s": 2},
    "limits": {"window_s": 5},
    "soak": {"window_s": 12},
    "dashboard": {"ready_within_s": 4, "reconnect_within_s": 6},
    "memory": {"window_s": 3},
    "connections": {"window_s": 5},
}
"""look -> parameters. Loads are not here: with less requests than the environment's own they decide nothing."""

_TEST = re.compile(r'^@pytest\.mark\.criterion\("([^"]+)"\)\n(?:@.*\n)*def (test_\w+)\(', re.MULTILINE)


def looks(environment: Environment, longer: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the parameters of an environment's looks with the shortest windows, or `longer` ones: look -> seconds."""
    parameters = {
        look: {**environment.looks.get(look, {}), **_WINDOWS.get(look, {})} for look in {*environment.looks, *_WINDOWS}
    }
    for look, window_s in longer.items():
        parameters[look] = {**parameters.get(look, {}), "window_s": window_s}
    return parameters


def needed(criteria: Criteria, faults: Iterable[CataloguedFault]) -> dict[str, float]:
    """Return the longest window that these faults need: look -> seconds."""
    look_of = {criterion.id: criterion.look for criterion in criteria.criteria}
    longest: dict[str, float] = {}
    for fault in faults:
        if fault.window_s is not None:
            look = look_of[fault.criterion]
            longest[look] = max(fault.window_s, longest.get(look, 0.0))
    return longest


def tests(environment: Environment) -> dict[str, str]:
    """Return criterion -> the name of its test, from the suites and those beside the user's criteria."""
    folders = [ROOT / "suites", *([environment.criteria.parent] if environment.criteria else [])]
    sources = (path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.glob("test_*.py")))
    return {criterion: test for source in sources for criterion, test in _TEST.findall(source)}


def selection(names: Mapping[str, str], criteria: Collection[str]) -> str:
    """Return pytest's -k expression for the tests of these criteria. Raises ConfigurationError."""
    if absent := sorted(set(criteria) - set(names)):
        raise ConfigurationError(f"prove: {absent[0]}: no test is marked with it")
    return " or ".join(names[criterion] for criterion in sorted(criteria))


def with_looks(criteria: Criteria, wanted: Collection[str]) -> set[str]:
    """Return the criteria that one of these looks decides."""
    return {criterion.id for criterion in criteria.criteria if criterion.look in wanted}


def without_load(criteria: Criteria) -> set[str]:
    """Return the criteria that need no load."""
    return {criterion.id for criterion in criteria.criteria if not loads(criteria, criterion.id)}


def loads(criteria: Criteria, criterion: str) -> bool:
    """Whether a criterion needs a load, and so this machine for itself."""
    return any(each.id == criterion and each.look in gate_plan.LOADS for each in criteria.criteria)


def needs_previous(criteria: Criteria, wanted: Collection[str]) -> bool:
    """Whether one of these criteria needs a release to roll back to."""
    return bool(with_looks(criteria, {"rollback"}) & set(wanted))
