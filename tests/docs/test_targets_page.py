"""The page about other servers names what each of them is judged by as `criteria.toml` has it."""

import re

from gaia_checks.environment.project import ROOT
from gaia_checks.gate.run import capabilities
from gaia_checks.judge import criteria_file
from gaia_checks.model import Criterion, Target

PAGE = (ROOT / "docs" / "targets.md").read_text()

SHOWN = (
    {"health", "admin.rules", "admin.usage", "websocket", "browser", "metrics", "process or metrics"},
    {"database"},
    {"log"},
    {"process", "artifact"},
)
"""What each row of the table adds, by the names of `needs`."""


def test_every_criterion_stands_in_the_row_that_shows_it() -> None:
    """And in no other."""
    table = PAGE.partition("| the gate knows |")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`((?:dev|qa|prod)\.\w+)`", row)) for row in table.splitlines()[2:]]
    criteria = criteria_file.load().criteria
    assert rows == [{each.id for each in criteria if row_of(each) == number} for number in range(len(SHOWN))]


def row_of(criterion: Criterion) -> int:
    """Return the first row that shows all that a criterion needs."""
    if criterion.applies_when == "previous_release":
        return len(SHOWN) - 1
    return max((number for number, shown in enumerate(SHOWN) if shown & set(criterion.needs)), default=0)


def test_every_criterion_has_its_state_behind_a_load_balancer() -> None:
    """Of instances known by their addresses and database; a gate of three compares the reasons (test_instances.py)."""
    target = Target("qa", "http://balancer.example", "run", database_url="postgresql://db.example/qa")
    found = capabilities.without_requests(target)
    states = {each.id: state_of(each, found) for each in criteria_file.load().criteria}
    assert {name: state for name, (state, _) in behind_a_load_balancer().items()} == states


def state_of(criterion: Criterion, found: list[capabilities.Capability]) -> str:
    """What the page calls a criterion of plain http and no previous release."""
    if criterion.applies_when not in (None, "instances"):
        return "not applicable"
    return "inconclusive" if capabilities.missing(criterion, found) else "judged"


def behind_a_load_balancer() -> dict[str, tuple[str, str]]:
    """Criterion -> its state in the page's table of several instances, and what judges it or why nothing does."""
    table = PAGE.partition("| criterion | state |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| ([\w ]+) \| (.+) \|$", table, re.MULTILINE)
    return {name: (state, text) for name, state, text in rows}
