"""Error rates of the gate's statistics, from simulated services of known quality: `make bench-statistics`, ~10 min.

A known share of a service's requests fails: one by one, or in bursts of consecutive arrivals. Each run is judged as the
gate does: at the nominal end of the load, then at each extension while it is undecided. Only the requests are
simulated; everything else uses the gate's own functions and the numbers in criteria.toml.
"""

import argparse
import bisect
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from gaia_checks.judge import criteria_file
from gaia_checks.judge.analyses import ends_s
from gaia_checks.judge.check_rules import Analysis
from gaia_checks.judge.criteria_file import Looks
from gaia_checks.judge.statistics import Sample
from gaia_checks.model import State

BLOCK_S = 10
BURSTS = (1, 10, 30, 100)
TWO_HOURS = {"load": {"max_window_s": 7200, "failing_burst_s": 1}}
"""Overrides that an environment file may set in place of criteria.toml's half hour."""

WEAKER = (("no bursts expected", 1), ("bursts of 10", 10))
"""Weaker burst assumptions, in arrivals, to show their error rates."""

REHEARSAL: dict[str, Any] = {"ends_s": ends_s(48, 68), "rate_per_s": 150.0, "grid_s": 2.0}
"""The two looks of environments/local.toml. A rehearsal assumes no bursts."""

SEED = 20261123

_SPREAD = 0.5  # of the logarithm of a latency, lognormal as service times roughly are


@dataclass(frozen=True)
class Promise:
    """The share of good requests that is promised, and when the load is judged."""

    name: str
    promised: float  # share of requests that must be good
    burst: float  # number of requests that may fail together
    ends_s: tuple[float, ...]
    rate_per_s: float
    grid_s: float = BLOCK_S  # failures are simulated per interval of this length; it divides BLOCK_S

    def judge(self, wrong: Any) -> tuple[State, float]:
        """Judge the failed requests of each grid interval, look after look; return the verdict and its time."""
        ends = [int(end_s / self.grid_s) for end_s in self.ends_s]
        starts = sorted({*range(0, len(wrong), int(BLOCK_S / self.grid_s)), *ends[:-1]})  # the gate's own blocks
        requests = np.full(len(wrong), self.rate_per_s * self.grid_s)
        grid: Any = np.column_stack((requests, np.minimum(wrong, requests)))
        blocks: Any = np.add.reduceat(grid, starts)
        for number, end_s in enumerate(self.ends_s):
            sample = Sample.of(blocks[: bisect.bisect_left(starts, ends[number])], self.burst)
            alphas = Analysis(self.ends_s, number, rehearsal=False).alphas(sample.n, self.promised, self.burst)
            if sample.lower(alphas[0]) >= self.promised:
                return State.PASS, end_s
            if sample.upper(alphas[1]) < self.promised:
                return State.FAIL, end_s
        return State.INCONCLUSIVE, self.ends_s[-1]


@dataclass(frozen=True)
class Service:
    """The share of its requests that fail, and how many fail at a time."""

    name: str
    share: float
    burst: int = 1

    def draw(self, chance: np.random.Generator, blocks: int, requests: int) -> Any:
        """Return the number of failed requests in each block. A burst may extend into the next block."""
        if self.burst == 1:
            return chance.binomial(requests, self.share, blocks)
        starts = chance.integers(0, blocks * requests, chance.poisson(blocks * requests * self.share / self.burst))
        first, offset = np.divmod(starts, requests)
        here = np.minimum(self.burst, requests - offset)
        over = np.bincount(first + 1, self.burst - here, blocks + 1)[:blocks]
        return (np.bincount(first, here, blocks) + over).astype(np.int64)


@dataclass(frozen=True)
class Rates:
    """The outcomes of the runs of one service."""

    passed: float
    failed: float
    mean_s: float


def simulate(promise: Promise, service: Service, runs: int, seed: int = SEED) -> Rates:
    """Simulate and judge `runs` runs of a service."""
    chance = np.random.default_rng([seed, service.burst])
    blocks, requests = int(promise.ends_s[-1] / promise.grid_s), int(promise.rate_per_s * promise.grid_s)
    judged = [promise.judge(service.draw(chance, blocks, requests)) for _ in range(runs)]
    return Rates(
        passed=sum(state is State.PASS for state, _ in judged) / runs,
        failed=sum(state is State.FAIL for state, _ in judged) / runs,
        mean_s=sum(time_s for _, time_s in judged) / runs,
    )


def as_promised(overrides: Looks | None = None, suffix: str = "") -> tuple[Promise, Promise]:
    """Return success rate and latency as criteria.toml promises them, with an environment's `overrides`."""
    loaded = criteria_file.load(overrides=overrides)
    rate_per_s = loaded.looks["load"]["rate_per_s"]
    found = {criterion.id: criterion for criterion in loaded.criteria}

    def promise(name: str) -> Promise:
        criterion, check = found[name], found[name].checks[-1]
        return Promise(name + suffix, check.share, rate_per_s * (check.burst_s or 0), criterion.looks_s, rate_per_s)

    return promise("prod.success_rate"), promise("prod.latency")


def succeeding(share: float) -> Service:
    """Return a service that answers this share of its requests successfully."""
    return Service(f"{100 * share:.7g} % succeed", 1 - share)


def with_p99_of(p99_ms: float, limit_ms: float = 100) -> Service:
    """Return a service with this p99: the share of its lognormal latencies that exceeds the limit."""
    return Service(f"p99 {p99_ms:g} ms", float(norm.sf(norm.ppf(0.99) + math.log(limit_ms / p99_ms) / _SPREAD)))


def cases() -> Iterator[tuple[Promise, Service]]:
    """Yield the simulated cases: the gate's own promises, in half an hour and in two; the rehearsal; weaker designs."""
    for success, latency in (as_promised(), as_promised(TWO_HOURS, ", two hours")):
        for share in (0.999, 0.9995, 0.9999, 0.99999, 0.999999):
            yield success, succeeding(share)
        for p99_ms in (125, 100, 80, 60):
            yield latency, with_p99_of(p99_ms)
    for share in (0.999, 0.9995, 0.9999, 0.999999):
        yield Promise("prod.success_rate, rehearsal", 0.9995, 1, **REHEARSAL), succeeding(share)
    for p99_ms in (125, 100, 80, 60):
        yield Promise("prod.latency, rehearsal", 0.99, 1, **REHEARSAL), with_p99_of(p99_ms)
    for name, burst in WEAKER:
        for share in (0.9995, 0.9999, 0.999999):
            yield Promise(f"prod.success_rate, {name}", 0.9995, burst, ends_s(300, 1200), 100), succeeding(share)
    for p99_ms in (100, 80):
        yield Promise("prod.latency, no bursts expected", 0.99, 1, ends_s(300, 1200), 100), with_p99_of(p99_ms)


def main() -> None:
    """Print the outcomes of all services as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--only", default="", help="simulate only the cases whose name contains this text")
    arguments = parser.parse_args()
    runs = arguments.runs
    print(f"{runs} runs each; passed / failed / mean minutes until decided or arguments up\n")
    print(
        "| looks after | service | "
        + " | ".join("one by one" if b == 1 else f"in bursts of {b}" for b in BURSTS)
        + " |"
    )
    print("|---" * (2 + len(BURSTS)) + "|")
    with ProcessPoolExecutor() as pool:
        for promise, service in (case for case in cases() if arguments.only in case[0].name):
            bursty = [Service(service.name, service.share, burst) for burst in BURSTS]
            cells = pool.map(simulate, [promise] * len(BURSTS), bursty, [runs] * len(BURSTS))
            looks = f"{promise.name}: " + ", ".join(f"{end_s:g}" for end_s in promise.ends_s) + " s"
            shown = (f"{rates.passed:.2%} / {rates.failed:.2%} / {rates.mean_s / 60:.0f}" for rates in cells)
            print(f"| {looks} | {service.name} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
