"""One load as a whole, wherever its parts are sent from: their seconds in; files, result and exit code out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gaia_checks.load.plan.plan import Plan
from gaia_checks.load.results import thresholds
from gaia_checks.load.results.aggregate import Merge, Total
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, SERVED_WITHIN_S, Second
from gaia_checks.load.results.result_files import Recording
from gaia_checks.load.results.thresholds import Limits

SO_FAR_S, SO_FAR_SHARE = 2.0, 0.05
"""After so long, or such a share of the time until then, is told again what is known so far: judging it takes longer
the more there is, and the later it is the less a second matters."""


class Collector:
    """Takes what the workers tell until all have told everything, or one could not."""

    def __init__(self, plan: Plan, folder: Path | None, limits: Limits, say: Callable[[str], None]) -> None:
        """`plan` is that of any of the workers. Without a folder nothing is written."""
        requests = plan.mix.requests if plan.mix else ()
        floods = {
            f"{r.method} {r.label}": r.at_most_per_s * plan.workers for r in requests if r.at_most_per_s is not None
        }
        self._merge = Merge(plan.workers)
        self._total = Total(plan.window_s, plan.workers, tuple(plan.looks_s), floods)
        self._recording = Recording(folder, looks=len(plan.looks_s)) if folder else None
        self._looks = [end_s + REPLY_LIMIT_S + SERVED_WITHIN_S for end_s in plan.looks_s]  # by then all have ended
        self._looked = 0
        self._told_s = 0.0
        self.limits = limits
        self.started_s: float | None = None  # on the monotonic clock of this machine, when that is the senders' too
        self._say = say
        self.exit_code: int | None = None  # known at the end

    def second(self, worker: int, second: Second) -> None:
        """Take one second of one worker."""
        if self.exit_code is not None:
            return
        for complete in self._merge.add(worker, second):
            record = self._total.add(complete)
            if self._recording:
                self._recording.second(complete, record)
                if complete.end_s >= self._told_s + max(SO_FAR_S, SO_FAR_SHARE * complete.end_s):
                    self._told_s = complete.end_s
                    self._recording.so_far(self._dated(self._total.so_far()))
            self._look(complete.end_s)
        if self._merge.finished:
            self._look(float("inf"))
            self._finish(self._dated(self._total.result()))

    def give_up(self, reason: str) -> None:
        """End without a result, unless there is one."""
        if self.exit_code is None:
            self._finish({"broken": reason})

    def _look(self, now_s: float) -> None:
        """Write the looks for which everything is known."""
        while self._looked < len(self._looks) and (
            now_s >= self._looks[self._looked] or self._total.is_answered(self._looked)
        ):
            if self._recording:
                self._recording.look(self._looked, self._dated(self._total.look(self._looked)))
            self._looked += 1

    def _dated(self, result: dict[str, Any]) -> dict[str, Any]:
        """Say when the load started, so that what others saw of this machine can be laid beside it."""
        return {**result, "started_s": self.started_s}

    def _finish(self, result: Mapping[str, Any]) -> None:
        if self._recording:
            self._recording.finish(result)
        self.exit_code, findings = thresholds.judge(result, self.limits)
        for finding in findings:
            self._say(finding.text)
