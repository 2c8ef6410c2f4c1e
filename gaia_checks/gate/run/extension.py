"""Extend the load after an interim analysis while a criterion is undecided that a longer sample may decide.

The load is started for its longest window. It writes measurements at each analysis and continues without a pause;
this module decides, on the measurements alone, when to stop it.
"""

import threading
from collections.abc import Callable, Sequence

from gaia_checks.judge.judgement import undecided
from gaia_checks.load.results.measurements import LOOKS
from gaia_checks.model import Criterion, Measurement

_POLL_S = 0.5


def open_criteria(criteria: Sequence[Criterion], measurements: Sequence[Measurement], *, rehearsal: bool) -> list[str]:
    """Return the ids of the criteria that another analysis may decide. Pure."""
    return [criterion.id for criterion in criteria if undecided(criterion, measurements, rehearsal=rehearsal)]


def watch(
    criteria: Sequence[Criterion],
    read: Callable[[], list[Measurement]],
    closing: threading.Event,
    *,
    rehearsal: bool,
    mark: Callable[[str], None],
    enough: Callable[[], None],
) -> None:
    """Judge every analysis of the load until its criteria are decided or the gate is `closing`.

    `criteria` are those of the load; `read` returns the measurements so far; `mark` labels the time in the load's
    chart; `enough` stops the load.
    """
    analyses = max((len(criterion.looks_s) for criterion in criteria), default=1)
    judged = 0
    while judged < analyses - 1 and not closing.wait(_POLL_S):
        measured = read()
        taken = max((int(each.value) for each in measured if each.name == LOOKS), default=0)
        if taken == judged:
            continue
        judged = taken
        still = open_criteria(criteria, measured, rehearsal=rehearsal)
        if not still:
            mark(f"analysis {taken}: decided")
            enough()
            return
        mark(f"analysis {taken}: {', '.join(still)} undecided, continues")
