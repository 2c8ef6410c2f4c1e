"""Measurements on a rehearsal copy, also of what could not be looked at: each part of a look reports for itself."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

import httpx
import psycopg

from gaia_checks.errors import GaiaError
from gaia_checks.model import NOT_CHECKED, Measurement
from gaia_checks.target import postgres_session
from gaia_checks.target.samples import Watch

HOW = "on a rehearsal copy"

ODD = (
    GaiaError,
    postgres_session.NoSession,
    httpx.HTTPError,
    psycopg.Error,
    OSError,
    EOFError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a part raises when it gets no answer, or one of another shape than it can read."""

Place = TypeVar("Place")


def measured_on(
    copy: AbstractContextManager[Place], units: Mapping[str, str], look: Callable[[Place], list[Measurement]]
) -> list[Measurement]:
    """Return what `look` measures; without a rehearsal copy each measurement (name -> unit) has only the reason."""
    try:
        with copy as place:
            return look(place)
    except GaiaError as error:
        return without_samples(units, str(error))


def part(name: str, unit: str, look: Callable[[], Measurement]) -> Measurement:
    """Return what one part of a look measures; the reason if it cannot, so that the other parts go on."""
    try:
        return look()
    except ODD as error:
        (measurement,) = without_samples({name: unit}, not_checked(error))
        return measurement


def without_samples(units: Mapping[str, str], why: str) -> list[Measurement]:
    """Return each measurement (name -> unit) without samples, with the reason."""
    watch = Watch()
    return [watch.measurement(name, 0, unit, 0, HOW, (why,)) for name, unit in units.items()]


def not_checked(error: Exception) -> str:
    """Return the note of a part that could not be looked at."""
    own = isinstance(error, GaiaError | postgres_session.NoSession)
    return f"{NOT_CHECKED}{error if own else f'{type(error).__name__} {error}'}"
