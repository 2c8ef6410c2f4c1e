"""`python -m benchmarks.load.workers`: whether four workers on three machines measure what one process does. As root.

The server stalls for a second in every ten, so that the true p99 is known. Each round sends 2,000 requests a second by
one process, and by four workers in three network namespaces under one master: the two-sided 90 % intervals of p99 must
overlap, contain the truth within its tolerance, and no request may be missing. Exit code 0: so it was in every round.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from benchmarks.load.target import target
from benchmarks.load.truth import allowed_ms, percentile_ms
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.environment import LoadSettings
from gaia_checks.environment.project import ROOT
from gaia_checks.judge.statistics import Latencies, decode
from gaia_checks.load import load_run
from gaia_checks.model import Target
from tests.support import network

RATE_PER_S = 2000.0
STALL_S = 1.0
ALPHA = 0.05  # of each side
MACHINES, WORKERS = 3, 4
SMOKE = ROOT / "locustfiles" / "smoke.py"


def main(rounds: int = 3, seconds: int = 20, engine: str = "precise") -> None:
    """Measure: about three minutes."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores; {engine} engine\n")
    print(
        "| round | workers | sent | p99 (ms) | its bounds (ms) | lateness p99, worst (ms) |\n|---|---|---|---|---|---|"
    )
    missed = []
    with ExitStack() as stack:
        machines = [stack.enter_context(network.machine()) for _ in range(MACHINES)]
        url = stack.enter_context(target("stall", f"{STALL_S:g}", machines[0].here))
        for number in range(1, rounds + 1):
            found = {}
            for name, on in (("one process", []), (f"{WORKERS} workers, {MACHINES} machines", machines)):
                result = _send(url, on, seconds, engine)
                found[name] = _bounds_ms(result)
                value, (lower, upper) = found[name]
                late_ms = max(each["lateness_p99_ms"] for each in result.get("by_worker", [result]))
                bounds = f"{lower:.0f} to {upper:.0f}"
                print(f"| {number} | {name} | {result['sent']} | {value:.0f} | {bounds} | {late_ms:.2f} |", flush=True)
                missed += _missed(f"round {number}, {name}", result, value, seconds)
            (_, one), (_, many) = found.values()
            if one[1] < many[0] or many[1] < one[0]:
                missed.append(f"round {number}: p99 is in {one} by one process, and in {many} by {WORKERS} workers")
    print(f"\nmissed: {'; '.join(missed) or 'nothing'}")
    raise typer.Exit(1 if missed else 0)


def _send(url: str, machines: list[network.Machine], seconds: int, engine: str) -> dict[str, Any]:
    """Send one load, by workers on these machines if there are any; return its result."""
    master = f"{machines[0].here}:{free_port()}" if machines else ""
    settings = LoadSettings(engine, workers=WORKERS, master=master) if machines else LoadSettings(engine)
    argv = (sys.executable, "-m", "gaia_checks.cli", "load", "worker", "--master", master, "--locustfile", str(SMOKE))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for number in range(WORKERS if machines else 0):
            command = machines[number % len(machines)].command(*argv)
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
        code = load_run.run(
            Target("local", url, "20261123T120102Z-3fa9c1"), Path(folder), rate_per_s=RATE_PER_S, window_s=seconds,
            log=lambda _: None, cancelled=lambda: False, locustfile=SMOKE, settings=settings,
        )  # fmt: skip
        result: dict[str, Any] = json.loads((Path(folder) / "load.json").read_text())
    if code:
        raise RuntimeError(f"the load was not measured: {result.get('broken')}")
    return result


def _bounds_ms(result: dict[str, Any]) -> tuple[float, tuple[float, float]]:
    latencies = Latencies(decode(text) for text in result["latency_blocks"])
    lower, upper = latencies.bounds_ms(99, (ALPHA, ALPHA))
    return latencies.percentile_ms(99), (lower or 0.0, float("inf") if upper is None else upper)


def _missed(name: str, result: dict[str, Any], p99_ms: float, seconds: int) -> list[str]:
    found, truth_ms = [], percentile_ms(STALL_S, 99)
    if not result["intended"] == result["sent"] == result["done"] == RATE_PER_S * seconds:
        found.append(f"{name}: {result['done']} of {RATE_PER_S * seconds:.0f} requests")
    if abs(p99_ms - truth_ms) > allowed_ms(truth_ms, RATE_PER_S):
        found.append(f"{name}: p99 is {p99_ms:.0f} ms, not {truth_ms:.0f}")
    return found


if __name__ == "__main__":
    typer.run(main)
