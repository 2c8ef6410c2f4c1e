"""Collects a whole load, wherever its parts are sent from: seconds in; files, result and exit code out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.results import thresholds
from gaia_checks.load.results.aggregate import Merge, Total
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, SERVED_WITHIN_S, Second
from gaia_checks.load.results.result_files import Recording
from gaia_checks.load.results.thresholds import Thresholds
from gaia_checks.load.results.worker_totals import WorkerTotals
from gaia_checks.model import Log

SO_FAR_S, SO_FAR_SHARE = 2.0, 0.05
"""Minimum interval between interim results, and as a share of the time so far. Judging takes longer the more there is,
and late in a load a second matters less."""


class Collector:
    """Collects the workers' seconds until all have reported everything, or one has failed."""

    def __init__(self, plan: LoadPlan, folder: Path | None, limits: Thresholds, log: Log) -> None:
        """`plan` is the plan of any worker. Without a folder nothing is written."""
        requests = plan.mix.requests if plan.mix else ()
        floods = {
            f"{r.method} {r.label}": r.at_most_per_s * plan.workers for r in requests if r.at_most_per_s is not None
        }
        self._merge = Merge(plan.workers)
        self._total = Total(plan.window_s, plan.workers, tuple(plan.looks_s), floods, plan.due_by_looks())
        self._recording = Recording(folder, looks=len(plan.looks_s)) if folder else None
        self._looks = [end_s + REPLY_LIMIT_S + SERVED_WITHIN_S for end_s in plan.looks_s]  # all have finished by then
        self._looked = 0
        self._written_s = 0.0
        self.by_worker: Sequence[WorkerTotals] = ()  # the workers of a distributed load, by their numbers
        self.limits = limits
        self.started_s: float | None = None  # on this machine's monotonic clock, if the workers share it
        self._log = log
        self.exit_code: int | None = None  # known at the end

    def second(self, worker: int, second: Second) -> None:
        """Add one second of one worker."""
        if self.exit_code is not None:
            return
        if self.by_worker:
            self.by_worker[worker].add(second)
        for complete in self._merge.add(worker, second):
            record = self._total.add(complete)
            if self._recording:
                self._recording.second(complete, record)
                if complete.end_s >= self._written_s + max(SO_FAR_S, SO_FAR_SHARE * complete.end_s):
                    self._written_s = complete.end_s
                    self._recording.so_far(self._dated(self._total.so_far()))
            self._look(complete.end_s)
        if self._merge.finished:
            self._look(float("inf"))
            self._finish(self._dated(self._total.result()))

    def give_up(self, reason: str) -> None:
        """Finish without a result, unless there is one."""
        if self.exit_code is None:
            self._finish({"broken": reason})

    def _look(self, now_s: float) -> None:
        """Write the looks that are complete."""
        while self._looked < len(self._looks) and (
            now_s >= self._looks[self._looked] or self._total.is_answered(self._looked)
        ):
            if self._recording:
                self._recording.look(self._looked, self._dated(self._total.look(self._looked)))
            self._looked += 1

    def _dated(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add the start of the load, to align observations of this machine with it, and what each worker did."""
        by_worker = {"by_worker": [worker.to_json() for worker in self.by_worker]} if self.by_worker else {}
        return {**result, **by_worker, "started_s": self.started_s}

    def _finish(self, result: Mapping[str, Any]) -> None:
        if self._recording:
            self._recording.finish(result)
        self.exit_code, findings = thresholds.judge(result, self.limits)
        for finding in findings:
            self._log(finding.text)
