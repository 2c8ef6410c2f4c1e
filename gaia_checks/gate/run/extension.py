"""Whether the load goes on after a look at it: as long as a criterion is open that more of it may decide.

The load is started for the longest time. It measures at each look and goes on without a pause; here is decided, on
the measurements alone, when it is enough.
"""

import threading
from collections.abc import Callable, Sequence

from gaia_checks.judge.verdict import undecided
from gaia_checks.load.results.measurements import LOOKS
from gaia_checks.model import Criterion, Measurement

_POLL_S = 0.5


def open_criteria(criteria: Sequence[Criterion], seen: Sequence[Measurement], *, rehearsal: bool) -> list[str]:
    """Return the ids of those that another look may decide. Pure."""
    return [criterion.id for criterion in criteria if undecided(criterion, seen, rehearsal=rehearsal)]


def watch(
    criteria: Sequence[Criterion],
    seen: Callable[[], list[Measurement]],
    closing: threading.Event,
    *,
    rehearsal: bool,
    mark: Callable[[str], None],
    enough: Callable[[], None],
) -> None:
    """Answer every look at the load, until it is enough or the gate is `closing`.

    `criteria` are those of the load; `mark` notes the moment for the load's picture.
    """
    looks = max((len(criterion.looks_s) for criterion in criteria), default=1)
    answered = 0
    while answered < looks - 1 and not closing.wait(_POLL_S):
        measured = seen()
        taken = max((int(each.value) for each in measured if each.name == LOOKS), default=0)
        if taken == answered:
            continue
        answered = taken
        still = open_criteria(criteria, measured, rehearsal=rehearsal)
        if not still:
            mark(f"analysis {taken}: decided")
            enough()
            return
        mark(f"analysis {taken}: {', '.join(still)} undecided, continues")
