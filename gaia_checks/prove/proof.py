"""`gaia prove`: try every fault of the catalogue against the gate, and show what became of each."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import DeployError, GaiaError, Inconclusive
from gaia_checks.judge import criteria_file
from gaia_checks.judge.criteria_file import Criteria
from gaia_checks.model import Log
from gaia_checks.promotion.statements import installation
from gaia_checks.prove import (
    fault_catalogue,
    fault_verdict,
    interruptible,
    kill_matrix,
    proof_results,
    short_windows,
    trial,
    workplace,
)
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import GateOutcome, ProofResult
from gaia_checks.prove.interruptible import Interrupted, Run
from gaia_checks.prove.proof_results import ProofResults
from gaia_checks.prove.trial import Trial
from gaia_checks.prove.workplace import Recipe, Workplace


@dataclass(frozen=True, slots=True)
class Proof:
    """The catalogue of one server, and what was proven of it."""

    environment: Environment
    recipe: Recipe
    criteria: Criteria
    faults: tuple[CataloguedFault, ...]  # all of them
    results: ProofResults

    def prove(self, patterns: Sequence[str], jobs: int, log: Log) -> tuple[CataloguedFault, ...]:
        """Try the faults that fit a pattern and are not finished; return all that fit.

        Raises ConfigurationError, Inconclusive when the healthy server does not pass, and Interrupted.
        """
        chosen = fault_catalogue.select(self.faults, patterns)
        finished = self.results.finished(chosen)
        left = [fault for fault in chosen if fault.name not in finished]
        if finished:
            log(f"{len(finished)} of {len(chosen)} faults were tried before, and neither they nor the source changed")
        if left:
            with _stoppable() as run:
                self._baseline({fault.criterion for fault in left}, run, log)
                self._try_all(left, jobs, run, log)
        return chosen

    def _baseline(self, wanted: set[str], run: Run, log: Log) -> None:
        """Gate the server without a fault. Raises Inconclusive when a fault's own criterion does not pass.

        Cheap criteria that do not pass, as with a server of another contract, are named and take part in no trial.
        """
        missing = wanted - self.results.healthy()
        if not missing:
            return
        missing |= self._cheap()
        log(f"baseline: the server without a fault, {len(missing)} criteria")
        judged = [fault for fault in self.faults if fault.criterion in missing]
        with self._built(None, short_windows.needed(self.criteria, judged), run) as (tried, executable, migrations):
            tried.deploy(executable, migrations, previous=short_windows.needs_previous(self.criteria, missing))
            outcome = tried.gate(missing)
        self.results.add_baseline(outcome.states)
        not_passed = sorted(missing - self.results.healthy())
        if bad := [name for name in not_passed if name in wanted]:
            whys = outcome.trouble or "; ".join(f"{name}: {outcome.reasons.get(name, 'not judged')}" for name in bad)
            raise Inconclusive(f"baseline: the server without a fault does not pass, so nothing is proven: {whys}")
        for name in not_passed:
            log(f"without a fault {name} is {outcome.states.get(name, 'not judged')}, so no trial judges it")

    def _cheap(self) -> set[str]:
        return short_windows.with_looks(self.criteria, short_windows.CHEAP)

    def _try_all(self, faults: Sequence[CataloguedFault], jobs: int, run: Run, log: Log) -> None:
        """Try these faults, `jobs` at the same time, and those of a load after them, each alone."""
        alone = [fault for fault in faults if short_windows.loads(self.criteria, fault.criterion)]
        done = 0
        for some, width in (([fault for fault in faults if fault not in alone], jobs), (alone, 1)):
            for fault, result in self._results(some, width, run):
                done += 1
                self.results.add(fault, result)
                log(f"[{done}/{len(faults)}] {progress(result)}")

    def _results(
        self, faults: Sequence[CataloguedFault], width: int, run: Run
    ) -> Iterator[tuple[CataloguedFault, ProofResult]]:
        """Yield each fault with its result, as they come. Raises Interrupted when the running ones have stopped."""
        with ThreadPoolExecutor(width) as threads:
            running = {threads.submit(self._try, fault, run): fault for fault in faults}
            try:
                for future in as_completed(running):
                    yield running[future], future.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _try(self, fault: CataloguedFault, run: Run) -> ProofResult:
        try:
            with self._built(fault, short_windows.needed(self.criteria, [fault]), run) as (
                tried,
                executable,
                migrations,
            ):
                try:
                    previous = short_windows.needs_previous(self.criteria, {fault.criterion})
                    tried.deploy(executable, migrations, previous=previous)
                except DeployError as error:
                    return fault_verdict.refused(fault, "deployment", str(error))
                return fault_verdict.judge(fault, list(self._gates(fault, tried)))
        except Interrupted:
            raise
        except DeployError as error:
            return fault_verdict.refused(fault, "build", str(error))
        except (GaiaError, OSError) as error:
            return fault_verdict.undecided(fault, str(error))

    def _gates(self, fault: CataloguedFault, tried: Trial) -> Iterator[GateOutcome]:
        """Gate the fault until it is decided, by criteria that pass without it."""
        own, healthy = {fault.criterion}, self.results.healthy()
        cheap = self._cheap() & healthy
        others = (short_windows.without_load(self.criteria) & healthy) - own - cheap
        first = tried.gate(own | cheap)
        yield first
        match fault_verdict.needs_another(fault, [first]):
            case "own":
                yield tried.gate(own)
            case "others" if others:
                yield tried.gate(others)

    @contextmanager
    def _built(
        self, fault: CataloguedFault | None, windows: Mapping[str, float], run: Run
    ) -> Iterator[tuple[Trial, Path, Path]]:
        """Yield a trial, and the executable and migrations of the server with a fault."""
        with trial.opened(self.environment, run, windows) as tried:
            source = tried.folder / "source"
            source.mkdir()
            place = Workplace(source, self.recipe, run)
            place.copy()
            if fault is not None:
                place.apply(fault.patch)
            yield tried, place.build(), place.migrations


def of(name: str) -> Proof:
    """Return the proof of an environment's server. Raises ConfigurationError."""
    environment = environment_file.load(name)
    criteria = criteria_file.load(own=environment.criteria)
    recipe = workplace.recipe(environment)
    faults = fault_catalogue.read(recipe.faults, {criterion.id for criterion in criteria.criteria})
    source = f"{recipe.digest()}{installation.digest(ROOT)}"
    return Proof(environment, recipe, criteria, faults, ProofResults(proof_results.path_for(environment), source))


def progress(result: ProofResult) -> str:
    """Return one line about a result."""
    seconds = "" if result.seconds is None else f" after {result.seconds:.0f} s"
    return f"{result.verdict}{seconds}  {result.fault}: {result.reason}"


def exit_code(results: Sequence[ProofResult | None]) -> int:
    """Return 0 when every fault was stopped, 1 when one got through, else 8."""
    verdicts = {result.verdict if result else kill_matrix.NOT_RUN for result in results}
    if verdicts & {fault_verdict.MISSED, fault_verdict.WRONG}:
        return DeployError.exit_code
    return 0 if verdicts <= set(fault_verdict.GOOD) else Inconclusive.exit_code


@contextmanager
def _stoppable() -> Iterator[Run]:
    """Yield what runs commands until SIGINT or SIGTERM; restore the handlers afterwards."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield interruptible.runner(stopping)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
