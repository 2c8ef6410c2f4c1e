"""`python -m benchmarks.limiter.killed`: kills the server under load and checks that all admissions remain counted.

Exit code 0 when no admitted request is missing from the database's counts and none was counted twice, else 1.
"""

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from benchmarks.limiter import contract
from benchmarks.limiter.accounts import balance
from benchmarks.limiter.racing import Race, Seen, cycle
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.stack import Process, stack

LIMIT = 1_000_000_000
KEYS = 20
CLIENTS = 32
LOADED_WITHIN_S = 30.0


def race_until_killed(server: Process, name: str, admitted: int) -> list[Seen]:
    """Kill the server after `admitted` admissions; return the clients' observations. Keys begin with `name`."""
    deadline = time.monotonic() + LOADED_WITHIN_S
    with Race([server.port], cycle(name, KEYS), clients=CLIENTS) as race:
        while race.admitted() < admitted:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server admitted only {race.admitted()} requests in {LOADED_WITHIN_S:g} s")
            time.sleep(0.005)
        server.kill()
    return race.seen


def measure(times: int) -> Section:
    """Kill the server `times` times, each time at a random point."""
    columns = ("kill", "answered", "admitted", "no answer", "counted", "lost", "invented", "rules differ")
    rows: list[tuple[Any, ...]] = []
    with stack() as up:
        dsn = up.database("killed")
        server = up.server(dsn)
        rules = [contract.create_rule(server.port, limit_type="requests_per_hour", limit_value=LIMIT) for _ in range(2)]
        for number in range(times):
            name = f"run-{number}"
            observations = race_until_killed(server, name, random.randint(50, 2000))  # noqa: S311 - no secret
            server = up.server(dsn)
            one, other = (contract.used(server.port, rule["id"], name) for rule in rules)
            rows.append((str(number + 1), *_row(observations, one), int(one != other)))
    promises = [
        Promise(f"{text}, {times} kills", sum(row[column] for row in rows), at_most=0)
        for column, text in ((5, "admitted requests lost"), (6, "requests counted twice"), (7, "half-counted"))
    ]
    return Section("killed under load", columns, rows, promises)


def _row(observations: Sequence[Seen], used: Mapping[str, int]) -> tuple[int, ...]:
    found = balance(observations, used)
    answered, admitted = (
        sum(one.status is not None for one in observations),
        sum(one.admitted is True for one in observations),
    )
    return answered, admitted, len(observations) - answered, sum(used.values()), found.lost, found.invented


def main(times: int = 20, out: Path | None = None) -> None:
    """Kill the server under load `times` times."""
    finish([measure(times)], out)


if __name__ == "__main__":
    typer.run(main)
