"""The page about other servers names what each of them is judged by as `criteria.toml` has it."""

import re

from gaia_checks.environment.project import ROOT
from gaia_checks.judge import criteria_file
from gaia_checks.model import Criterion

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
