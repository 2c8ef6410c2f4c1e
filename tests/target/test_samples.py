"""Samples: how many were good, and the worst faults first."""

from gaia_checks.target.samples import Score, Watch


def test_the_gravest_fault_comes_first() -> None:
    """No answer, then a server error, then another wrong status, then a wrong body; else in order of time."""
    score = Score()
    for wrong in ("title missing", "GET /a: status 404", None, "GET /b: status 500", "POST /c: no answer", "items"):
        score.add(wrong)
    measured = Watch().counted("api.contract_kept", score, "routes")
    assert (measured.value, measured.n) == (1, 6)
    assert measured.notes == (
        "POST /c: no answer",
        "GET /b: status 500",
        "GET /a: status 404",
        "title missing",
        "items",
    )
