"""Looks on a rehearsal copy that a thread takes beside the tests: they disturb neither the target nor a test.

Each writes its measurements when it is done, and then its exit code, as a background process does.
"""

import threading
from collections.abc import Callable, Mapping

from gaia_checks import jsonl
from gaia_checks.deploy.rehearsal import bare_copy
from gaia_checks.gate.run import background
from gaia_checks.gate.run.look import Gate
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import kept_resources, outage

PROBES: Mapping[str, Callable[..., list[Measurement]]] = {"outage": outage.probe, "resources": kept_resources.probe}
"""look -> `probe(target, *, copy, over, **parameters)`, which stops soon after `over` is set."""


def take(gate: Gate, target: Target, look: str, over: threading.Event) -> None:
    """Run the probe of `look` and record what it measures."""
    parameters, crashed = gate.criteria.looks[look], ""
    try:
        copy = bare_copy.bare(target, gate.environment, look)
        for measurement in PROBES[look](target, copy=copy, over=over, **parameters):
            gate.record(measurement)
    except Exception as error:  # noqa: BLE001 - a crash of a probe decides nothing, and must not stop the gate
        crashed = f"the probe of the look {look} crashed: {error!r}"
    name, how = background.exit_name(look), f"how the look {look} beside the tests finished"
    notes = (crashed,) if crashed else ()
    gate.record(Measurement(name, int(bool(crashed)), "code", 1, 0.0, jsonl.now(), how, notes))
