"""`python -m benchmarks.load`: measures the promises of the load generator on this machine, beside its peers.

Exit code 0: all are kept. `--quick` runs one round of short windows, as a smoke test without reliable figures. Nothing
else should run on the machine. Peers (wrk, wrk2, k6) take part where they are installed.
"""

import os
import platform
from pathlib import Path
from typing import TypeVar

import typer

from benchmarks.load import tables
from benchmarks.load.generators import Generator, Run, decide, installed, k6, ours, stock, wrk
from benchmarks.load.target import target
from gaia_checks.environment.project import ROOT

OUT = ROOT / "build" / "load.md"
STALLS_S = (1.0, 2.5)
RATE_PER_S = 100.0
RATES_PER_S = (100.0, 500.0, 1000.0, 2000.0)
LADDERS = {
    "ours, locust": ("locust", (3000, 4000, 5000, 6000)),
    "ours, precise": ("precise", (10_000, 15_000, 20_000, 25_000)),
}
PROMISES = {"ours, locust": (3.0, 3.0), "ours, precise": (10.0, 1.0)}  # times HttpUser, p99 of the send error in ms
K = TypeVar("K")


def main(rounds: int = 5, seconds: int = 30, out: Path = OUT, *, quick: bool = False) -> None:
    """Measure fidelity, timing and capacity: about an hour, with --quick about six minutes."""
    rounds, seconds = (1, 10) if quick else (rounds, seconds)
    where = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    lines = ["# The load generator, measured", "", f"{where}; medians of {rounds} rounds of {seconds} s.", ""]
    missed: list[str] = []
    for title, section in _SECTIONS.items():
        typer.echo(f"{title} ...", err=True)
        table, wrong = section(rounds, seconds)
        lines += [f"## {title}\n", *table, ""]
        missed += wrong
    lines += ["## Missed\n", *(f"- {what}" for what in missed or ["nothing"])]
    text = "\n".join(lines)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")
    typer.echo(text)
    raise typer.Exit(1 if missed else 0)


def _fidelity(rounds: int, seconds: int) -> tuple[list[str], list[str]]:
    generators: dict[str, Generator] = {
        f"ours, {engine}, {workers} worker{'s' * (workers > 1)}": ours(engine, workers)
        for engine in ("locust", "precise")
        for workers in (1, 4)
    }
    generators |= {f"locust {client}, {users} users": stock(client, users)
                   for client in ("HttpUser", "FastHttpUser") for users in (100, 10)}  # fmt: skip
    generators |= {"wrk2, 10 connections": wrk("wrk2")} if installed("wrk2") else {}
    generators |= {"k6": k6()} if installed("k6") else {}
    lines, missed = [], []
    for stall_s in STALLS_S:
        with target("stall", f"{stall_s:g}") as url:
            rows = _rounds({name: (run, url, RATE_PER_S) for name, run in generators.items()}, rounds, seconds)
        table, wrong = tables.fidelity(stall_s, RATE_PER_S, rows)
        lines += [*table, ""]
        missed += wrong
    return lines, missed


def _timing(rounds: int, seconds: int) -> tuple[list[str], list[str]]:
    engines = ("locust", "precise")
    with target("fast") as url:
        jobs = {
            (engine, rate_per_s): (ours(engine), url, rate_per_s) for engine in engines for rate_per_s in RATES_PER_S
        }
        return tables.timing(_rounds(jobs, rounds, min(seconds, 10)))


def _decisions(rounds: int, seconds: int) -> tuple[list[str], list[str]]:
    """Check that a fixed delay of 95 ms passes a p99 of 100 ms, and one of 105 ms fails it, every time."""
    lines, missed = ["| delay (ms) | engine | correct |", "|---|---|---|"], []
    for delay_ms, code in ((95, 0), (105, 1)):
        with target("delay", f"{delay_ms / 1000:g}") as url:
            for engine in ("locust", "precise"):
                codes = [decide(url, engine, min(seconds, 5)) for _ in range(rounds * 4)]
                lines.append(f"| {delay_ms} | {engine} | {codes.count(code)} of {len(codes)} |")
                if codes.count(code) < len(codes):
                    missed.append(f"decisions, {engine}, {delay_ms} ms: exit codes {codes}, not {code}")
    return lines, missed


def _capacity(rounds: int, seconds: int) -> tuple[list[str], list[str]]:
    window_s = min(seconds, 10)
    with target("fast") as url:
        rows: dict[str, list[Run]] = {}
        for client in ("HttpUser", "FastHttpUser"):
            rows |= _rounds({client: (stock(client, 20), url, 0.0)}, rounds, window_s)
        if installed("wrk"):
            rows |= _rounds({"wrk, 50 connections": (wrk(connections=50), url, 0.0)}, rounds, window_s)
        if installed("k6"):
            rows |= _rounds({"k6": (k6(), url, 8000.0)}, rounds, window_s)
        for name, (engine, rates) in LADDERS.items():
            ladder = _rounds({rate: (ours(engine), url, rate) for rate in rates}, rounds, window_s)
            rows[name] = _best([*ladder.values()], PROMISES[name][1])
    return tables.capacity(rows, PROMISES)


def _best(ladder: list[list[Run]], allowed_ms: float) -> list[Run]:
    """Return the runs at the rate with the most requests per CPU second, of those sent on time if there are any."""
    on_time = [runs for runs in ladder if sorted(run.lateness_ms[99.0] for run in runs)[len(runs) // 2] <= allowed_ms]
    return max(on_time or ladder[:1], key=lambda runs: sorted(run.per_cpu_s for run in runs)[len(runs) // 2])


_SECTIONS = {"Fidelity": _fidelity, "Decisions": _decisions, "Timing": _timing, "Capacity": _capacity}


def _rounds(jobs: dict[K, tuple[Generator, str, float]], rounds: int, seconds: int) -> dict[K, list[Run]]:
    """Run every generator once per round, so that other load on the machine affects all of them."""
    runs: dict[K, list[Run]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, (run, url, rate_per_s) in jobs.items():
            typer.echo(f"  round {number + 1} of {rounds}: {name}", err=True)
            runs[name].append(run(url, rate_per_s, seconds))
    return runs


if __name__ == "__main__":
    typer.run(main)
