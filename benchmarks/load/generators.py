"""Runs each generator on a target; returns its latencies and its cost."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.truth import PERCENTILES
from gaia_checks.environment.process_variables import inherited
from gaia_checks.environment.project import ROOT
from gaia_checks.load.results.histogram import Histogram

_STOCK = Path(__file__).with_name("stock.py")
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_GAP_S = 90


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run of a generator."""

    percentiles_ms: dict[float, float | None]
    requests: int
    cpu_s: float  # of all its processes, while sending
    wall_s: float
    lateness_ms: dict[float, float]  # send errors; empty if the generator does not report them

    @property
    def per_cpu_s(self) -> float:
        """Requests per CPU second."""
        return self.requests / self.cpu_s if self.cpu_s else 0.0


Generator = Callable[[str, float, int], Run]
"""(URL, requests per second, seconds) -> result."""


def ours(engine: str, workers: int = 1) -> Generator:
    """Return one of the project's engines, in one process or several."""

    def run(url: str, rate_per_s: float, window_s: int) -> Run:
        split = ("--processes", str(workers)) if workers > 1 else ()
        with tempfile.TemporaryDirectory() as folder:
            _locust(
                ROOT / "locustfiles" / "smoke.py", "--host", url, "--rate", f"{rate_per_s:g}", "-t", f"{window_s}s",
                "--engine", engine, "--folder", folder, *split, seconds=window_s,
            )  # fmt: skip
            result = json.loads((Path(folder) / "load.json").read_text())
            rows = [json.loads(line) for line in (Path(folder) / "timelines" / "load.jsonl").read_text().splitlines()]
        if "broken" in result:
            raise RuntimeError(f"{engine}: {result['broken']}")
        latency, lateness = Histogram.decode(result["latency"]), Histogram.decode(result["lateness"])
        cpu_s = sum(row["cpu"] for row in rows) * workers  # a row has the busiest worker's share of about 1 s
        return Run(_percentiles(latency), result["done"], cpu_s, window_s, _lateness(lateness))

    return run


def stock(client: str, users: int) -> Generator:
    """Return stock locust with `HttpUser` or `FastHttpUser`."""

    def run(url: str, rate_per_s: float, window_s: int) -> Run:
        variables = {"BENCH_CLIENT": client, "BENCH_USERS": str(users), "BENCH_RATE": f"{rate_per_s:g}"}
        done = _locust(
            _STOCK, "--host", url, "-u", str(users), "-r", str(users), "-t", f"{window_s}s", seconds=window_s,
            **variables,
        )  # fmt: skip
        output = json.loads(re.search(r"^BENCH (.*)$", done, re.MULTILINE)[1])  # type: ignore[index] # else it failed
        percentiles = {float(name): value for name, value in output["percentiles_ms"].items()}
        return Run(percentiles, output["requests"], output["cpu_s"], output["wall_s"], {})

    return run


def wrk(program: str = "wrk", connections: int = 10) -> Generator:
    """Return wrk, which has no rate, or wrk2, which has one."""

    def run(url: str, rate_per_s: float, window_s: int) -> Run:
        rate = (f"-R{rate_per_s:g}",) if program == "wrk2" else ()
        output, cpu_s = _run(program, "-t1", f"-c{connections}", f"-d{window_s}s", "--latency", *rate, f"{url}/health")
        found_percentiles = re.findall(r"([\d.]+)%\s+([\d.]+)(us|ms|s|m)", output)
        found = {float(percentile): float(value) * _UNITS_MS[unit] for percentile, value, unit in found_percentiles}
        requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index] # else it failed
        return Run({p: found.get(p) for p in PERCENTILES}, requests, cpu_s, window_s, {})

    return run


def k6() -> Generator:
    """Return k6 with a constant arrival rate and as many virtual users as the longest stall needs."""

    def run(url: str, rate_per_s: float, window_s: int) -> Run:
        users = max(50, int(rate_per_s * 4)) if rate_per_s < 1000 else 200
        with tempfile.TemporaryDirectory() as folder:
            script, summary = Path(folder) / "script.js", Path(folder) / "summary.json"
            script.write_text(
                'import http from "k6/http";\n'
                "export const options = { summaryTrendStats: ['p(50)', 'p(90)', 'p(99)', 'p(99.9)'],\n"
                "  scenarios: { s: {\n"
                f"  executor: 'constant-arrival-rate', rate: {int(rate_per_s)}, timeUnit: '1s',\n"
                f"  duration: '{window_s}s', preAllocatedVUs: {users} }} }} }};\n"
                f'export default function () {{ http.get("{url}/health"); }}\n'
            )
            _, cpu_s = _run("k6", "run", "--quiet", "--summary-export", str(summary), str(script))
            metrics = json.loads(summary.read_text())["metrics"]
        trend = metrics["http_req_duration"]
        found = {p: trend[f"p({p:g})"] for p in PERCENTILES}
        return Run(found, int(metrics["http_reqs"]["count"]), cpu_s, window_s, {})

    return run


def decide(url: str, engine: str, seconds: int) -> int:
    """Return the exit code of a load with a p99 threshold of 100 ms at 100 requests a second."""
    with tempfile.TemporaryDirectory() as folder:
        argv = _argv(
            ROOT / "locustfiles" / "smoke.py", "--host", url, "--rate", "100", "-t", f"{seconds}s", "--engine", engine,
            "--p99", "100ms", "--folder", folder,
        )  # fmt: skip
        return subprocess.run(argv, capture_output=True, timeout=seconds + _GAP_S, check=False).returncode


def installed(program: str) -> bool:
    """Whether a peer is installed."""
    return shutil.which(program) is not None


def _locust(file: Path, *options: str, seconds: int, **variables: str) -> str:
    done = subprocess.run(
        _argv(file, *options),
        env=inherited(**variables),
        capture_output=True,
        text=True,
        timeout=seconds + _GAP_S,
        check=False,
    )
    return done.stdout + done.stderr


def _argv(file: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--only-summary", *options]


def _run(*argv: str) -> tuple[str, float]:
    """Run a program; return its output and its CPU seconds."""
    before = os.times()
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    after = os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, used_s


def _percentiles(histogram: Histogram) -> dict[float, float | None]:
    return {percentile: histogram.percentile_ms(percentile) for percentile in PERCENTILES}


def _lateness(histogram: Histogram) -> dict[float, float]:
    return {percentile: histogram.percentile_ms(percentile) or 0.0 for percentile in (50.0, 99.0, 99.9, 100.0)}
