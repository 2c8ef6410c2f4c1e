"""Looks on rehearsal copies that a thread of the gate takes, beside the tests or in its turn before the loads.

Each writes its measurements when it is done, and then its exit code, as a background process does.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy.rehearsal import bare_copy, release_pair
from gaia_checks.gate.run import background, gate_plan
from gaia_checks.gate.run.look import Gate
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.fresh_install import fresh_install_probe
from gaia_checks.probes.rehearsal import kept_resources, side_by_side
from gaia_checks.probes.rehearsal.outage import outage_probe
from gaia_checks.probes.rehearsal.upkeep import upkeep_probe

PROBES: Mapping[str, Callable[..., Iterable[Measurement]]] = {
    gate_plan.UPKEEP: upkeep_probe.probe,
    "fresh_install": fresh_install_probe.probe,
    "outage": outage_probe.probe,
    "resources": kept_resources.probe,
    gate_plan.COMPARISON: side_by_side.probe,
}
"""look -> `probe(target, *, copy, over, **parameters)`, which stops soon after `over` is set."""

_COPIES: Mapping[str, Callable[..., AbstractContextManager[Any]]] = {gate_plan.COMPARISON: release_pair.beside}
"""look -> what its probe takes for `copy`, where that is not one bare copy."""


def take(gate: Gate, target: Target, look: str, over: threading.Event, wanted: Collection[str]) -> None:
    """Run the probe of `look` and record what it measures; of the upkeep, what it measures for the wanted looks."""
    parameters: Mapping[str, Any] = {"wanted": wanted} if look == gate_plan.UPKEEP else gate.criteria.looks[look]
    crashed = ""
    try:
        copy = _COPIES.get(look, bare_copy.bare)(target, gate.environment, look)
        for measurement in PROBES[look](target, copy=copy, over=over, **parameters):
            gate.record(measurement)
    except Exception as error:  # noqa: BLE001 - a crash of a probe decides nothing, and must not stop the gate
        crashed = f"the probe of the look {look} crashed: {error!r}"
    name, how = background.exit_name(look), f"how the look {look} in a thread of the gate finished"
    notes = (crashed,) if crashed else ()
    gate.record(Measurement(name, int(bool(crashed)), "code", 1, 0.0, jsonl.now(), how, notes))
