"""`python -m benchmarks.limiter.exactness`: tests that racing clients get exactly their limit.

Exit code 0 when every decision was right, else 1.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import typer

from benchmarks.limiter import contract
from benchmarks.limiter.racing import Race, Seen, by_key
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.stack import stack
from gaia_checks.judge.admissions import false_allows, false_denies

WINDOW_S = {"requests_per_second": 1.0, "requests_per_minute": 60.0}


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration of a race."""

    name: str
    limit_type: str
    limit: int
    keys: int = 1
    clients: int = 64
    servers: int = 1
    times: int = 0  # requests per key; 0: as many as possible within `seconds`
    seconds: float = 0.0

    def users(self) -> Iterator[str]:
        """Yield the users of successive requests."""
        until = time.monotonic() + self.seconds
        turn = 0
        while turn < self.times or time.monotonic() < until:
            for key in range(self.keys):
                yield f"user-{key}"
            turn += 1


CASES = (
    Case("one hot key", "requests_per_minute", limit=500, times=2000),
    Case("20,000 keys", "requests_per_minute", limit=2, keys=20_000, times=3),
    Case("two server processes", "requests_per_minute", limit=500, servers=2, times=2000),
    Case("across edges of seconds", "requests_per_second", limit=40, clients=8, seconds=3.3),
    Case("across edges, two processes", "requests_per_second", limit=40, clients=8, servers=2, seconds=3.3),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a race, in requests."""

    requests: int
    admitted: int
    undecided: int  # neither admitted nor refused
    false_allows: int
    false_denies: int
    blur_p99_ms: float  # uncertainty of a decision's time; it limits the precision of the judge

    @property
    def exact(self) -> bool:
        """Whether every request was decided correctly."""
        return not (self.undecided or self.false_allows or self.false_denies)


def run(case: Case, ports: Sequence[int]) -> Outcome:
    """Run one race under its own rule."""
    with (
        contract.rule(ports, limit_type=case.limit_type, limit_value=case.limit),
        Race(ports[: case.servers], case.users(), clients=case.clients) as race,
    ):
        return judge(case, race.finish())


def judge(case: Case, observations: Sequence[Seen]) -> Outcome:
    """Return the outcome of a race."""
    answers, window_s = by_key(observations).values(), WINDOW_S[case.limit_type]
    blurs = sorted(one.received_s - one.sent_s for one in observations)
    return Outcome(
        requests=len(observations),
        admitted=sum(one.admitted is True for one in observations),
        undecided=sum(one.admitted is None for one in observations),
        false_allows=sum(false_allows(one, limit=case.limit, window_s=window_s) for one in answers),
        false_denies=sum(false_denies(one, limit=case.limit, window_s=window_s) for one in answers),
        blur_p99_ms=blurs[len(blurs) * 99 // 100] * 1000,
    )


def measure(runs: int) -> Section:
    """Run every case `runs` times."""
    columns = ("case", "runs", "requests", "admitted", "undecided", "false allows", "false denies", "blur p99 ms")
    with stack() as up:
        dsn = up.database("exactness")
        ports = [up.server(dsn).port for _ in range(max(case.servers for case in CASES))]
        found = {case: [run(case, ports) for _ in range(runs)] for case in CASES}
    totals = {case: _sum(outcomes) for case, outcomes in found.items()}
    rows = [(case.name, runs, *astuple(total)) for case, total in totals.items()]
    promises = [
        Promise(f"{word}, {case.name}", getattr(total, word.replace(" ", "_")), at_most=0)
        for case, total in totals.items()
        for word in ("false allows", "false denies", "undecided")
    ]
    return Section(f"exactness, {runs} runs each", columns, rows, promises)


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        sum(one.requests for one in outcomes),
        sum(one.admitted for one in outcomes),
        sum(one.undecided for one in outcomes),
        sum(one.false_allows for one in outcomes),
        sum(one.false_denies for one in outcomes),
        max(one.blur_p99_ms for one in outcomes),
    )


def main(runs: int = 10, out: Path | None = None) -> None:
    """Run every case `runs` times."""
    finish([measure(runs)], out)


if __name__ == "__main__":
    typer.run(main)
