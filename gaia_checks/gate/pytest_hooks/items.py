"""The tests of a gate: one per criterion, in the order of their looks, each with its `look` fixture.

The same hooks run in the controller without xdist and in every worker with it.
"""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from gaia_checks import files
from gaia_checks.errors import Inconclusive
from gaia_checks.gate.run import gate_plan
from gaia_checks.gate.run.background import process_of
from gaia_checks.gate.run.gate_plan import LAST
from gaia_checks.gate.run.look import PLAN, Gate, Look
from gaia_checks.model import Criterion, CriterionVerdict


class Items:
    """Select and order the collected tests, and provide each with its look."""

    def __init__(self, gate: Callable[[], Gate], channel: Path) -> None:
        self._gate = gate  # called late: the controller has no target before the session starts
        self._channel = channel
        self._chosen: list[str] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep one test per criterion of the stage, in the order of their looks."""
        gate = self._gate()
        known = {criterion.id: criterion for criterion in gate.criteria.criteria}
        promised = {criterion.id for criterion in gate.criteria.for_stage(gate.stage)}
        for item in items:
            if criterion_of(item) not in known:
                raise pytest.UsageError(
                    f"{item.nodeid}: {criterion_of(item)!r} is not in {_files(gate)}; "
                    "mark the test with @pytest.mark.criterion(id)"
                )
        chosen = [item for item in items if criterion_of(item) in promised]
        _refuse_twice(chosen)
        chosen.sort(key=lambda item: rank(known[criterion_of(item)]))
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
        for item in items:
            item.user_properties.append(("criterion", criterion_of(item)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the planned tests for the controller, so that it can start the processes they wait for."""
        plan = {item.nodeid: criterion_of(item) for item in session.items}
        self._chosen = list(plan.values())
        if plan:
            files.replace_json(self._channel / PLAN, plan)

    @pytest.fixture
    def look(self, request: pytest.FixtureRequest) -> Look:
        """Return the look of this test's criterion at the target."""
        gate, own = self._gate(), criterion_of(request.node)
        criterion = next(criterion for criterion in gate.criteria.criteria if criterion.id == own)
        others = [other for other in self._chosen if other != own]
        properties = request.node.user_properties

        def report(verdict: CriterionVerdict) -> None:
            properties.extend((("state", str(verdict.state)), ("why", gate.environment.redact(verdict.why))))

        return Look(gate, criterion, others, report)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Replace the traceback of a decided criterion by one line, and redact secrets in every report."""
        report = yield
        if call.excinfo is not None and report.failed:
            decided = "why" in dict(item.user_properties) or call.excinfo.errisinstance(Inconclusive)
            text = f"{call.excinfo.typename}: {call.excinfo.value}" if decided else str(report.longrepr)
            report.longrepr = self._gate().environment.redact(text)
        return report


def criterion_of(item: pytest.Item) -> str:
    """Return the id that a test is marked with, or an empty text."""
    mark = item.get_closest_marker("criterion")
    return str(mark.args[0]) if mark and mark.args else ""


def _files(gate: Gate) -> str:
    """Name the files of the criteria."""
    own = gate.environment.criteria
    return f"criteria.toml or {own}" if own else "criteria.toml"


def _refuse_twice(items: list[pytest.Item]) -> None:
    first: dict[str, str] = {}
    for item in items:
        other = first.setdefault(criterion_of(item), item.nodeid)
        if other != item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: {other} already judges {criterion_of(item)}; keep one test per criterion"
            )


def rank(criterion: Criterion) -> tuple[int, float]:
    """Order tests that probe the target first, then those that wait for recorders and loads, the process last.

    Health and API come before all; then the shortest of each group, so that results appear early.
    """
    look = criterion.look
    if look != LAST and process_of(look):
        return 1, criterion.max_window_s
    return (2, 0.0) if look == LAST else gate_plan.order(look)
