"""Failures that are certain before the end: a criterion that fails even if the rest of the sample is flawless. Pure."""

from collections.abc import Iterable

from gaia_checks.judge.growing import at_best
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import Criterion, Measurement, State


def failed(criterion: Criterion, measurements: Iterable[Measurement], *, rehearsal: bool) -> bool:
    """Whether a criterion has certainly failed, whatever is measured later.

    `measurements` are those of a look that is still running. Most of them can only get worse. A growing sample may
    improve: it is assumed to continue without a failure until its next analysis.
    """
    finished = [at_best(measurement, criterion) for measurement in measurements]
    return judge_measured(criterion, finished, rehearsal=rehearsal).state is State.FAIL
