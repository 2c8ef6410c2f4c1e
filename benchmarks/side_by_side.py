"""How often the comparison with the previous release errs: `make bench-statistics`, about a minute.

Requests of two releases are simulated in pairs, one after the other, as the gate sends them. This machine stands still
now and then, for one request or for several, whichever release they reach. Each run is judged by the gate's own rules.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gaia_checks.judge import criteria_file
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State
from gaia_checks.probes.rehearsal.release_blocks import PAIRS

LIMITS = {
    "p50_ratio": 1.05,
    "p99_ratio": 1.25,
    "cpu_ratio": 1.05,
    "startup_ratio": 1.5,
    "transactions_ratio": 1.05,
    "memory_more_mb": 10,
}
"""What an environment file may say."""

SEED = 20261128

_MEAN_MS = 3.7  # of a request of gaia_server, with the client's own time
_SPREAD = 0.4  # of the logarithm of a latency
_STARTS_S, _START_SPREAD = 1.2, 0.1
_MEMORY_SPREAD_MB = 0.5  # between two starts of one release; two comparisons differed by 0.05 and 0.14
_CPU_MS, _CPU_SPREAD = 2.5, 0.05  # per request, over a block


@dataclass(frozen=True)
class Change:
    """What the new release does worse."""

    name: str
    slower: float = 1.0  # times, every request
    slower_tail: float = 1.0  # times, of 3 % of the requests
    transactions: float = 0.0  # more, of 1.3
    memory_mb: float = 0.0
    failing: float = 0.0  # share of requests


@dataclass(frozen=True)
class Noise:
    """What the machine does to both."""

    name: str
    stalls: float = 0.0  # share of requests at which one starts
    lasts: int = 1  # requests
    stall_ms: float = 40.0


CHANGES = (
    Change("equal"),
    Change("10 % slower", slower=1.1),
    Change("25 % slower", slower=1.25),
    Change("100 % slower", slower=2.0),
    Change("3 % of the requests four times slower", slower_tail=4.0),
    Change("one more transaction per request", slower=1.1, transactions=1.0),
    Change("20 MB more", memory_mb=20.0),
    Change("3 % of the requests fail", failing=0.03),
)

NOISES = (Noise("quiet"), Noise("single stalls", 0.01), Noise("bursts of 30", 0.0005, 30), Noise("drift of 3 times"))


def run(change: Change, noise: Noise, chance: np.random.Generator, looks: Mapping[str, float]) -> CriterionVerdict:
    """Simulate and judge one comparison."""
    blocks, starts = int(looks["pairs"]) // PAIRS, int(looks["starts"])
    took = _latencies(change, noise, chance, blocks * PAIRS).reshape(blocks, PAIRS, 2)
    ordered = np.sort(took, axis=1)
    cpu = _CPU_MS * np.exp(chance.normal(0, _CPU_SPREAD, (blocks, 2))) * (1, change.slower)
    begun = _STARTS_S * np.exp(chance.normal(0, _START_SPREAD, (starts, 2)))
    failed = chance.binomial(PAIRS, (0, change.failing), (blocks, 2))
    errors = [[[PAIRS, int(number)] for number in failed[:, release]] for release in (0, 1)]
    values = {
        "serves": True,
        "errors_more": {"previous": errors[0], "new": errors[1]},
        "p50_ratio": ordered[:, math.ceil(PAIRS * 0.5) - 1].tolist(),
        "p99_ratio": ordered[:, math.ceil(PAIRS * 0.99) - 1].tolist(),
        "cpu_ratio": cpu.tolist(),
        "startup_ratio": begun.tolist(),
        "transactions_ratio": (1.3 + change.transactions) / 1.3,
        "memory_more_mb": change.memory_mb + float(chance.normal(0, _MEMORY_SPREAD_MB)),
    }
    measured = [_measurement(name, value, blocks * PAIRS) for name, value in values.items()]
    return judge_measured(_criterion(), measured, rehearsal=False)


def _latencies(change: Change, noise: Noise, chance: np.random.Generator, pairs: int) -> Any:
    """Return milliseconds per pair: of the previous and of the new release, in an order that chance decides."""
    times = np.exp(chance.normal(math.log(_MEAN_MS), _SPREAD, (pairs, 2)))
    times[:, 1] *= np.where(chance.random(pairs) < 0.03, change.slower_tail, 1) * change.slower
    if noise.name.startswith("drift"):
        times *= np.exp(np.linspace(0, math.log(3), pairs))[:, None]
    new_first = chance.random(pairs) < 0.5
    sent = np.where(new_first[:, None], times[:, ::-1], times).ravel()
    for start in np.flatnonzero(chance.random(len(sent)) < noise.stalls):
        sent[start : start + noise.lasts] += chance.exponential(noise.stall_ms)
    by_pair = sent.reshape(pairs, 2)
    return np.where(new_first[:, None], by_pair[:, ::-1], by_pair)


def _measurement(name: str, value: Any, n: int) -> Measurement:
    return Measurement(f"no_regression.{name}", value, "", n, 9.0, "", "simulated")


def _criterion() -> Any:
    loaded = criteria_file.load(limits=LIMITS)
    return next(each for each in loaded.criteria if each.id == "prod.no_regression")


def detected(verdicts: Sequence[CriterionVerdict]) -> str:
    """Return the shares that passed and failed, and the measurements that failed most often."""
    shares = [sum(each.state is state for each in verdicts) / len(verdicts) for state in (State.PASS, State.FAIL)]
    failures = [found.measurement for each in verdicts for found in each.checks if found.state is State.FAIL]
    by_name = {name.removeprefix("no_regression."): failures.count(name) for name in sorted(set(failures))}
    named = ", ".join(f"{name} {number / len(verdicts):.1%}" for name, number in by_name.items())
    return f"{shares[0]:.1%} / {shares[1]:.1%}{f' ({named})' if named else ''}"


def main() -> None:
    """Print the outcomes as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs, looks = parser.parse_args().runs, criteria_file.load().looks["no_regression"]
    print(f"{runs} runs each; passed / failed (what failed); limits: {LIMITS}\n")
    print(
        "| the new release | " + " | ".join(noise.name for noise in NOISES) + " |\n" + "|---" * (1 + len(NOISES)) + "|"
    )
    for number, change in enumerate(CHANGES):
        chance = np.random.default_rng([SEED, number])
        cells = [detected([run(change, noise, chance, looks) for _ in range(runs)]) for noise in NOISES]
        print(f"| {change.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
