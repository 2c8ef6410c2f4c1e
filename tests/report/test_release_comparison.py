"""The line about the previous release."""

from gaia_checks.model import Measurement
from gaia_checks.report import words


def measured(name: str, value: object, n: int = 600) -> Measurement:
    """A measurement of the comparison."""
    return Measurement(f"no_regression.{name}", value, "", n, 9, "", "", ("why",) if n == 0 else ())


def test_every_figure_has_its_interval() -> None:
    """Whether it is judged or not."""
    blocks = {"previous": [[300, 0]] * 2, "new": [[300, 1]] * 2}
    (line,) = words.remarks(
        [
            measured("serves", True, 1),
            measured("errors_more", blocks),
            measured("p99_ratio", [[10, 20]] * 6),
            measured("transactions_ratio", 1.5),
            measured("memory_more_mb", -0.31, 1),
        ]
    )
    assert line == (
        "relative to the previous release: 2 errors in 600 requests, 0 before, p99 × 2.00 (2.00 to 2.00), "
        "transactions × 1.50, memory -0.3 MB"
    )


def test_what_was_not_compared_has_no_figures() -> None:
    """No release before, or one that cannot be compared; one that does not serve is named."""
    nothing = [measured(name, None, 0) for name in ("serves", "p99_ratio", "errors_more")]
    assert words.remarks(nothing) == ()
    assert words.remarks([measured("serves", False, 1)]) == ("relative to the previous release: it does not serve",)
