"""What is certain before the end: a criterion that fails even if all that is still to come is as it should be. Pure."""

from collections.abc import Iterable

from gaia_checks.judge.growing import at_best
from gaia_checks.judge.verdict import judge_measured
from gaia_checks.model import Criterion, Measurement, State


def failed(criterion: Criterion, seen: Iterable[Measurement], *, rehearsal: bool) -> bool:
    """Whether a criterion has certainly failed, whatever is still to come.

    `seen` is what is known while the look goes on. Most of it can only get worse. A sample that grows may get better:
    it is taken to go on flawlessly until it is judged next.
    """
    finished = [at_best(measurement, criterion) for measurement in seen]
    return judge_measured(criterion, finished, rehearsal=rehearsal).state is State.FAIL
