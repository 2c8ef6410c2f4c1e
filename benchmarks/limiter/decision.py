"""`python -m benchmarks.limiter.decision`: compares one decision under four rules to one UPDATE on a connection.

Both are prepared and durable, and alternate, so that other load on the machine affects both equally. The CPU time of
the database session is the cost of a decision when many wait for it.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import typer

from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.stack import fsync_ms, stack
from gaia_server.limiting.decide import CHECK, PLANS

RULES = "UPDATE rate_limit_configs SET enabled = true, limit_value = 1000000000"  # the default rules, never reached
TABLE = "CREATE TABLE counted AS SELECT 1 AS id, 0::bigint AS n; ALTER TABLE counted ADD PRIMARY KEY (id)"
UPDATE = "UPDATE counted SET n = n + 1 WHERE id = %s"
BATCH = 64
KEYS = 5000

Step = Callable[[int], None]


def measure(turns: int) -> Section:
    """Run the statements alternately."""
    with stack() as up, psycopg.connect(up.database("decision"), autocommit=True) as connection:
        for statement in (RULES, TABLE, PLANS):
            connection.execute(statement)
        steps = {"one UPDATE": _update(connection), "one decision": _decide(connection, 1)}
        steps[f"a batch of {BATCH}"] = _decide(connection, BATCH)
        for step in steps.values():
            _each_ms(step, 2 * KEYS // BATCH)  # warm-up: plans are cached, and every key exists
        took: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(turns):
            for name, step in steps.items():
                took[name].append(_ms(step, turn))
        busy = {name: _busy_ms(connection.info.backend_pid, step, turns) for name, step in steps.items()}
        fsync = fsync_ms(up.folder)
    medians = {name: statistics.median(each) for name, each in took.items()}
    rows = [(name, medians[name], medians[name] / medians["one UPDATE"], busy[name]) for name in steps]
    promise = Promise("one decision under four rules, of one UPDATE", rows[1][2], at_most=2.5)
    columns = ("statement", "median ms", "x UPDATE", "processor ms")
    return Section(f"one session, {turns} turns, fsync {fsync:.2f} ms", columns, rows, (promise,))


def _update(connection: psycopg.Connection[Any]) -> Step:
    def step(_turn: int) -> None:
        connection.execute(UPDATE, (1,), prepare=True)

    return step


def _decide(connection: psycopg.Connection[Any], size: int) -> Step:
    cursor = connection.cursor(binary=True)

    def step(turn: int) -> None:
        names = [f"10.{(turn * size + number) % KEYS}" for number in range(size)]
        cursor.execute(CHECK, (["ip"] * size, names, ["other"] * size, False), prepare=True)
        cursor.fetchone()

    return step


def _ms(step: Step, turn: int) -> float:
    started = time.perf_counter()
    step(turn)
    return (time.perf_counter() - started) * 1000


def _each_ms(step: Step, turns: int) -> list[float]:
    return [_ms(step, turn) for turn in range(turns)]


def _busy_ms(pid: int, step: Step, turns: int) -> float:
    """Return the CPU time of a process per step (Linux)."""
    file = Path(f"/proc/{pid}/schedstat")
    before = int(file.read_text().split()[0])
    _each_ms(step, turns)
    return (int(file.read_text().split()[0]) - before) / turns / 1e6


def main(turns: int = 500, out: Path | None = None) -> None:
    """Measure one decision."""
    finish([measure(turns)], out)


if __name__ == "__main__":
    typer.run(main)
