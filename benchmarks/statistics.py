"""How often the gate's statistics err, by simulated services of known quality: `make bench-statistics`.

A service goes wrong in a known share of its requests: one by one, or in bursts of consecutive arrivals. Each run of
it is judged as the gate does: at the nominal end of the load, then at the two extensions while it is undecided. A run
is judged by the gate's own functions; only the requests are drawn.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gaia_checks.judge import criteria
from gaia_checks.judge.looks import ends_s
from gaia_checks.judge.rules import Look
from gaia_checks.judge.statistics import Sample
from gaia_checks.model import State

BLOCK_S = 10
BURSTS = (1, 10, 30, 100)


@dataclass(frozen=True)
class Promise:
    """What is promised of every request, and how it is looked at."""

    name: str
    promised: float  # share of requests that must be good
    burst_s: float | None
    ends_s: tuple[float, ...]
    rate_per_s: float

    def judge(self, wrong: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> tuple[State, float]:
        """Judge the requests that went wrong in each block, look after look; return the verdict and its time."""
        requests = self.rate_per_s * BLOCK_S
        for number, end_s in enumerate(self.ends_s):
            blocks = [(requests, min(count, requests)) for count in wrong[: int(end_s / BLOCK_S)]]
            burst = max(1.0, (self.burst_s or 0) * self.rate_per_s)
            sample = Sample.of(blocks, burst)  # type: ignore[arg-type] # whole numbers
            alphas = Look(self.ends_s, number, rehearsal=False).alphas(sample.n, self.promised, burst)
            if sample.lower(alphas[0]) >= self.promised:
                return State.PASS, end_s
            if sample.upper(alphas[1]) < self.promised:
                return State.FAIL, end_s
        return State.INCONCLUSIVE, self.ends_s[-1]


@dataclass(frozen=True)
class Service:
    """How often its requests go wrong, and how many at a time."""

    share: float
    burst: int

    def draw(
        self, chance: np.random.Generator, blocks: int, requests: int
    ) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Return how many requests went wrong in each block. A burst may reach into the next one."""
        if self.burst == 1:
            return chance.binomial(requests, self.share, blocks)
        starts = chance.integers(0, blocks * requests, chance.poisson(blocks * requests * self.share / self.burst))
        first, offset = np.divmod(starts, requests)
        here = np.minimum(self.burst, requests - offset)
        wrong = np.bincount(first, here, blocks) + np.bincount(first + 1, self.burst - here, blocks + 1)[:blocks]
        return wrong.astype(np.int64)


@dataclass(frozen=True)
class Rates:
    """How the runs of one service ended."""

    passed: float
    failed: float
    mean_s: float


def simulate(promise: Promise, service: Service, runs: int, seed: int) -> Rates:
    """Judge so many runs of a service."""
    chance = np.random.default_rng(seed)
    blocks, requests = int(promise.ends_s[-1] / BLOCK_S), int(promise.rate_per_s * BLOCK_S)
    ended = [promise.judge(service.draw(chance, blocks, requests)) for _ in range(runs)]
    return Rates(
        passed=sum(state is State.PASS for state, _ in ended) / runs,
        failed=sum(state is State.FAIL for state, _ in ended) / runs,
        mean_s=sum(time_s for _, time_s in ended) / runs,
    )


def promises() -> Iterator[Promise]:
    """The two promises of criteria.toml, then what shorter windows would give."""
    loaded = criteria.load()
    rate_per_s = loaded.looks["load"]["rate_per_s"]
    for wanted, promised in (("prod.success_rate", None), ("prod.latency", 0.99)):
        criterion = next(each for each in loaded.criteria if each.id == wanted)
        check = criterion.checks[-1]
        yield Promise(wanted, promised or float(check.threshold), check.burst_s, criterion.looks_s, rate_per_s)
    for max_window_s, burst_s in ((1200, None), (1200, 0.1), (1800, 0.3), (7200, 1.0)):
        yield Promise(
            f"99.95 %, {max_window_s} s, bursts of {burst_s} s", 0.9995, burst_s, ends_s(300, max_window_s), 100
        )
    for max_window_s, burst_s in ((1200, None), (1200, 1.0), (1800, 1.0), (7200, 1.0)):
        yield Promise(f"p99, {max_window_s} s, bursts of {burst_s} s", 0.99, burst_s, ends_s(300, max_window_s), 100)


def main() -> None:
    """Print a table of error rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    for promise in promises():
        print(promise.name, promise.ends_s)
        limit = 1 - promise.promised
        for factor in (2, 1, 0.5, 0.3, 0.2, 0.1, 0.03, 0.01, 0.002):
            cells = []
            for burst in BURSTS:
                r = simulate(promise, Service(limit * factor, burst), given.runs, seed=burst)
                cells.append(f"{r.passed:6.1%} {r.failed:6.1%} {r.mean_s:5.0f}s")
            print(f"  {factor:5g} x limit  " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
