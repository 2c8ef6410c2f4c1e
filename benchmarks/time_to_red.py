"""Measures the time until a gate fails: every fault of tests/faults, with the windows of criteria.toml.

    python -m benchmarks.time_to_red [dev.api dev.log ...]

Each fault is injected into a deployed server, and a plain gate of the criterion's stage is timed from its start to its
end. Prints a Markdown table. Exit code 1 when a gate failed another criterion. Faults that need many samples, or occur
in the middle of a long window, are not detected within two minutes; their gates are stopped then.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.faults.place import Place, place
from tests.faults.table import FAULTS, Fault

NOMINAL: dict[str, dict[str, float]] = {}


def main() -> int:
    """Time the faults of the given criteria, or of all."""
    right = True
    print("| criterion | fault | reported as | seconds |\n|---|---|---|---:|")
    for criterion, fault, here in _faults(sys.argv[1:] or list(FAULTS)):
        reason, took_s = timed(here, criterion, fault)
        right = right and reason is not None
        print(f"| {criterion} | {fault.name} | {reason or 'ANOTHER CRITERION'} | {took_s:.0f} |", flush=True)
    return 0 if right else 1


def _faults(criteria: list[str]) -> Iterator[tuple[str, Fault, Place]]:
    """Yield each fault with a deployed server for it."""
    with ExitStack() as stack:
        usual = stack.enter_context(place())
        for criterion in criteria:
            for fault in FAULTS[criterion]:
                yield criterion, fault, stack.enter_context(place(*fault.changes)) if fault.changes else usual


def timed(here: Place, criterion: str, fault: Fault) -> tuple[str | None, float]:
    """Return the verdict's reason, None when another criterion failed; and the duration of the gate."""
    with fault.breaks(here) as broken:
        started_s = time.monotonic()
        try:
            outcome = broken.gate(NOMINAL, f"--stage={criterion.partition('.')[0]}")
        except subprocess.TimeoutExpired:
            return "not detected yet", time.monotonic() - started_s
        took_s = time.monotonic() - started_s
    failed = [name for name, state in outcome.states.items() if state == "fail"]
    reason = outcome.not_passed()[criterion].removeprefix("fail: ") if failed == [criterion] else None
    return reason and reason.replace("|", "\\|"), took_s


if __name__ == "__main__":
    sys.exit(main())
