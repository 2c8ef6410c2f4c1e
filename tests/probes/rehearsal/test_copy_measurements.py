"""What could not be looked at on a rehearsal copy has no samples, and the reason."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, part
from gaia_checks.target.postgres_session import NoSession

UNITS = {"x.one": "count", "x.two": "s"}


@contextmanager
def copy(error: Exception | None = None) -> Iterator[str]:
    """A copy, or why there is none."""
    if error:
        raise error
    yield "here"


def look(_: str) -> list[Measurement]:
    """Raise what is no reason, but a fault of the probe."""
    raise ZeroDivisionError


def test_without_a_copy_every_measurement_has_the_reason() -> None:
    """Its unit stays, so that a report can show it."""
    found = measured_on(copy(Inconclusive("the disk is full")), UNITS, look)
    assert [(each.name, each.unit, each.n, each.notes) for each in found] == [
        ("x.one", "count", 0, ("the disk is full",)),
        ("x.two", "s", 0, ("the disk is full",)),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Inconclusive("no view"), "no view"),
        (NoSession("no database"), "no database"),
        (httpx.ReadTimeout("slow"), "ReadTimeout slow"),
        (psycopg.OperationalError("gone"), "OperationalError gone"),
        (KeyError("items"), "KeyError 'items'"),
        (TypeError("a list"), "TypeError a list"),
    ],
)
def test_a_part_gives_its_reason(error: Exception, reason: str) -> None:
    """Of the server, of the database, or of an answer of another shape."""

    def raising() -> Measurement:
        raise error

    found = part("x.two", "s", raising)
    assert (found.name, found.unit, found.n, found.notes) == ("x.two", "s", 0, (f"not checked: {reason}",))


def test_a_fault_of_the_probe_is_none_of_the_server() -> None:
    """It crashes the look, which the gate says."""
    with pytest.raises(ZeroDivisionError):
        measured_on(copy(), UNITS, look)
