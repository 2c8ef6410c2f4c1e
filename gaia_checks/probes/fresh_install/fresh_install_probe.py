"""Whether a fresh installation protects itself: trials on a rehearsal copy, of which each would disturb a live target.

A live target's administrators may have changed its default rules, its proxies are its own, too many wrong tokens would
keep its administrators out, and a rule that refuses everything would refuse everybody.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.fresh_install import default_rules, lockout, proxied_clients, two_processes, wrong_tokens
from gaia_checks.probes.fresh_install.fresh_servers import Installation, Sample, administrator, remove_all, started
from gaia_checks.probes.rehearsal.copy_measurements import ODD, measured_on, not_checked, without_samples
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.target.samples import Score, Watch

_TRIALS: Mapping[str, tuple[Callable[[Installation], Iterator[Sample]], str]] = {
    "defaults": (
        default_rules.samples,
        "default rules of a new database, and quick requests of a client without a token",
    ),
    "clients": (proxied_clients.samples, "requests that a proxy forwards, counted for the client if it is trusted"),
    "credentials": (wrong_tokens.samples, "requests with forged credentials, and after too many of them"),
    "changes": (two_processes.changes, "rules that one process enabled, on another one a second later"),
    "shared_limits": (two_processes.shared_limits, "limits for which requests to two processes race, and a global one"),
    "management": (lockout.samples, "requests of an administrator while a rule refuses everything"),
}
"""Measurement -> its trial, and what its samples are. The first one needs a new database; the last may lock it."""


def probe(
    _target: Target, *, copy: AbstractContextManager[BareCopyProtocol], over: threading.Event
) -> list[Measurement]:
    """Measure `fresh_install.*`, all on a rehearsal copy; without one, or once the gate is over, there is a reason."""
    return measured_on(copy, {_name(trial): "count" for trial in _TRIALS}, lambda place: on_copy(place, over))


def on_copy(place: BareCopyProtocol, over: threading.Event) -> list[Measurement]:
    """Start two servers on the new database, and take each trial with no rules but its own."""
    watch, found = Watch(), list[Measurement]()
    installed = started(place)
    for trial, (samples, how) in _TRIALS.items():
        score = Score()
        try:
            if over.is_set():
                raise Inconclusive("the gate finished before this trial")
            if found:
                with administrator(installed.direct) as http:
                    remove_all(http)  # what the trial before has left, also one that could not be finished
            for sample in samples(installed):
                score.add(sample)
        except ODD as error:
            if not score.wrong:
                found += without_samples({_name(trial): "count"}, not_checked(error))
                continue
        found.append(watch.counted(_name(trial), score, how))
    return found


def _name(trial: str) -> str:
    return f"fresh_install.{trial}"
