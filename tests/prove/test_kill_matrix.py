"""The matrix, its figures, and the page about it."""

from pathlib import Path

from gaia_checks.prove import kill_matrix, proof_document
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import ProofResult


def fault(name: str, criterion: str = "dev.api") -> CataloguedFault:
    """Return a fault without a file."""
    return CataloguedFault(f"{criterion}/{name}", criterion, f"{name} is <broken>", "", frozenset(), Path("x.patch"))


def result(one: CataloguedFault, verdict: str, seconds: float | None = None, *red: str) -> ProofResult:
    """Return a result."""
    return ProofResult(one.name, one.criterion, one.what, verdict, "the | reason", seconds, red)


FAULTS = (fault("slow"), fault("quick"), fault("through"), fault("later", "qa.access"))
RESULTS = {
    one.name: each
    for one, each in (
        (FAULTS[0], result(FAULTS[0], "caught", 40.0, "dev.api", "dev.log")),
        (FAULTS[1], result(FAULTS[1], "caught", 10.0, "dev.api")),
        (FAULTS[2], result(FAULTS[2], "missed")),
    )
}


def test_the_figures_count_what_was_not_run_apart() -> None:
    """Median and share are those of the caught ones."""
    found = kill_matrix.figures(FAULTS, RESULTS)
    assert found.counts == {"caught": 2, "missed": 1, "not run": 1}
    assert (found.median_s, found.quick) == (25.0, 0.5)
    assert kill_matrix.text(found) == (
        "4 faults: 2 caught, 1 missed, 1 not run; red after 25 s (median), 50% within 30 s"
    )
    assert kill_matrix.by_criterion(FAULTS, RESULTS)["qa.access"].counts == {"not run": 1}


def test_a_row_names_what_failed_beside() -> None:
    """A reader sees that another criterion failed as well."""
    rows = kill_matrix.rows(FAULTS, RESULTS)
    assert rows[0] == ("dev.api/slow", "dev.api", "caught", "40", "the | reason (also failed: dev.log)")
    assert rows[3] == ("qa.access/later", "qa.access", "not run", "-", "-")


def test_the_page_shows_misses_first_and_escapes_what_markdown_would_read() -> None:
    """What got through comes before what was caught; what was not run is counted only."""
    page = proof_document.markdown(FAULTS, RESULTS, "Measured today.")
    missed, caught = page.split("## What was caught\n")
    assert "## What was not caught by its criterion" in missed
    assert "| `dev.api/through` | through is \\<broken> | missed | - | the \\| reason |" in missed
    assert caught.count("\n| `") == 2
    assert "| `qa.access` |  |  |  |  |  | 1 |  |" in page
    assert "**4 faults: 2 caught, 1 missed, 1 not run;" in page
