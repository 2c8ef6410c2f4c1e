"""The addresses of a target: its own, or those of its instances, where what is looked at is each process's own."""

from dataclasses import replace

from gaia_checks.model import Measurement, Target
from gaia_checks.target.samples import short


def each(target: Target) -> list[Target]:
    """Return the target at each address of its instances; itself where none is named."""
    return [replace(target, base_url=address) for address in target.instances] or [target]


def named(target: Target, measurement: Measurement) -> Measurement:
    """Return a measurement of one instance, whose first note says which; of the only server it is unchanged."""
    if not target.instances:
        return measurement
    first = ": ".join((target.base_url, *measurement.notes[:1]))
    return replace(measurement, notes=short((first, *measurement.notes[1:])))
