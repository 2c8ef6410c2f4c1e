"""The lifecycle of one gate in the controlling process.

prepare   take the lock, create the evidence folder with an inconclusive verdict, move `latest`; the target is untouched
open      start the target, observe its limits unannounced, remove traces of earlier gates, create the temporary rule
record    record the outcome of each test; meanwhile `conductor` runs recorders and loads
close     stop processes, remove traces, observe the limits and look once more, judge, report, seal; stop the target if
          the gate started it
"""

import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from gaia_checks import files, jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.environment import environment_file
from gaia_checks.errors import Busy, ConfigurationError, GaiaError, NotWritable
from gaia_checks.gate.run import aftermath, capabilities, conclusion, gate_plan, gated_target, judgeable, traces
from gaia_checks.gate.run.capabilities import Capability
from gaia_checks.gate.run.conductor import Conductor
from gaia_checks.gate.run.enforcement import Enforcement
from gaia_checks.gate.run.look import FAILED, PLAN, Gate
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.judge.applicability import why_not
from gaia_checks.model import Criterion, Log, Measurement, State, Target, Verdict, timestamp
from gaia_checks.recorders.log import log_source, secret_search
from gaia_checks.report import evidence, words
from gaia_checks.report.evidence_redaction import refuse_words

EXIT_CODES = {State.PASS: 0, State.FAIL: 1, State.INCONCLUSIVE: 8}
"""The gate's exit code by the state of the stage."""

_THAT_ADD_CODE = {"PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH"}
_LOG_TAIL_BYTES = 5_000_000


class Session:
    """One gate in the controlling process."""

    def __init__(self, name: str, stage: str | None, log: Log, *, complete: bool = False) -> None:
        """Read and check the configuration without side effects. Raises ConfigurationError.

        With `complete`, a gate that can no longer pass runs to its end.
        """
        self.environment = environment_file.load(name)
        self.stage = stage or self.environment.stage
        self.criteria = criteria_file.load(
            overrides=self.environment.looks,
            source=self.environment.path.name,
            own=self.environment.criteria,
            limits=self.environment.no_regression,
        )
        self.promised = self.criteria.for_stage(self.stage)
        refuse_words(self.environment, self.criteria.criteria)
        self._started_at = datetime.now(UTC)
        self._started_s = time.monotonic()
        self.run = f"{self._started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self._log = log
        self._complete = complete
        self._found: Target | None = None  # at the target's address, whether or not it can be used
        self._facts: list[Measurement] = []
        self._enforcement = Enforcement(self.promised)
        self._target: Target | None = None
        self._unreachable: str | None = None
        self._found_running = True
        self._conductor: Conductor | None = None
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Take the environment's gate lock and write an inconclusive verdict, before anything is measured.

        Raises Busy or NotWritable.
        """
        folder = self.environment.reports / self.environment.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / ".lock").open("a+")
            self._take_lock()
            self.folder = evidence.create(
                self.environment.reports, self.environment, self.stage, self.run, self.promised, self._started_at
            )
        except PermissionError as error:
            raise NotWritable(
                f"{error.filename or folder}: not writable; "
                "change its owner (chown), or set GAIA_REPORTS to another folder"
            ) from error
        except OSError as error:
            raise NotWritable(
                f"{folder}: {error.strerror}; free some space, or set GAIA_REPORTS to another folder"
            ) from error
        self._scratch = tempfile.TemporaryDirectory(prefix="gaia-gate-")
        self.channel = Path(self._scratch.name)

    def _take_lock(self) -> None:
        assert self._lock is not None  # noqa: S101 - for the type checker: prepare opened it
        if not files.try_lock(self._lock):
            self._lock.seek(0)
            raise Busy(
                f"{self.environment.name}: another gate is running ({self._lock.read().strip()}); wait until it ends"
            )
        self._lock.truncate(0)
        self._lock.write(f"run {self.run}, since {timestamp(self._started_at)}")
        self._lock.flush()

    @property
    def gate(self) -> Gate:
        """The state that the tests share."""
        return Gate(
            environment=self.environment,
            stage=self.stage,
            folder=self.folder,
            criteria=self.criteria,
            channel=self.channel,
            target=self._target,
            unreachable=self._unreachable,
            found=self._found,
        )

    # open ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the target and create the temporary rule. An unreachable target is a finding, not an error.

        Raises ConfigurationError for mistakes that the user must fix first.
        """
        self._clear_copies()
        try:
            self._target = self._found = self._bring_up()
            self._facts = gated_target.facts(self.environment, self._found)
            for fact in self._facts:
                self.gate.record(fact)
            self._enforcement.before(self._target)
            runs = {entry.name for entry in (self.environment.reports / self.environment.name).iterdir()}
            rate_per_s = max(self.criteria.looks[look]["rate_per_s"] for look in gate_plan.LOADS)
            no_rules = traces.prepare(self._target, runs - {self.run}, rate_per_s)
            self._target = replace(self._target, no_rules=no_rules)
            self._enforcement.announced(self._target)
            found = self._find_capabilities(self._target)
            self._target = replace(self._target, silent=capabilities.silence(self._target, found))
            self._report_capabilities(self._target, found)
        except ConfigurationError:
            self.leave_as_found()
            raise
        except Exception as error:  # noqa: BLE001 - whatever the response, it is not that of a gaia_server
            self._unreachable = self.environment.redact(self._why_unreachable(error))
            self._target = None
            self._log(f"no target: {self._unreachable}")
        if self._target is not None:
            self._conductor = Conductor(self.gate, self._target, self.planned_criteria, complete=self._complete)
            self._conductor.start()

    def _find_capabilities(self, target: Target) -> list[Capability]:
        """Find out and record what the target has of what criteria need."""
        found = capabilities.observe(target)
        there = ", ".join(each.name for each in found if each.present)
        absent = tuple(f"{each.name}: {each.why}" for each in found if not each.present)
        how = "what the target and this machine have of what criteria need"
        self.gate.record(Measurement("target.capabilities", there, "text", 1, 0.0, jsonl.now(), how, absent))
        return found

    def _report_capabilities(self, target: Target, found: Sequence[Capability]) -> None:
        """Show what can be judged; of a server that answers nothing, only that."""
        if target.silent:
            self._log(self.environment.redact(target.silent))
            return
        if target.no_rules:
            why = f"no temporary rules, so what needs them is not checked: {target.no_rules}"
            self._log(self.environment.redact(why))
        for line in judgeable.lines(self.promised, found, self._facts):
            self._log(self.environment.redact(line))
        load = self.environment.load
        if load.workers and any(criterion.look == gate_plan.LOAD for criterion in self.promised):
            self._log(f"the load waits for {load.generator}; start each with: {load.join_command}")

    def abandon(self) -> None:
        """Clean up after a gate that was interrupted while it opened."""
        self._stop()
        self.leave_as_found()

    def _clear_copies(self) -> None:
        """Remove the rehearsal copies of killed gates, and of killed workers of this one."""
        try:
            for name in rehearsal_copy.clear(self.environment):
                self._log(f"removed the rehearsal copy {name} of a killed gate")
        except (GaiaError, OSError) as error:
            self._log(self.environment.redact(f"cannot remove a rehearsal copy, the next gate will retry: {error}"))

    def _why_unreachable(self, error: Exception) -> str:
        if isinstance(error, GaiaError):
            return str(error)
        where = self._target.base_url if self._target else self.environment.name
        details = " ".join(str(error).split()) or type(error).__name__
        return (
            f"{where}: the target does not respond like a gaia_server: {details}; if its names differ, map them with "
            f"[contract.paths] and [contract.fields] in {self.environment.path.name}"
        )

    def _bring_up(self) -> Target:
        if gated_target.deployed_by_gate(self.environment):
            self._found_running = rollout.status(self.environment).state != "stopped"
            rollout.deploy(self.environment, log=self._log)
        return gated_target.find(self.environment, self.run)

    # record --------------------------------------------------------------------------------------

    def record_outcome(self, test: str, outcome: str, duration_s: float) -> str:
        """Record the outcome of a test, "passed" or another; return its criterion."""
        criterion_id = (self._plan() or {})[test]
        name = judgement.outcome_name(criterion_id)
        result = Measurement(name, self.environment.redact(outcome), "text", 1, duration_s, jsonl.now(), test)
        self.gate.record(result)
        if self._conductor:
            self._conductor.test_finished(criterion_id, failed=outcome.startswith(FAILED))
        return criterion_id

    def record_invocation(self, record: dict[str, Any]) -> None:
        """Keep in the evidence how this gate was called, and as one line what is not the same in every gate."""
        files.replace_json(self.folder / evidence.INVOCATION, record)
        options = " ".join(each for each in record["options"] if not each.startswith("--env="))
        variables = [f"{name}={value}" for name, value in record["variables"].items() if name in _THAT_ADD_CODE]
        plugins = [f"plugin {name}" for name in record["foreign"]]
        unusual = [each for each in (options, *variables, *plugins, "python -O" if record["optimize"] else "") if each]
        text = self.environment.redact("; ".join(unusual))
        self.gate.record(Measurement(words.CALLED, text, "text", len(unusual), 0.0, jsonl.now(), evidence.INVOCATION))

    def planned_criteria(self) -> list[Criterion] | None:
        """Return the applicable criteria that have a test in this gate; None while the tests are not yet known."""
        planned = self._plan()
        if planned is None:
            return None
        return [each for each in self.promised if each.id in planned.values() and not why_not(each, self._facts)]

    def _plan(self) -> dict[str, str] | None:
        """Return test -> criterion, as written by the process that collected the tests."""
        try:
            plan: dict[str, str] = json.loads((self.channel / PLAN).read_text())
        except FileNotFoundError:
            return None
        return plan

    # close ---------------------------------------------------------------------------------------

    def close(self, *, interrupted: bool) -> Verdict:
        """Stop everything, judge from the files alone, report and seal. The verdict is on disk when this returns."""
        self._stop()
        try:
            if self._target and not interrupted:
                self._look_once_more(self._target)
        except KeyboardInterrupt:  # it takes seconds
            interrupted = True
        self._save_log()
        try:
            self.leave_as_found()
        except (GaiaError, OSError) as error:  # what was observed stands
            why = f"cannot stop the server that this gate started, run gaia stop {self.environment.name}: {error}"
            self._log(self.environment.redact(why))
        if not interrupted:
            how = "the gate ran to its end"
            self.gate.record(Measurement(judgement.FINISHED, True, "bool", 1, self._duration_s(), jsonl.now(), how))
        verdict = self._judge()
        conclusion.write(self.folder, verdict, self.environment, self._log)
        self._scratch.cleanup()
        return verdict

    def _stop(self) -> None:
        """Stop the background processes, and remove rehearsal copies and traces."""
        if self._conductor:
            self._conductor.close()
        self._clear_copies()
        self._remove_traces()

    def _look_once_more(self, target: Target) -> None:
        """Observe, with nothing of this gate left in it, whether it still enforces limits and still works."""
        if enforced := self._enforcement.after(target):
            self.gate.record(enforced)
        aftermath.look(self.gate, target, self.promised, self._log)

    def _judge(self) -> Verdict:
        measurements = self.gate.measured()
        judged = judgement.judge(self.promised, measurements, rehearsal=self.criteria.rehearsal)
        return Verdict(
            environment=self.environment.name,
            stage=self.stage,
            run=self.run,
            started_at=timestamp(self._started_at),
            duration_s=self._duration_s(),
            state=judgement.overall(judged),
            rehearsal=self.criteria.rehearsal,
            release=self._target.release if self._target else None,
            criteria=judged,
            remarks=words.remarks(measurements),
        )

    def _duration_s(self) -> float:
        return round(time.monotonic() - self._started_s, 3)

    def _remove_traces(self) -> None:
        if self._target is None:
            return
        if self._target.no_rules:
            self.gate.record(traces.not_searched(f"no temporary rules: {self._target.no_rules}"))
            return
        try:
            left = traces.remove(self._target, {self.run})
        except Exception as error:  # noqa: BLE001 - no response of the server may prevent the end of the gate
            why = f"cannot remove the temporary rules ({error or type(error).__name__})"
            self._log(f"{why}; the next gate will retry")
            self.gate.record(traces.not_searched(why))
            return
        if left:
            self._log(f"temporary rules left in the target: {', '.join(left)}; the next gate will retry")
        rows = traces.rows_left(self._target)
        self.gate.record(rows)
        if rows.value:
            self._log(f"rows left in the target: {', '.join(rows.notes)}; the next gate will retry")

    def _save_log(self) -> None:
        if self._target is None:
            return
        if self._target.log is None:
            self.gate.record(secret_search.not_searched("the server's log is not known"))
            return
        try:
            content = log_source.last_bytes(self._target.log, _LOG_TAIL_BYTES)
            (self.folder / "server.log").write_bytes(content)
        except OSError as error:
            why = f"{self._target.log}: cannot copy the end of the log: {error.strerror or error}"
            self._log(why)
            self.gate.record(secret_search.not_searched(why))
            return
        started_s = self._started_at.timestamp()
        self.gate.record(secret_search.search(self._target, self._target.log, content, started_s))
        evidence.redact(self.folder, self.environment)

    def leave_as_found(self) -> None:
        """Stop the server if this gate started it; a server that was already running stays."""
        if not self._found_running:
            self._found_running = True
            rollout.stop(self.environment)
