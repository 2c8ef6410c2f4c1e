"""`python -m benchmarks.limiter.steady`: latency at moderate rates, and the final memory use.

Open loop: a request is sent when it is due, whatever the server does, and its latency counts from then.
"""

from pathlib import Path

import typer

from benchmarks.limiter import contract, generator
from benchmarks.limiter.racing import PATH
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.speed import MANY, NEVER
from benchmarks.limiter.stack import stack

RATES_PER_S = (100, 500)


def measure(minutes: float) -> Section:
    """Run each rate for its share of the time."""
    seconds = minutes * 60 / len(RATES_PER_S)
    with stack() as up:
        load = generator.compiled(up.folder)
        server = up.server(up.database("steady"))
        contract.create_rule(server.port, limit_type="requests_per_minute", limit_value=NEVER)
        found = {
            rate: load.offer(server.port, PATH, keys=MANY, seconds=seconds, rate_per_s=rate).expect_only("404")
            for rate in RATES_PER_S
        }
        memory_mb = up.memory_bytes(server) / 1e6
    rows = [
        (f"{rate}/s", one.requests, one.p50_ms, one.p99_ms, one.p999_ms, one.max_ms, one.late_p99_ms)
        for rate, one in found.items()
    ]
    columns = ("rate", "requests", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "sent late p99 ms")
    promises = [Promise(f"p99 at {rate}/s, ms", one.p99_ms, at_most=5) for rate, one in found.items()]
    promises.append(Promise(f"server and PostgreSQL after {minutes:g} min, MB", memory_mb, at_most=150))
    return Section(f"open loop, {minutes:g} min", columns, rows, promises)


def main(minutes: float = 10, out: Path | None = None) -> None:
    """Measure latency and memory."""
    finish([measure(minutes)], out)


if __name__ == "__main__":
    typer.run(main)
