"""`python -m benchmarks.limiter.speed`: decisions per second, as ratios to the same stack without the limiter.

All variants alternate in every round, so that other load on the machine affects all of them. Ratios are computed within
a round; the result is the median of the rounds.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import typer

from benchmarks.limiter import contract, generator
from benchmarks.limiter.generator import Generator, Offered
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.stack import Process, Stack, fsync_ms, stack

APP = ("-m", "benchmarks.limiter.app")
ONE_CALL_SQL = Path(__file__).with_name("one_call.sql")
NEVER = 1_000_000_000
MANY = 20_000

PLAIN = ({"scope": "user", "limit_type": "requests_per_minute"},)
FOUR = (
    {"scope": "user", "limit_type": "requests_per_second"},
    {"scope": "user", "limit_type": "requests_per_minute"},
    {"scope": "user", "limit_type": "requests_per_hour"},
    {"scope": "global", "limit_type": "requests_per_second"},
)
"""The default rules, with limits that are never reached."""


@dataclass(frozen=True, slots=True)
class Served:
    """The setup of a server, with its own database."""

    name: str
    command: tuple[str, ...] = APP
    rules: Sequence[Mapping[str, str]] = PLAIN
    synchronous_commit: bool = True


SERVERS = (
    Served("product"),
    Served("one_call", command=(*APP, "one-call-product")),
    Served("lean_call", command=(*APP, "one-call-lean"), rules=()),
    Served("asynchronous", synchronous_commit=False),
    Served("four_rules", rules=FOUR),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of load on one server."""

    name: str
    server: str
    path: str = "/api/empty"
    keys: int = MANY


EMPTY = Variant("empty endpoint, not limited", "product", path="/empty")
PRODUCT = Variant("group commit, 20,000 keys", "product")
HOT = Variant("group commit, one hot key", "product", keys=1)
ONE_CALL = Variant("one call per request, same function", "one_call")
LEAN_CALL = Variant("one call per request, leanest function", "lean_call")
ASYNCHRONOUS = Variant("synchronous_commit=off", "asynchronous")
FOUR_RULES = Variant("four rules, as the defaults are", "four_rules")
VARIANTS = (EMPTY, PRODUCT, HOT, ONE_CALL, LEAN_CALL, ASYNCHRONOUS, FOUR_RULES)

Rounds = Sequence[Mapping[Variant, Offered]]


def measure(rounds: int, seconds: float, connections: int) -> Section:
    """Measure all variants in every round."""
    with stack() as up:
        load = generator.compiled(up.folder)
        fsync = fsync_ms(up.folder)
        servers = {served.name: _serve(up, served, load) for served in SERVERS}
        found = [
            {
                variant: load.offer(
                    servers[variant.server].port,
                    variant.path,
                    connections=connections,
                    keys=variant.keys,
                    first=turn * MANY // rounds,
                    seconds=seconds,
                ).expect_only("200")
                for variant in VARIANTS
            }
            for turn in range(rounds)
        ]
    title = f"decisions per second, {connections} connections, {rounds} rounds of {seconds:g} s, fsync {fsync:.2f} ms"
    return section(title, found)


def section(title: str, found: Rounds) -> Section:
    """Return the table and the promises of the results. Pure."""
    columns = ("variant", "per s", "lowest", "highest", "x empty", "p50 ms", "p99 ms", "generator's core")
    promises = (
        Promise("of the empty endpoint's rate (aim 0.6)", ratio(found, PRODUCT, EMPTY), at_least=0.45),
        Promise("of one call per request, whichever is faster", _of_one_call(found), at_least=2.5),
        Promise("one hot key, of 20,000 keys", ratio(found, HOT, PRODUCT), at_least=1.0),
        Promise("durable, of synchronous_commit=off", ratio(found, PRODUCT, ASYNCHRONOUS), at_least=0.8),
    )
    return Section(title, columns, [_row(found, variant) for variant in VARIANTS], promises)


def ratio(found: Rounds, one: Variant, other: Variant) -> float:
    """Return the median of the rounds' ratios. Pure."""
    return statistics.median(each[one].per_s / each[other].per_s for each in found)


def _of_one_call(found: Rounds) -> float:
    return min(ratio(found, PRODUCT, one) for one in (ONE_CALL, LEAN_CALL))


def _row(found: Rounds, variant: Variant) -> tuple[str | int | float, ...]:
    offered = [each[variant] for each in found]
    rates = [round(one.per_s) for one in offered]
    return (
        variant.name,
        round(statistics.median(rates)),
        min(rates),
        max(rates),
        ratio(found, variant, EMPTY),
        statistics.median(one.p50_ms for one in offered),
        statistics.median(one.p99_ms for one in offered),
        statistics.median(one.cpu_share for one in offered),
    )


def _serve(up: Stack, served: Served, load: Generator) -> Process:
    """Start a server, create its rules, and send one request per key, so that later requests find their counts."""
    dsn = up.database(served.name, synchronous_commit=served.synchronous_commit)
    with psycopg.connect(dsn) as connection:
        connection.execute(ONE_CALL_SQL.read_bytes())
    server = up.server(dsn, served.command)
    for rule in served.rules:
        contract.create_rule(server.port, limit_value=NEVER, **rule)
    sent = 0
    while sent < MANY:
        sent += load.offer(server.port, "/api/empty", keys=MANY, first=sent, warm_s=0, seconds=1).requests
    return server


def main(rounds: int = 5, seconds: float = 5, connections: int = 64, out: Path | None = None) -> None:
    """Measure decisions per second."""
    finish([measure(rounds, seconds, connections)], out)


if __name__ == "__main__":
    typer.run(main)
